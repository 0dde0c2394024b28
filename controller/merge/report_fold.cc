#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <set>

#include "common/base/digest.h"
#include "common/breaker/outcome.h"
#include "common/report/format.h"
#include "controller/merge/coverage.h"
#include "controller/merge/ledger.h"
#include "controller/merge/phases.h"
#include "controller/merge/run_merge.h"
#include "controller/merge/slo.h"
#include "controller/merge/summary.h"
#include "controller/merge/validity.h"

namespace broadside::merge {
namespace {

using stats::Measure;

const std::string& OkName() {
  static const std::string kOk(breaker::OutcomeName(breaker::Outcome::kOk));
  return kOk;
}

double Seconds(Nanos length) { return static_cast<double>(length.count()) / 1e9; }

std::optional<double> PerSecond(uint64_t count, Nanos length) {
  if (length <= Nanos(0)) return std::nullopt;
  return static_cast<double>(count) / Seconds(length);
}

double AsDouble(uint128 value) { return static_cast<double>(value); }

/// One report out of everything folded.
class ReportFold {
 public:
  ReportFold(const RunMerge& merge, const CloseFacts& facts)
      : merge_(merge),
        facts_(facts),
        plan_(merge.plan()),
        end_(ScheduleEnd(merge.segments(), facts.stopped_at)),
        spans_(PhaseSpans(merge.phase_rows().size(), merge.segments(), end_)),
        ledger_(CloseLedger(merge, facts)) {
    for (const auto& [incarnation, agent] : merge_.agents()) {
      for (const auto& [row, latest] : agent.counters) counters_[row].Add(latest.counters);
      for (const auto& [key, total] : agent.outcomes) outcomes_[key] += total;
    }
  }

  report::Report Build() {
    report::Report report;
    FillHead(report);
    FillSections(report);
    FillIntervals(report);
    report.coverage = CoverageOf(merge_, facts_);
    FillAgents(report);
    FillSlo(report);
    FillValidity(report);
    return report;
  }

 private:
  using Rows = std::set<Row>;

  void FillHead(report::Report& report) const {
    report.run_id = facts_.run_id;
    report.name = plan_.name;
    report.state = facts_.state;
    report.state_reason = facts_.state_reason;
    report.started_wall_ns = facts_.started_wall_ns;
    report.ended_wall_ns = facts_.ended_wall_ns;
    report.seed = facts_.seed;
    report.plan_sha256 = facts_.plan_sha256;
    report.plan_yaml = facts_.plan_yaml;
    report.versions = facts_.versions;
    report.tags = plan_.tags;
    report.timeout_ns = plan_.limits.timeout.total.count();
    report.closed_loop = std::any_of(plan_.phases.begin(), plan_.phases.end(), IsClosedLoop);
    for (const auto& [row, totals] : ledger_.rows) AddTotals(report.ledger, totals);
  }

  // ---- Sections ----

  /// All rows that the schedule or an agent knows and `wanted` accepts.
  template <class Wanted>
  Rows RowsWhere(Wanted wanted) const {
    Rows rows;
    for (const auto& [row, totals] : ledger_.rows) {
      if (wanted(row)) rows.insert(row);
    }
    return rows;
  }
  bool Measured(PhaseIndex phase) const { return plan::IsMeasured(merge_.PhaseOf(phase)); }
  /// Planned length of the phases in which `rows` have load.
  Nanos LengthOf(const Rows& rows) const {
    std::set<PhaseIndex> phases;
    for (const Row& row : rows) phases.insert(row.phase);
    Nanos length{};
    for (const PhaseIndex phase : phases) length += spans_[phase.value()].length();
    return length;
  }

  stats::Histogram Merged(const Rows& rows, Measure measure, const std::string& outcome) const {
    stats::Histogram merged;
    for (const Row& row : rows) {
      const auto cell = merge_.cells().find({row, outcome, measure});
      if (cell != merge_.cells().end()) merged.Add(cell->second);
    }
    return merged;
  }

