#include "controller/merge/run_merge.h"

#include <algorithm>
#include <iterator>

#include "common/base/mutants.h"
#include "common/breaker/outcome.h"
#include "common/stats/codec.h"
#include "controller/merge/phases.h"

namespace broadside::merge {
namespace {

constexpr Nanos kLiveWindow = std::chrono::seconds(5);
// Intervals behind the live window that late snapshots may still correct.
constexpr int64_t kLiveSlack = 10;
// More in one interval is no measurement: 10⁷/s is the highest rate and 1 s the longest interval.
constexpr uint64_t kMaxCellCount = uint64_t{1} << 32;
constexpr size_t kMaxOutcomeName = 64;
constexpr size_t kMaxOutcomes = 64;

SequenceTotals TotalsOf(const stats::Snapshot& snapshot) {
  SequenceTotals totals{.interval = snapshot.interval};
  for (const stats::PhaseCounters& row : snapshot.counters) {
    totals.scheduled += row.counters.scheduled;
    totals.sent += row.counters.sent;
    totals.ok += row.counters.ok;
    totals.rejected += row.counters.rejected;
    totals.failed += row.counters.failed;
    totals.in_flight += row.counters.in_flight;
  }
  return totals;
}

}  // namespace

RunMerge::RunMerge(RunId run, std::shared_ptr<const plan::Plan> plan, Segments segments)
    : run_(std::move(run)),
      plan_(std::move(plan)),
      segments_(std::move(segments)),
      phase_rows_(plan::PhaseRows(*plan_)) {
  for (size_t i = 0; i < plan_->slo.size(); ++i) {
    const plan::Rule& rule = plan_->slo[i];
    if (rule.window.kind != plan::Window::Kind::kWhole)
      slo_series_.emplace(i, RuleSeries(*plan_, rule));
  }
  for (const plan::Rule& rule : plan_->guards) guard_series_.emplace_back(*plan_, rule);
}

void RunMerge::AddSegment(std::shared_ptr<const rate::CompiledSegment> segment) {
  segments_.push_back(std::move(segment));
}

IntervalIndex RunMerge::LastPlausibleInterval() const {
  // Replies end by due + timeout; a lost agent's clock may be off by less than an hour.
  const RunTime end = ScheduleEnd(segments_, std::nullopt) + plan_->limits.timeout.total;
  return IntervalOf(end + std::chrono::hours(1), plan_->interval);
}

Status RunMerge::Check(const AgentId& agent, const stats::Snapshot& snapshot) const {
  const auto refuse = [&](const std::string& what) {
    return InvalidArgument(agent.value() + ": snapshot " + std::to_string(snapshot.sequence) +
                           " of run " + run_.value() + ": " + what);
  };
  const auto known = [this](PhaseIndex phase, TargetIndex target) {
    return phase.value() < phase_rows_.size() && target.value() < plan_->targets.size();
  };
  if (snapshot.run != run_) return refuse("it belongs to run " + snapshot.run.value());
  if (snapshot.sequence == 0) return refuse("sequences start at 1");
  if (snapshot.interval_length != plan_->interval) {
    return refuse("its interval is " + std::to_string(snapshot.interval_length.count()) +
                  " ns long, the plan's " + std::to_string(plan_->interval.count()) + " ns");
  }
  if (snapshot.interval > LastPlausibleInterval() || snapshot.interval < -LastPlausibleInterval()) {
    return refuse("interval " + std::to_string(snapshot.interval) + " is far outside the schedule");
  }
  for (const stats::PhaseCounters& row : snapshot.counters) {
    if (!known(row.phase, row.target)) return refuse("a counter of an unknown phase or target");
  }
  for (const stats::OutcomeCount& count : snapshot.outcomes) {
    if (!known(count.phase, count.target))
      return refuse("an outcome of an unknown phase or target");
    if (count.outcome.empty() || count.outcome.size() > kMaxOutcomeName) {
      return refuse("an outcome's name has " + std::to_string(count.outcome.size()) +
                    " characters; 1 to 64 are allowed");
    }
  }
  for (const stats::TargetGauge& gauge : snapshot.gauges) {
    if (!known(PhaseIndex(0), gauge.target)) return refuse("a gauge of an unknown target");
  }
  for (const stats::Cell& cell : snapshot.cells) {
    if (!known(cell.phase, cell.target)) return refuse("a histogram of an unknown phase or target");
    if (cell.outcome.empty() || cell.outcome.size() > kMaxOutcomeName) {
      return refuse("the name of a histogram's outcome has " + std::to_string(cell.outcome.size()) +
                    " characters; 1 to 64 are allowed");
    }
    const TargetOutcome key{cell.target, cell.outcome};
    if (latency_.size() >= kMaxOutcomes * plan_->targets.size() && !latency_.contains(key)) {
      return refuse("more than 64 different outcomes a target");
    }
  }
  return absl::OkStatus();
}

StatusOr<std::vector<DecodedCell>> RunMerge::DecodeCells(const stats::Snapshot& snapshot) const {
  std::vector<DecodedCell> cells;
  cells.reserve(snapshot.cells.size());
  for (const stats::Cell& cell : snapshot.cells) {
    const auto refuse = [&cell](const std::string& what) {
      return InvalidArgument(std::string(stats::MeasureName(cell.measure)) + " of outcome \"" +
                             cell.outcome + "\": " + what);
    };
    if (cell.exact.n > kMaxCellCount) {
      return refuse(std::to_string(cell.exact.n) + " values in one interval");
    }
    auto slots = stats::DecodeSlots(cell.counts, cell.exact);
    if (!slots.ok()) return refuse(MessageOf(slots.status()));
    cells.push_back({&cell, *std::move(slots)});
  }
  return cells;
}

Status RunMerge::Fold(const AgentId& agent, const stats::Snapshot& snapshot) {
  if (const auto known = agents_.find(snapshot.incarnation);
      !MutantIs(Mutant::kNoDedup) && known != agents_.end() &&
      known->second.sequences.contains(snapshot.sequence)) {
    return absl::OkStatus();
  }
  BROADSIDE_RETURN_IF_ERROR(Check(agent, snapshot));
  auto cells = DecodeCells(snapshot);
  if (!cells.ok()) {
    return InvalidArgument(agent.value() + ": snapshot " + std::to_string(snapshot.sequence) +
                           " of run " + run_.value() + ": " + MessageOf(cells.status()));
  }
  AgentTally& tally = agents_[snapshot.incarnation];
  tally.id = agent;
  FoldLive(tally, snapshot, *cells);
  FoldAgent(tally, snapshot);
  FoldCells(tally, snapshot, *cells);
  for (auto& [rule, series] : slo_series_) series.Fold(snapshot, *cells);
  for (RuleSeries& series : guard_series_) series.Fold(snapshot, *cells);
  ++snapshots_;
  return absl::OkStatus();
}

void RunMerge::FoldAgent(AgentTally& agent, const stats::Snapshot& snapshot) {
  agent.sequences[snapshot.sequence] = TotalsOf(snapshot);
  agent.intervals.insert(snapshot.interval);
  bool closes = true;
  for (const stats::PhaseCounters& row : snapshot.counters) {
    AgentTally::Latest& latest = agent.counters[{row.phase, row.target}];
    if (snapshot.sequence > latest.sequence) latest = {snapshot.sequence, row.counters};
    closes = closes && row.counters.Closes();
  }
  if (!closes) {
    ++agent.unbalanced;
    ++unbalanced_;
  }
  for (const stats::OutcomeCount& count : snapshot.outcomes) {
    uint64_t& total = agent.outcomes[{{count.phase, count.target}, count.outcome}];
    total = std::max(total, count.total);
  }
  if (snapshot.sequence > agent.latest_sequence) {
    agent.latest_sequence = snapshot.sequence;
    agent.health = snapshot.health;
  }
  agent.busiest_loop_ppm = std::max(agent.busiest_loop_ppm, snapshot.health.busiest_loop_ppm);
  agent.clock_bound_ns = std::max(agent.clock_bound_ns, snapshot.health.clock_bound_ns);
  agent.clock_slew_ns = std::max(agent.clock_slew_ns, snapshot.health.clock_slew_ns);
  agent.final_totals = agent.final_totals || snapshot.final_totals;

  IntervalTally& interval = intervals_[snapshot.interval];
  ++interval.snapshots;
  for (const stats::TargetGauge& gauge : snapshot.gauges) {
    GaugeSum& sum = interval.gauges[gauge.target];
    sum.in_flight_max += gauge.in_flight_max;
    sum.in_flight_ns += gauge.in_flight_ns;
  }
}

void RunMerge::FoldCells(AgentTally& agent, const stats::Snapshot& snapshot,
                         const std::vector<DecodedCell>& cells) {
  IntervalTally& interval = intervals_[snapshot.interval];
  for (const DecodedCell& decoded : cells) {
    const stats::Cell& cell = *decoded.cell;
    const auto add = [&decoded, &cell](stats::Histogram& into) {
      for (auto used = decoded.slots.rbegin(); used != decoded.slots.rend(); ++used) {
        into.AddSlot(used->slot, used->count);
      }
      into.AddExact(cell.exact);
    };
    add(cells_[{{cell.phase, cell.target}, cell.outcome, cell.measure}]);
    const bool measured = plan::IsMeasured(PhaseOf(cell.phase));
    if (cell.measure == stats::Measure::kLatency) {
      add(latency_[{cell.target, cell.outcome}]);
      if (breaker::GroupOfName(cell.outcome) == breaker::OutcomeGroup::kOk) {
        interval.ok_latency.Add(decoded.slots, cell.exact);
        if (measured) agent.ok_latency.Add(decoded.slots, cell.exact);
      }
    } else if (cell.measure == stats::Measure::kLag) {
      interval.lag.Add(decoded.slots, cell.exact);
      if (measured) agent.lag.Add(decoded.slots, cell.exact);
    }
  }
}

void RunMerge::FoldLive(const AgentTally& agent, const stats::Snapshot& snapshot,
                        const std::vector<DecodedCell>& cells) {
  const int64_t keep = kLiveWindow / plan_->interval + kLiveSlack;
  if (!recent_.empty() && snapshot.interval + keep < recent_.rbegin()->first) return;
  LiveSlot& slot = recent_[snapshot.interval];
  ++slot.snapshots;
  for (const DecodedCell& decoded : cells) {
    const stats::Cell& cell = *decoded.cell;
    if (cell.measure == stats::Measure::kLag) {
      slot.lag.Add(decoded.slots, cell.exact);
    } else if (cell.measure == stats::Measure::kWait) {
      slot.wait.Add(decoded.slots, cell.exact);
    } else if (cell.measure == stats::Measure::kLatency) {
      if (breaker::GroupOfName(cell.outcome) == breaker::OutcomeGroup::kOk) {
        slot.targets[cell.target].ok.Add(decoded.slots, cell.exact);
      } else if (breaker::IsUnanswered(cell.outcome)) {
        slot.targets[cell.target].unanswered += cell.exact.n;
      }
    }
  }
  // A rate needs the counters of the snapshot before; what comes out of order leaves it as it is.
  if (snapshot.sequence > agent.latest_sequence) {
    for (const stats::PhaseCounters& row : snapshot.counters) {
      stats::Counters before;
      if (const auto had = agent.counters.find({row.phase, row.target});
          had != agent.counters.end()) {
        before = had->second.counters;
      }
      LiveCell& cell = slot.targets[row.target];
      cell.scheduled += Rise(row.counters.scheduled, before.scheduled);
      cell.sent += Rise(row.counters.sent, before.sent);
      cell.ok_count += Rise(row.counters.ok, before.ok);
    }
  }
  while (recent_.begin()->first + keep < recent_.rbegin()->first) recent_.erase(recent_.begin());
}

IntervalIndex RunMerge::RateInterval() const {
  if (recent_.empty()) return -1;
  // The newest interval is still filling up while agents report; take the one before it then.
  const auto newest = recent_.rbegin();
  const auto before = std::next(newest);
  if (before != recent_.rend() && newest->second.snapshots < before->second.snapshots) {
    return before->first;
  }
  return newest->first;
}

std::optional<report::RuleResult> RunMerge::CheckGuards() {
  if (guard_series_.empty()) return std::nullopt;
  const std::vector<PhaseSpan> spans =
      PhaseSpans(phase_rows_.size(), segments_, ScheduleEnd(segments_, std::nullopt));
  for (const IntervalIndex newest = RateInterval(); guard_next_ <= newest; ++guard_next_) {
    for (const RuleSeries& series : guard_series_) {
      if (auto fired = series.FiresAt(guard_next_, guard_from_, spans)) return fired;
    }
  }
  return std::nullopt;
}

View RunMerge::Live() const {
  View view;
  view.snapshots = snapshots_;
  view.unbalanced = unbalanced_;
  view.rate_interval = RateInterval();
  view.total.name = "total";
  view.targets.resize(plan_->targets.size());
  for (size_t i = 0; i < view.targets.size(); ++i) view.targets[i].name = plan_->targets[i].name;
  for (const auto& [incarnation, agent] : agents_) {
    for (const auto& [row, latest] : agent.counters) {
      view.targets[row.target.value()].counters.Add(latest.counters);
      view.total.counters.Add(latest.counters);
    }
    for (const auto& [key, total] : agent.outcomes) {
      view.targets[key.row.target.value()].outcomes[key.outcome] += total;
      view.total.outcomes[key.outcome] += total;
    }
  }

  std::vector<stats::Histogram> ok(view.targets.size());
  stats::Histogram all_ok, lag, wait;
  const int64_t window = std::max<int64_t>(1, kLiveWindow / plan_->interval);
  const double seconds = static_cast<double>(plan_->interval.count()) / 1e9;
  const auto rate = [seconds](std::optional<double>& into, uint64_t count) {
    into = into.value_or(0) + static_cast<double>(count) / seconds;
  };
  for (const auto& [k, slot] : recent_) {
    if (k > view.rate_interval || k + window <= view.rate_interval) continue;
    slot.lag.AddTo(lag);
    slot.wait.AddTo(wait);
    for (const auto& [target, cell] : slot.targets) {
      LiveTarget& live = view.targets[target.value()];
      cell.ok.AddTo(ok[target.value()]);
      live.unanswered += cell.unanswered;
      view.total.unanswered += cell.unanswered;
      if (k != view.rate_interval) continue;
      for (LiveTarget* into : {&live, &view.total}) {
        rate(into->scheduled_rate, cell.scheduled);
        rate(into->sent_rate, cell.sent);
        rate(into->ok_rate, cell.ok_count);
      }
    }
    if (k == view.rate_interval) view.agents_reported = slot.snapshots;
  }
  const auto percentiles = [](LiveTarget& live, const stats::Histogram& histogram) {
    live.n = histogram.n() + live.unanswered;
    live.p50 = histogram.Percentile(500'000, live.unanswered);
    live.p90 = histogram.Percentile(900'000, live.unanswered);
    live.p99 = histogram.Percentile(990'000, live.unanswered);
    live.p999 = histogram.Percentile(999'000, live.unanswered);
  };
  for (size_t i = 0; i < ok.size(); ++i) {
    percentiles(view.targets[i], ok[i]);
    all_ok.Add(ok[i]);
  }
  percentiles(view.total, all_ok);
  view.lag_p99 = lag.Percentile(990'000);
  view.wait_p99 = wait.Percentile(990'000);
  return view;
}

}  // namespace broadside::merge
