#include "controller/server/view.h"

#include <string>

#include "common/breaker/outcome.h"

namespace broadside::controller {
namespace {

/// The cells of one measure and outcome key, all phases added.
stats::Histogram Merged(const merge::RunMerge& merge, stats::Measure measure,
                        std::string_view outcome, std::optional<TargetIndex> target) {
  stats::Histogram out;
  for (const auto& [key, histogram] : merge.cells())
    if (key.measure == measure && key.outcome == outcome && (!target || key.row.target == *target))
      out.Add(histogram);
  return out;
}

server::QuantileView Recent(const merge::LiveTarget& live) {
  server::QuantileView out;
  const std::optional<int64_t> values[] = {live.p50, live.p90, live.p99, live.p999};
  for (size_t i = 0; i < out.seconds.size(); ++i) {
    if (live.n == 0) continue;  // NaN stands
    out.seconds[i] = values[i] ? static_cast<double>(*values[i]) * 1e-9
                               : std::numeric_limits<double>::infinity();
  }
  return out;
}

server::TargetView TargetOf(const plan::Target& target, TargetIndex index,
                            const merge::LiveTarget& live, const merge::RunMerge& merge) {
  const stats::Counters& c = live.counters;
  server::TargetView out{.name = target.name, .model = target.model};
  out.scheduled = c.scheduled;
  out.sent = c.sent;
  out.dropped = c.dropped;
  out.expired = c.expired;
  out.bytes_out = c.bytes_out;
  out.bytes_in = c.bytes_in;
  out.inferences = c.inferences;
  out.in_flight = c.in_flight;
  out.waiting = c.waiting;
  out.offered = live.scheduled_rate;
  out.achieved = live.sent_rate;
  uint64_t unanswered = 0;
  for (const auto& [outcome, count] : live.outcomes) {
    out.outcomes[outcome].count = count;
    if (breaker::IsUnanswered(outcome)) unanswered += count;
  }
  for (const auto& [key, histogram] : merge.latency())
    if (key.first == index) out.outcomes[key.second].latency = server::DurationOf(histogram);
  if (const auto ok = merge.latency().find({index, "ok"}); ok != merge.latency().end())
    out.latency = server::QuantilesOf(ok->second, unanswered);
  out.recent_latency = Recent(live);
  out.wait = server::QuantilesOf(Merged(merge, stats::Measure::kWait, "ok", index));
  return out;
}

}  // namespace

server::RunView ViewOf(const RunCore& core, const merge::RunMerge& merge, const merge::View& live) {
  server::RunView out{.id = core.spec().run.value(),
                      .name = core.spec().plan->name,
                      .state = std::string(RunStateName(core.state())),
                      .seed = core.spec().seed};
  const std::vector<plan::Target>& targets = core.spec().plan->targets;
  for (size_t i = 0; i < targets.size(); ++i)
    out.targets.push_back(
        TargetOf(targets[i], TargetIndex(static_cast<uint32_t>(i)), live.targets[i], merge));
  out.lag = server::QuantilesOf(Merged(merge, stats::Measure::kLag, stats::kAllSent, std::nullopt));
  for (const auto& [k, interval] : merge.intervals()) {
    ++out.intervals_sealed;
    if (interval.snapshots < merge.agents().size()) ++out.intervals_incomplete;
  }
  return out;
}

}  // namespace broadside::controller