  report::Section MakeSection(std::string name, const Rows& rows, Nanos length) const {
    report::Section section;
    section.name = std::move(name);
    section.length_ns = length.count();
    bool closed_loop = false;
    for (const Row& row : rows) {
      if (const auto totals = ledger_.rows.find(row); totals != ledger_.rows.end()) {
        AddTotals(section.ledger, totals->second);
      }
      closed_loop = closed_loop || IsClosedLoop(merge_.PhaseOf(row.phase));
      const auto counted = counters_.find(row);
      if (counted == counters_.end()) continue;
      section.bytes_out += counted->second.bytes_out;
      section.bytes_in += counted->second.bytes_in;
      section.inferences += counted->second.inferences;
      section.limited += counted->second.limited;
    }
    uint64_t unanswered = section.ledger.in_flight;
    for (const auto& [key, total] : outcomes_) {
      if (total == 0 || !rows.contains(key.row)) continue;
      section.outcomes[key.outcome] += total;
      if (breaker::IsUnanswered(key.outcome)) unanswered += total;
    }
    if (!closed_loop) section.offered = PerSecond(section.ledger.scheduled, length);
    section.achieved = PerSecond(section.ledger.sent, length);
    section.ok_rate = PerSecond(section.ledger.ok, length);
    section.inference_rate = PerSecond(section.inferences, length);
    FillMeasures(section, rows, length, unanswered);
    return section;
  }

  void FillMeasures(report::Section& section, const Rows& rows, Nanos length,
                    uint64_t unanswered) const {
    const stats::Histogram latency = Merged(rows, Measure::kLatency, OkName());
    const stats::Histogram service = Merged(rows, Measure::kService, OkName());
    section.latency = Summarise(latency, unanswered);
    section.service = Summarise(service);
    section.wait = Summarise(Merged(rows, Measure::kWait, OkName()));
    section.first_byte = Summarise(Merged(rows, Measure::kFirstByte, OkName()));
    section.lag = Summarise(Merged(rows, Measure::kLag, std::string(stats::kAllSent)));
    section.bars = MakeBars(latency);
    double busy_ns = AsDouble(service.exact().sum);
    for (const auto& [outcome, count] : section.outcomes) {
      const stats::Histogram histogram = Merged(rows, Measure::kLatency, outcome);
      section.by_outcome[outcome] = Summarise(histogram);
      if (outcome != OkName()) busy_ns += AsDouble(histogram.exact().sum);
    }
    if (length > Nanos(0)) section.little = busy_ns / static_cast<double>(length.count());
  }

  /// In-flight figures from the intervals that start in one of `phases`.
  template <class Wanted>
  void FillInFlight(report::Section& section, const std::set<PhaseIndex>& phases,
                    Wanted wanted) const {
    double integral = 0;
    uint64_t intervals = 0;
    for (const auto& [k, interval] : merge_.intervals()) {
      const RunTime start = IntervalStart(k, plan_.interval);
      const bool inside = std::any_of(phases.begin(), phases.end(), [&](PhaseIndex phase) {
        const PhaseSpan& span = spans_[phase.value()];
        return start >= span.start && start < span.end;
      });
      if (!inside) continue;
      ++intervals;
      uint64_t max = 0;
      for (const auto& [target, gauge] : interval.gauges) {
        if (!wanted(target)) continue;
        max += gauge.in_flight_max;
        integral += static_cast<double>(gauge.in_flight_ns);
      }
      section.in_flight_max = std::max(section.in_flight_max, max);
    }
    if (intervals == 0) return;
    section.in_flight_mean =
        integral / (static_cast<double>(intervals) * static_cast<double>(plan_.interval.count()));
  }

  void FillSections(report::Report& report) const {
    std::set<PhaseIndex> measured;
    for (uint32_t i = 0; i < spans_.size(); ++i) {
      if (Measured(PhaseIndex(i))) measured.insert(PhaseIndex(i));
    }
    const Rows all = RowsWhere([&](const Row& row) { return measured.contains(row.phase); });
    report.total = MakeSection("total", all, LengthOf(all));
    FillInFlight(report.total, measured, [](TargetIndex) { return true; });
    for (uint32_t i = 0; i < plan_.targets.size(); ++i) {
      const TargetIndex target(i);
      Rows rows = all;
      std::erase_if(rows, [target](const Row& row) { return row.target != target; });
      report.targets.push_back(MakeSection(plan_.targets[i].name, rows, LengthOf(rows)));
      FillInFlight(report.targets.back(), measured,
                   [target](TargetIndex t) { return t == target; });
    }
    for (uint32_t i = 0; i < spans_.size(); ++i) {
      report.phases.push_back(MakePhase(PhaseIndex(i)));
    }
    WarnOfSmallSamples(report);
  }

