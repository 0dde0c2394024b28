#include "controller/merge/ledger.h"

#include <algorithm>
#include <cstdlib>

#include "common/base/check.h"
#include "common/breaker/outcome.h"
#include "controller/merge/phases.h"

namespace broadside::merge {
namespace {

using GrantedRows = std::map<Incarnation, std::map<Row, uint64_t>>;

/// Arrivals granted to each incarnation that are due in [begin, end).
GrantedRows CountGranted(const RunMerge& merge, const CloseFacts& facts, RunTime begin,
                         RunTime end) {
  GrantedRows granted;
  const Nanos length = merge.plan().interval;
  for (const GrantFact& grant : facts.grants) {
    BROADSIDE_CHECK(grant.deal != nullptr);
    std::map<Row, uint64_t>& rows = granted[grant.incarnation];
    const RunTime from = std::max(IntervalStart(grant.first, length), begin);
    const RunTime to = std::min(IntervalStart(grant.last + 1, length), end);
    for (const auto& segment : merge.segments()) {
      if (segment->segment().start >= to || segment->end() <= from) continue;
      rate::Stripe stripe(segment, *grant.deal, grant.incarnation, from, to);
      for (; const rate::Arrival* arrival = stripe.Peek(); stripe.Pop()) {
        ++rows[{arrival->phase, arrival->target}];
      }
    }
  }
  return granted;
}

uint64_t At(const std::map<Row, uint64_t>& rows, const Row& row) {
  const auto found = rows.find(row);
  return found == rows.end() ? 0 : found->second;
}

/// First difference that is not 0.
int64_t MismatchOf(const report::LedgerTotals& row, int64_t outcome_difference) {
  const auto sign = [](uint64_t left, uint64_t right) {
    return static_cast<int64_t>(left - right);
  };
  const int64_t schedule =
      sign(row.scheduled, row.sent + row.dropped + row.expired + row.unowned + row.unreported);
  const int64_t sent = sign(row.sent, row.ok + row.rejected + row.failed + row.in_flight);
  if (schedule != 0) return schedule;
  return sent != 0 ? sent : outcome_difference;
}

/// How far the outcome counts are from ok, rejected and failed: 0 when every group agrees.
std::map<Row, int64_t> OutcomeDifferences(const AgentTally& agent) {
  struct Groups {
    uint64_t ok = 0, rejected = 0, failed = 0;
  };
  std::map<Row, Groups> sums;
  for (const auto& [key, total] : agent.outcomes) {
    Groups& groups = sums[key.row];
    switch (breaker::GroupOfName(key.outcome)) {
      case breaker::OutcomeGroup::kOk:
        groups.ok += total;
        break;
      case breaker::OutcomeGroup::kRejected:
        groups.rejected += total;
        break;
      case breaker::OutcomeGroup::kFailed:
        groups.failed += total;
        break;
    }
  }
  std::map<Row, int64_t> differences;
  for (const auto& [row, latest] : agent.counters) {
    const Groups& groups = sums[row];
    for (const auto& [counted, seen] : {std::pair{latest.counters.ok, groups.ok},
                                        std::pair{latest.counters.rejected, groups.rejected},
                                        std::pair{latest.counters.failed, groups.failed}}) {
      differences[row] += std::abs(static_cast<int64_t>(counted - seen));
    }
  }
  return differences;
}

void AddCounters(report::LedgerTotals& into, const stats::Counters& counters) {
  into.sent += counters.sent;
  into.dropped += counters.dropped;
  into.expired += counters.expired;
  into.ok += counters.ok;
  into.rejected += counters.rejected;
  into.failed += counters.failed;
  into.in_flight += counters.in_flight;
  into.after_stop += counters.after_stop;
  into.unsent_failures += counters.unsent_failures;
}

class Closing {
 public:
  Closing(const RunMerge& merge, const CloseFacts& facts)
      : merge_(merge),
        end_(ScheduleEnd(merge.segments(), facts.stopped_at)),
        granted_(CountGranted(merge, facts, RunTime::min(), end_)),
        beyond_(CountGranted(merge, facts, end_, RunTime::max())),
        scheduled_(CountScheduled(merge.segments(), end_)) {}

