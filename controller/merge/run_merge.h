#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/base/status.h"
#include "common/plan/plan.h"
#include "common/plan/resolve.h"
#include "common/rate/schedule.h"
#include "common/report/report.h"
#include "common/stats/snapshot.h"
#include "controller/merge/close_facts.h"
#include "controller/merge/rule_series.h"
#include "controller/merge/tally.h"

namespace broadside::merge {

using Segments = std::vector<std::shared_ptr<const rate::CompiledSegment>>;

/// A target, or all of them, as of now. Provisional: may still grow and be corrected.
struct LiveTarget {
  std::string name;
  stats::Counters counters;                  ///< cumulative, all phases, all agents
  std::map<std::string, uint64_t> outcomes;  ///< cumulative
  /// Per second over View::rate_interval; empty before the first snapshot.
  std::optional<double> scheduled_rate, sent_rate, ok_rate;
  /// Of the replies that ended in the last 5 s: outcome ok, with `unanswered` ranking as slower
  /// than any bound (an empty percentile with n > 0 reads "> timeout").
  uint64_t n = 0, unanswered = 0;
  std::optional<int64_t> p50, p90, p99, p999;
};

struct View {
  IntervalIndex rate_interval = -1;  ///< the newest interval that most agents have reported
  LiveTarget total;
  std::vector<LiveTarget> targets;           ///< by TargetIndex
  std::optional<int64_t> lag_p99, wait_p99;  ///< last 5 s
  uint32_t agents_reported = 0;              ///< in rate_interval
  uint64_t snapshots = 0;                    ///< folded so far, without duplicates
  uint64_t unbalanced = 0;                   ///< snapshots whose own ledger did not close
};

/// The fold of a run's snapshots, for the live view as they come and for the report at the end. The
/// same set of snapshots gives the same report in any order, and a duplicate changes nothing. Pure;
/// one thread; no I/O.
class RunMerge {
 public:
  /// `segments` in order; more may be appended while the run goes on.
  RunMerge(RunId run, std::shared_ptr<const plan::Plan> plan, Segments segments);
  void AddSegment(std::shared_ptr<const rate::CompiledSegment> segment);

  /// Takes a snapshot in, all or nothing. A duplicate (incarnation, sequence) is OK and changes
  /// nothing. Errors name the agent, the sequence and what is wrong; nothing is folded then.
  Status Fold(const AgentId& agent, const stats::Snapshot& snapshot);

  View Live() const;

  /// The first guard of the plan that fires in an interval which most agents have reported and
  /// which was not looked at before. Call it after snapshots came in.
  std::optional<report::RuleResult> CheckGuards();
  /// Guards look at nothing before this interval: their windows do not span a gap in what we know.
  void GuardFrom(IntervalIndex first) { guard_from_ = guard_next_ = first; }
  /// Of the plan's `slo` rules with a window, by position in plan().slo.
  const std::map<size_t, RuleSeries>& slo_series() const { return slo_series_; }

  /// Merged since the start over all phases and agents: latency by (target, outcome), for
  /// exposition. References live as long as this object.
  using TargetOutcome = std::pair<TargetIndex, std::string>;
  const std::map<TargetOutcome, stats::Histogram>& latency() const { return latency_; }
  /// Every cell merged over all agents.
  const std::map<CellKey, stats::Histogram>& cells() const { return cells_; }
  const std::map<Incarnation, AgentTally>& agents() const { return agents_; }
  const std::map<IntervalIndex, IntervalTally>& intervals() const { return intervals_; }
  const plan::Plan& plan() const { return *plan_; }
  const std::vector<plan::PhaseRow>& phase_rows() const { return phase_rows_; }
  const plan::Phase& PhaseOf(PhaseIndex row) const {
    return plan_->phases[phase_rows_[row.value()].phase];
  }
  const Segments& segments() const { return segments_; }

  /// The report. Measured phases are those with `measure: true` that are neither search, idle nor a
  /// rate above 100 % of a search. Costs a walk over all granted arrivals (some ns each).
  ///
  /// Figures that need a definition:
  /// - The schedule is counted from the segments, not from what agents say: so arrivals that nobody
  ///   accounts for show as unowned or unreported, and anything else as a mismatch (ledger.h).
  /// - achieved = sent (by phase of the due time) ÷ planned length, cut at a stop; offered =
  /// arrivals
  ///   of the schedule ÷ the same length.
  /// - Percentiles of latency are those of ok and unanswered (outcome timeout_client and what is in
  ///   flight at the close) together; the other measures are of what was recorded.
  /// - P99's interval is that of the ranks floor(np − 1.96 √(np(1−p))) and ceil(np + 1.96
  /// √(np(1−p)))
  ///   + 1 (normal approximation, independent samples); empty when they do not fit in n.
  /// - An agent's share of the slowest 1 %: of all ok replies of the measured phases that lie in or
  ///   above the slot of the cluster's ok P99, the part that this agent received.
  /// - in_flight_max adds the agents' maxima of one interval: an upper bound.
  report::Report Finish(const CloseFacts& facts) const;

 private:
  Status Check(const AgentId& agent, const stats::Snapshot& snapshot) const;
  StatusOr<std::vector<DecodedCell>> DecodeCells(const stats::Snapshot& snapshot) const;
  void FoldAgent(AgentTally& agent, const stats::Snapshot& snapshot);
  void FoldCells(AgentTally& agent, const stats::Snapshot& snapshot,
                 const std::vector<DecodedCell>& cells);
  void FoldLive(const AgentTally& agent, const stats::Snapshot& snapshot,
                const std::vector<DecodedCell>& cells);
  IntervalIndex LastPlausibleInterval() const;
  IntervalIndex RateInterval() const;

  /// What the live view needs of one recent interval and target.
  struct LiveCell {
    stats::PackedHistogram ok;
    uint64_t unanswered = 0;
    uint64_t scheduled = 0, sent = 0, ok_count = 0;
  };
  struct LiveSlot {
    uint32_t snapshots = 0;
    std::map<TargetIndex, LiveCell> targets;
    stats::PackedHistogram lag, wait;
  };

  RunId run_;
  std::shared_ptr<const plan::Plan> plan_;
  Segments segments_;
  std::vector<plan::PhaseRow> phase_rows_;
  std::map<Incarnation, AgentTally> agents_;
  std::map<IntervalIndex, IntervalTally> intervals_;
  std::map<CellKey, stats::Histogram> cells_;
  std::map<TargetOutcome, stats::Histogram> latency_;
  std::map<IntervalIndex, LiveSlot> recent_;
  std::map<size_t, RuleSeries> slo_series_;
  std::vector<RuleSeries> guard_series_;
  IntervalIndex guard_from_ = 0, guard_next_ = 0;
  uint64_t snapshots_ = 0;
  uint64_t unbalanced_ = 0;
};

}  // namespace broadside::merge