  report::Section MakePhase(PhaseIndex phase) const {
    const plan::Phase& planned = merge_.PhaseOf(phase);
    const plan::PhaseRow& named = merge_.phase_rows()[phase.value()];
    const PhaseSpan& span = spans_[phase.value()];
    const Rows rows = RowsWhere([phase](const Row& row) { return row.phase == phase; });
    report::Section section = MakeSection(named.name, rows, span.length());
    section.asked = AskedText(planned, named.step);
    section.asked_mean = AskedMean(merge_.segments(), phase, end_);
    section.measured = plan::IsMeasured(planned);
    section.start_ns = span.start.time_since_epoch().count();
    FillInFlight(section, {phase}, [](TargetIndex) { return true; });
    if (rows.size() > 1) {
      for (const Row& row : rows) {
        section.targets.push_back(
            MakeSection(plan_.targets[row.target.value()].name, {row}, span.length()));
        FillInFlight(section.targets.back(), {phase},
                     [&row](TargetIndex target) { return target == row.target; });
      }
    }
    return section;
  }

  static void WarnOfSmallSamples(report::Report& report) {
    const auto warn = [&report](const report::Section& section, const std::string& of) {
      const uint64_t n = section.latency.n + section.latency.censored;
      if (n == 0 || n >= 2995) return;
      const std::string samples =
          "latency of " + of + section.name + " has " + report::FormatCount(n) + " samples: ";
      report.warnings.push_back(n < 299 ? samples +
                                              "P99 needs 299 and P99.9 2,995 for a 95 % upper bound"
                                        : samples + "P99.9 needs 2,995 for a 95 % upper bound");
    };
    for (const report::Section& section : report.targets) warn(section, "target ");
    for (const report::Section& section : report.phases) {
      if (section.measured) warn(section, "phase ");
    }
  }

  // ---- Intervals ----

  void FillIntervals(report::Report& report) const {
    if (end_ <= RunStart()) return;
    IntervalIndex last = IntervalOf(end_ - Nanos(1), plan_.interval);
    if (!merge_.intervals().empty()) last = std::max(last, merge_.intervals().rbegin()->first);
    report.intervals.resize(static_cast<size_t>(last + 1));
    for (IntervalIndex k = 0; k <= last; ++k) FillRow(report.intervals[static_cast<size_t>(k)], k);
    for (const auto& [incarnation, agent] : merge_.agents()) {
      SequenceTotals before;
      for (const auto& [sequence, totals] : agent.sequences) {
        if (totals.interval >= 0) {
          report::IntervalRow& row = report.intervals[static_cast<size_t>(totals.interval)];
          row.scheduled += Rise(totals.scheduled, before.scheduled);
          row.sent += Rise(totals.sent, before.sent);
          row.ok += Rise(totals.ok, before.ok);
          row.rejected += Rise(totals.rejected, before.rejected);
          row.failed += Rise(totals.failed, before.failed);
        }
        before = totals;
      }
      for (const auto& [k, in_flight] : InFlightByInterval(agent)) {
        if (k >= 0) report.intervals[static_cast<size_t>(k)].in_flight += in_flight;
      }
      for (const IntervalIndex k : agent.intervals) {
        if (k >= 0) ++report.intervals[static_cast<size_t>(k)].agents;
      }
    }
  }

  static std::map<IntervalIndex, uint64_t> InFlightByInterval(const AgentTally& agent) {
    std::map<IntervalIndex, uint64_t> in_flight;  // of the last snapshot of each interval
    for (const auto& [sequence, totals] : agent.sequences) {
      in_flight[totals.interval] = totals.in_flight;
    }
    return in_flight;
  }