  Ledger Run() {
    for (const auto& [row, count] : scheduled_) {
      ledger_.rows[row].scheduled = count;
      unowned_[row] = static_cast<int64_t>(count);
    }
    for (const auto& [incarnation, agent] : merge_.agents()) granted_.try_emplace(incarnation);
    for (const auto& [incarnation, rows] : granted_) CloseAgent(incarnation, rows);
    for (auto& [row, totals] : ledger_.rows) {
      // Below 0 two owners were granted the same arrival: that stays a mismatch.
      totals.unowned = static_cast<uint64_t>(std::max<int64_t>(0, unowned_[row]));
      totals.mismatch = MismatchOf(totals, differences_[row]);
    }
    return std::move(ledger_);
  }

 private:
  void CloseAgent(Incarnation incarnation, const std::map<Row, uint64_t>& granted) {
    Ledger::Share& share = ledger_.agents[incarnation];
    const auto found = merge_.agents().find(incarnation);
    const AgentTally nothing;
    const AgentTally& agent = found == merge_.agents().end() ? nothing : found->second;
    for (const auto& [row, difference] : OutcomeDifferences(agent)) {
      differences_[row] += difference;
    }
    for (const auto& [row, count] : granted) {
      unowned_[row] -= static_cast<int64_t>(count);
      share.granted += count;
      if (!agent.counters.contains(row)) {
        ledger_.rows[row].unreported += count;
        share.unreported += count;
      }
    }
    for (const auto& [row, count] : beyond_[incarnation])
      if (!agent.final_totals && !agent.counters.contains(row)) MayBeSent(share, row, count);
    for (const auto& [row, latest] : agent.counters) {
      CloseRow(share, row, latest.counters, At(granted, row), At(beyond_[incarnation], row));
      if (!agent.final_totals) {
        const uint64_t known = At(granted, row) + At(beyond_[incarnation], row);
        const uint64_t told = std::max(latest.counters.scheduled, At(granted, row));
        if (told < known) MayBeSent(share, row, known - told);
      }
    }
  }

  /// Due beyond a stop, by an agent that was lost and may not have heard of it.
  void MayBeSent(Ledger::Share& share, const Row& row, uint64_t count) {
    ledger_.rows[row].scheduled += count;
    ledger_.rows[row].unreported += count;
    share.unreported += count;
  }

  void CloseRow(Ledger::Share& share, const Row& row, const stats::Counters& counters,
                uint64_t granted, uint64_t beyond) {
    report::LedgerTotals& totals = ledger_.rows[row];
    AddCounters(totals, counters);
    const bool closed_loop = IsClosedLoop(merge_.PhaseOf(row.phase));
    if (closed_loop) totals.scheduled += counters.scheduled;
    uint64_t unreported = counters.waiting;
    if (!closed_loop && counters.scheduled < granted) unreported += granted - counters.scheduled;
    if (!closed_loop && counters.scheduled > granted) {
      totals.scheduled += std::min(counters.scheduled - granted, beyond);
    }
    totals.unreported += unreported;
    share.unreported += unreported;
  }

  const RunMerge& merge_;
  RunTime end_;
  GrantedRows granted_;
  GrantedRows beyond_;  ///< granted before the stop that ended the schedule at end_
  std::map<Row, uint64_t> scheduled_;
  std::map<Row, int64_t> unowned_;
  std::map<Row, int64_t> differences_;
  Ledger ledger_;
};

}  // namespace

Ledger CloseLedger(const RunMerge& merge, const CloseFacts& facts) {
  return Closing(merge, facts).Run();
}

void AddTotals(report::LedgerTotals& into, const report::LedgerTotals& row) {
  into.scheduled += row.scheduled;
  into.sent += row.sent;
  into.dropped += row.dropped;
  into.expired += row.expired;
  into.unowned += row.unowned;
  into.unreported += row.unreported;
  into.ok += row.ok;
  into.rejected += row.rejected;
  into.failed += row.failed;
  into.in_flight += row.in_flight;
  into.after_stop += row.after_stop;
  into.unsent_failures += row.unsent_failures;
  const int64_t sum = into.mismatch + row.mismatch;
  into.mismatch = sum != 0 || row.mismatch == 0 ? sum : std::abs(into.mismatch) * 2;
}

}  // namespace broadside::merge