  void FillRow(report::IntervalRow& row, IntervalIndex k) const {
    row.k = k;
    const RunTime start = IntervalStart(k, plan_.interval);
    const RunTime stop = std::min(IntervalStart(k + 1, plan_.interval), end_);
    row.start_ns = start.time_since_epoch().count();
    row.complete = IsComplete(merge_, facts_, k);
    for (size_t i = 0; i < spans_.size(); ++i) {
      if (start < spans_[i].start || start >= spans_[i].end) continue;
      row.phase = merge_.phase_rows()[i].name;
      if (!IsClosedLoop(merge_.PhaseOf(PhaseIndex(static_cast<uint32_t>(i))))) {
        row.offered = PerSecond(CountDue(merge_.segments(), start, stop), stop - start);
      }
    }
    const auto interval = merge_.intervals().find(k);
    if (interval == merge_.intervals().end()) return;
    const stats::Histogram ok = interval->second.ok_latency.Unpack();
    row.p50 = ok.Percentile(500'000);
    row.p99 = ok.Percentile(990'000);
    row.lag_p99 = interval->second.lag.Unpack().Percentile(990'000);
  }

  // ---- Agents ----

  void FillAgents(report::Report& report) const {
    const Rows all = RowsWhere([this](const Row& row) { return Measured(row.phase); });
    const stats::Histogram ok = Merged(all, Measure::kLatency, OkName());
    const std::optional<int64_t> p99 = ok.Percentile(990'000);
    const int32_t slow_from = p99 ? stats::SlotOf(*p99) : 0;
    uint64_t slow = 0;
    for (int32_t slot = slow_from; slot < ok.slots_used(); ++slot) slow += ok.CountAt(slot);
    std::set<Incarnation> known;
    for (const AgentFact& fact : facts_.agents) {
      known.insert(fact.incarnation);
      report.agents.push_back(MakeAgent(fact, slow_from, slow));
    }
    for (const auto& [incarnation, agent] : merge_.agents()) {
      if (known.contains(incarnation)) continue;
      report.agents.push_back(MakeAgent({agent.id, incarnation, "unknown", {}}, slow_from, slow));
    }
    std::sort(report.agents.begin(), report.agents.end(),
              [](const report::AgentRow& left, const report::AgentRow& right) {
                return std::pair(left.id, left.incarnation) <
                       std::pair(right.id, right.incarnation);
              });
  }

  report::AgentRow MakeAgent(const AgentFact& fact, int32_t slow_from, uint64_t slow) const {
    report::AgentRow row;
    row.id = fact.id.value();
    row.incarnation = Hex(fact.incarnation.value(), 16);
    row.state = fact.state;
    row.labels = fact.labels;
    const auto found = merge_.agents().find(fact.incarnation);
    if (found == merge_.agents().end()) return row;
    const AgentTally& agent = found->second;
    for (const auto& [key, latest] : agent.counters) row.sent += latest.counters.sent;
    const stats::Histogram ok = agent.ok_latency.Unpack();
    const stats::Histogram lag = agent.lag.Unpack();
    row.p50 = ok.Percentile(500'000);
    row.p99 = ok.Percentile(990'000);
    row.lag_p50 = lag.Percentile(500'000);
    row.lag_p99 = lag.Percentile(990'000);
    if (slow > 0) {
      uint64_t own = 0;
      for (int32_t slot = slow_from; slot < ok.slots_used(); ++slot) own += ok.CountAt(slot);
      row.slow_share = static_cast<double>(own) / static_cast<double>(slow);
    }
    row.clock_bound_ns = static_cast<int64_t>(agent.clock_bound_ns);
    row.start_skew_ns = agent.health.start_skew_ns;
    row.busiest_loop = static_cast<double>(agent.busiest_loop_ppm) / 1e6;
    row.cpu_ns = agent.health.cpu_ns;
    row.throttled_ns = agent.health.throttled_ns;
    row.loops = agent.health.loops;
    return row;
  }

  // ---- Verdicts ----

  void FillSlo(report::Report& report) const {
    const SloInput input{&merge_, &ledger_, &spans_, &outcomes_};
    for (size_t i = 0; i < plan_.slo.size(); ++i) {
      const auto windowed = merge_.slo_series().find(i);
      report.slo_results.push_back(windowed == merge_.slo_series().end()
                                       ? JudgeRule(plan_.slo[i], input)
                                       : windowed->second.Judge(spans_));
    }
    report.slo = SloVerdict(report.slo_results);
  }

  void FillValidity(report::Report& report) const {
    auto thresholds = ParseThresholds(plan_.validity);
    if (!thresholds.ok()) report.warnings.push_back(MessageOf(thresholds.status()));
    ValidityFacts facts;
    facts.ok_service_p50 = report.total.service.p50;
    facts.run_length_ns = (end_ - RunStart()).count();
    facts.measured = report.total.ledger;
    facts.run = report.ledger;
    facts.limited = report.total.limited;
    facts.wait_p99 = report.total.wait.p99;
    facts.coverage = report.coverage;
    facts.limits = plan_.limits;
    for (const report::Section& phase : report.phases) {
      if (!phase.measured) continue;
      facts.measured_phases.push_back(
          {phase.name, phase.ledger.scheduled, phase.ledger.unowned, phase.ledger.unreported});
    }
    for (const auto& [incarnation, agent] : merge_.agents()) {
      facts.agents.push_back(SignsOf(agent));
      facts.own_fault += facts.agents.back().own_fault;
    }
    std::sort(facts.agents.begin(), facts.agents.end(),
              [](const AgentSigns& left, const AgentSigns& right) { return left.id < right.id; });
    if (report.coverage.complete == report.coverage.intervals) facts.little = MakeLittle();
    report.validity = Judge(facts, thresholds.ok() ? *thresholds : Thresholds{});
  }

  AgentSigns SignsOf(const AgentTally& agent) const {
    AgentSigns signs;
    signs.id = agent.id.value();
    signs.lag_p99 = agent.lag.Unpack().Percentile(990'000);
    for (const auto& [row, latest] : agent.counters) {
      if (!Measured(row.phase)) continue;
      signs.scheduled += latest.counters.scheduled;
      signs.own_fault += latest.counters.own_fault;
    }
    signs.loops = agent.health.loops;
    signs.busiest_loop = static_cast<double>(agent.busiest_loop_ppm) / 1e6;
    signs.throttled_ns = agent.health.throttled_ns;
    signs.clock_bound_ns = agent.clock_bound_ns;
    signs.clock_slew_ns = agent.clock_slew_ns;
    signs.start_skew_ns = agent.health.start_skew_ns;
    signs.unbalanced = agent.unbalanced;
    signs.outbox_dropped = agent.health.outbox_dropped;
    signs.folded_cells = agent.health.folded_cells;
    signs.stale_resets = agent.health.stale_resets;
    signs.unvalidated = agent.health.unvalidated;
    return signs;
  }

  /// Over the whole run, where the integral of requests in flight and the sum of their times are
  /// the same thing but for what failed before or without being sent in full.
  LittleSign MakeLittle() const {
    const Rows all = RowsWhere([](const Row&) { return true; });
    double measured = 0;
    for (const auto& [k, interval] : merge_.intervals()) {
      for (const auto& [target, gauge] : interval.gauges) {
        measured += static_cast<double>(gauge.in_flight_ns);
      }
    }
    const stats::Histogram ok = Merged(all, Measure::kLatency, OkName());
    const double service = AsDouble(Merged(all, Measure::kService, OkName()).exact().sum);
    const double before_sent =
        ok.n() == 0 ? 0 : (AsDouble(ok.exact().sum) - service) / static_cast<double>(ok.n());
    LittleSign little{.low = service, .high = service, .ended = ok.n()};
    for (const auto& [key, histogram] : merge_.cells()) {
      if (key.measure != Measure::kLatency || key.outcome == OkName()) continue;
      const double latency = AsDouble(histogram.exact().sum);
      const auto n = static_cast<double>(histogram.n());
      little.low += std::max(0.0, latency - n * std::max(0.0, before_sent));
      little.high += latency;
      little.ended += histogram.n();
    }
    const auto length = static_cast<double>(std::max<int64_t>(1, (end_ - RunStart()).count()));
    little.measured = measured / length;
    little.low /= length;
    little.high /= length;
    return little;
  }

  const RunMerge& merge_;
  const CloseFacts& facts_;
  const plan::Plan& plan_;
  RunTime end_;
  std::vector<PhaseSpan> spans_;
  Ledger ledger_;
  std::map<Row, stats::Counters> counters_;
  std::map<RowOutcome, uint64_t> outcomes_;
};

}  // namespace

report::Report RunMerge::Finish(const CloseFacts& facts) const {
  return ReportFold(*this, facts).Build();
}

}  // namespace broadside::merge
