#include "controller/server/metrics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "common/rpc/exposition.h"
#include "common/rpc/process_metrics.h"

namespace broadside::server {

namespace {

using rpc::Exposition;
using rpc::MetricBucket;
using rpc::MetricFamilyInfo;
using rpc::MetricLabels;

constexpr MetricFamilyInfo kBuild = {"broadside_build_info", "Version of this controller."};
constexpr MetricFamilyInfo kIncarnation = {"broadside_controller_incarnation",
                                           "How often this controller's store was opened."};
constexpr MetricFamilyInfo kAgents = {"broadside_agents", "Agents by state."};
constexpr MetricFamilyInfo kRunInfo = {"broadside_run_info", "Runs shown here; always 1."};
constexpr MetricFamilyInfo kRunState = {"broadside_run_state",
                                        "1 for the state that the run is in."};
constexpr MetricFamilyInfo kValidity = {
    "broadside_run_validity",
    "1 for the run's present validity verdict; all 0 before there is one."};
constexpr MetricFamilyInfo kMismatch = {
    "broadside_ledger_mismatch_requests",
    "Requests by which the run's ledger does not close; anything but 0 is a bug of Broadside."};
constexpr MetricFamilyInfo kIntervals = {
    "broadside_intervals_total",
    "Intervals of the run that are final, by whether every agent's snapshot is in."};
constexpr MetricFamilyInfo kLag = {
    "broadside_lag_quantile_seconds",
    "Lag of sent requests over the run (ready - due), the generator's own fault; by quantile q."};
constexpr MetricFamilyInfo kDuration = {
    "broadside_request_duration_seconds",
    "Latency (completed - due) by how the request ended, cluster-wide."};
constexpr MetricFamilyInfo kQuantile = {
    "broadside_request_duration_quantile_seconds",
    "Latency of ok requests by quantile q, of the whole run or the recent intervals; NaN of "
    "nothing, +Inf beyond the timeout."};
constexpr MetricFamilyInfo kWait = {
    "broadside_wait_quantile_seconds",
    "Wait of ok requests for a connection over the run (sent - ready) by quantile q."};
constexpr MetricFamilyInfo kRequests = {"broadside_requests_total",
                                        "Requests that ended, by outcome."};
constexpr MetricFamilyInfo kScheduled = {"broadside_requests_scheduled_total",
                                         "Arrivals that the schedule made due."};
constexpr MetricFamilyInfo kSent = {"broadside_requests_sent_total", "Requests begun."};
constexpr MetricFamilyInfo kUnsent = {"broadside_requests_unsent_total",
                                      "Arrivals not sent, or not known to have been, by reason."};
constexpr MetricFamilyInfo kInFlight = {"broadside_requests_in_flight",
                                        "Requests sent and not ended."};
constexpr MetricFamilyInfo kWaiting = {"broadside_requests_waiting",
                                       "Arrivals taken up that wait for a connection."};
constexpr MetricFamilyInfo kOffered = {
    "broadside_offered_requests_per_second",
    "Rate that the schedule asks for now; absent for a closed loop, which has none."};
constexpr MetricFamilyInfo kAchieved = {"broadside_achieved_requests_per_second",
                                        "Rate at which requests are sent now."};
constexpr MetricFamilyInfo kBytes = {"broadside_bytes_total",
                                     "Bytes exchanged with the target, by direction."};
constexpr MetricFamilyInfo kInferences = {"broadside_inferences_total",
                                          "Batch items of ok replies."};
constexpr MetricFamilyInfo kStoreOps = {"broadside_store_operations_total",
                                        "Writes to the store by result."};
constexpr MetricFamilyInfo kStoreCommits = {"broadside_store_commits_total",
                                            "Transactions committed by the store."};
constexpr MetricFamilyInfo kStoreQueue = {"broadside_store_queue_operations",
                                          "Writes that wait for the store."};
constexpr MetricFamilyInfo kStoreQueueBytes = {"broadside_store_queue_bytes",
                                               "Size of the writes that wait for the store."};
constexpr MetricFamilyInfo kFolded = {
    "broadside_exposition_folded",
    "Label values folded into \"other\" now, and runs left out, to bound this page."};

constexpr const char* kOther = "other";
constexpr const char* kQuantileNames[] = {"0.5", "0.9", "0.99", "0.999"};
constexpr const char* kVerdicts[] = {"VALID", "DEGRADED", "INVALID"};
// The order and the names of the core's run states.
constexpr const char* kStates[] = {"waiting", "preparing", "starting", "running",   "draining",
                                   "closing", "completed", "aborted",  "cancelled", "failed"};

constexpr double Number(uint64_t value) { return static_cast<double>(value); }

struct Folded {
  uint64_t runs = 0, targets = 0, outcomes = 0;
};

MetricLabels With(MetricLabels labels, const char* name, const std::string& value) {
  labels.emplace_back(name, value);
  return labels;
}

void AddQuantiles(Exposition& out, const MetricFamilyInfo& family, const MetricLabels& labels,
                  const QuantileView& view) {
  for (size_t i = 0; i < view.seconds.size(); ++i) {
    out.Gauge(family, With(labels, "q", kQuantileNames[i]), view.seconds[i]);
  }
}

/// At most `limit` outcomes, ok always among them; the rarer ones beyond become "other".
std::map<std::string, OutcomeView> BoundedOutcomes(const TargetView& target, size_t limit,
                                                   Folded& folded) {
  std::vector<std::pair<std::string, const OutcomeView*>> order;
  for (const auto& [name, view] : target.outcomes) {
    if (name != "ok" && name != kOther) order.emplace_back(name, &view);
  }
  // By name among equals, so that a scrape without news looks like the one before.
  std::stable_sort(order.begin(), order.end(),
                   [](const auto& a, const auto& b) { return a.second->count > b.second->count; });
  std::map<std::string, OutcomeView> kept;
  kept["ok"];
  for (const auto& [name, view] : target.outcomes) {
    if (name == "ok" || name == kOther) kept[name].Add(view);
  }
  for (const auto& [name, view] : order) {
    const bool fits = kept.size() - kept.count(kOther) < limit;
    if (!fits) ++folded.outcomes;
    kept[fits ? name : kOther].Add(*view);
  }
  return kept;
}

void AddInto(TargetView& into, const TargetView& from) {
  for (const auto& [name, view] : from.outcomes) into.outcomes[name].Add(view);
  into.scheduled += from.scheduled;
  into.sent += from.sent;
  into.dropped += from.dropped;
  into.expired += from.expired;
  into.unowned += from.unowned;
  into.unreported += from.unreported;
  into.bytes_out += from.bytes_out;
  into.bytes_in += from.bytes_in;
  into.inferences += from.inferences;
  into.in_flight += from.in_flight;
  into.waiting += from.waiting;
  if (from.offered) into.offered = into.offered.value_or(0) + *from.offered;
  if (from.achieved) into.achieved = into.achieved.value_or(0) + *from.achieved;
}

void AddTarget(Exposition& out, const std::string& run, const TargetView& target,
               const MetricsLimits& limits, Folded& folded) {
  const MetricLabels labels = {{"run", run}, {"target", target.name}, {"model", target.model}};
  std::array<MetricBucket, kDurationBounds> buckets;
  for (const auto& [outcome, view] : BoundedOutcomes(target, limits.outcomes, folded)) {
    for (size_t i = 0; i < kDurationBounds; ++i) {
      buckets[i] = {static_cast<double>(DurationBounds()[i]) / 1e9, view.latency.at_or_below[i]};
    }
    const MetricLabels by_outcome = With(labels, "outcome", outcome);
    out.Histogram(kDuration, by_outcome, view.latency.n, view.latency.sum_seconds, buckets);
    out.Counter(kRequests, by_outcome, Number(view.count));
  }
  AddQuantiles(out, kQuantile, With(labels, "window", "run"), target.latency);
  AddQuantiles(out, kQuantile, With(labels, "window", "recent"), target.recent_latency);
  AddQuantiles(out, kWait, labels, target.wait);
  out.Counter(kScheduled, labels, Number(target.scheduled));
  out.Counter(kSent, labels, Number(target.sent));
  out.Counter(kUnsent, With(labels, "reason", "dropped"), Number(target.dropped));
  out.Counter(kUnsent, With(labels, "reason", "expired"), Number(target.expired));
  out.Counter(kUnsent, With(labels, "reason", "unowned"), Number(target.unowned));
  out.Counter(kUnsent, With(labels, "reason", "unreported"), Number(target.unreported));
  out.Gauge(kInFlight, labels, Number(target.in_flight));
  out.Gauge(kWaiting, labels, Number(target.waiting));
  if (target.offered) out.Gauge(kOffered, labels, *target.offered);
  out.Gauge(kAchieved, labels, target.achieved.value_or(0));
  out.Counter(kBytes, With(labels, "direction", "sent"), Number(target.bytes_out));
  out.Counter(kBytes, With(labels, "direction", "received"), Number(target.bytes_in));
  out.Counter(kInferences, labels, Number(target.inferences));
}

void AddRun(Exposition& out, const RunView& run, const MetricsLimits& limits, Folded& folded) {
  const MetricLabels labels = {{"run", run.id}};
  out.Gauge(kRunInfo,
            {{"run", run.id},
             {"name", run.name},
             {"plan_sha256", run.plan_sha256},
             {"seed", std::to_string(run.seed)}},
            1);
  for (const char* state : kStates) {
    out.Gauge(kRunState, With(labels, "state", state), run.state == state ? 1 : 0);
  }
  for (const char* verdict : kVerdicts) {
    out.Gauge(kValidity, With(labels, "verdict", verdict), run.validity == verdict ? 1 : 0);
  }
  out.Gauge(kMismatch, labels, static_cast<double>(run.ledger_mismatch));
  out.Counter(kIntervals, With(labels, "coverage", "complete"),
              Number(run.intervals_sealed - run.intervals_incomplete));
  out.Counter(kIntervals, With(labels, "coverage", "incomplete"), Number(run.intervals_incomplete));
  AddQuantiles(out, kLag, labels, run.lag);
  TargetView rest;
  rest.name = rest.model = kOther;
  for (size_t i = 0; i < run.targets.size(); ++i) {
    if (i < limits.targets) {
      AddTarget(out, run.id, run.targets[i], limits, folded);
    } else {
      AddInto(rest, run.targets[i]);
      ++folded.targets;
    }
  }
  if (run.targets.size() > limits.targets) AddTarget(out, run.id, rest, limits, folded);
}

void AddView(Exposition& out, const MetricsView& view, const MetricsLimits& limits) {
  out.Gauge(kBuild, {{"version", BROADSIDE_VERSION}}, 1);
  out.Gauge(kIncarnation, {}, Number(view.incarnation));
  for (const auto& [state, count] : view.agents) {
    out.Gauge(kAgents, {{"state", state}}, Number(count));
  }
  Folded folded;
  for (size_t i = 0; i < view.runs.size(); ++i) {
    if (i < limits.runs) {
      AddRun(out, view.runs[i], limits, folded);
    } else {
      ++folded.runs;
    }
  }
  out.Counter(kStoreOps, {{"result", "stored"}}, Number(view.store.stored_ops));
  out.Counter(kStoreOps, {{"result", "failed"}}, Number(view.store.failed_ops));
  out.Counter(kStoreOps, {{"result", "refused"}}, Number(view.store.refused_ops));
  out.Counter(kStoreCommits, {}, Number(view.store.commits));
  out.Gauge(kStoreQueue, {}, Number(view.store.queued_ops));
  out.Gauge(kStoreQueueBytes, {}, Number(view.store.queued_bytes));
  out.Gauge(kFolded, {{"dimension", "run"}}, Number(folded.runs));
  out.Gauge(kFolded, {{"dimension", "target"}}, Number(folded.targets));
  out.Gauge(kFolded, {{"dimension", "outcome"}}, Number(folded.outcomes));
}

}  // namespace

std::span<const int64_t, kDurationBounds> DurationBounds() {
  static const std::array<int64_t, kDurationBounds> bounds = [] {
    // Odd steps are √2 times even ones, to the ns: the same on every machine.
    constexpr uint64_t kEven = 100'000;
    constexpr uint64_t kOddTenthPicos = 1'414'213'562'373;  // 100 µs · √2 in 10⁻⁷ ns
    std::array<int64_t, kDurationBounds> result{};
    for (size_t k = 0; k + 1 < kDurationBounds; ++k) {
      const uint64_t power = uint64_t{1} << (k / 2);
      result[k] = static_cast<int64_t>(
          k % 2 == 0 ? kEven * power : (kOddTenthPicos * power + 5'000'000) / 10'000'000);
    }
    result.back() = 120'000'000'000;
    return result;
  }();
  return bounds;
}

void DurationView::Add(const DurationView& other) {
  for (size_t i = 0; i < kDurationBounds; ++i) at_or_below[i] += other.at_or_below[i];
  n += other.n;
  sum_seconds += other.sum_seconds;
}

void OutcomeView::Add(const OutcomeView& other) {
  count += other.count;
  latency.Add(other.latency);
}

DurationView DurationOf(const stats::Histogram& histogram) {
  DurationView view;
  view.n = histogram.n();
  view.sum_seconds = static_cast<double>(histogram.exact().sum) / 1e9;
  uint64_t below = 0;
  int32_t slot = 0;
  for (size_t i = 0; i < kDurationBounds; ++i) {
    const int32_t end = std::min(histogram.slots_used(), stats::SlotOf(DurationBounds()[i]) + 1);
    for (; slot < end; ++slot) below += histogram.CountAt(slot);
    view.at_or_below[i] = below;
  }
  return view;
}

QuantileView::QuantileView() { seconds.fill(std::numeric_limits<double>::quiet_NaN()); }

QuantileView QuantilesOf(const stats::Histogram& histogram, uint64_t unanswered) {
  QuantileView view;
  if (histogram.n() + unanswered == 0) return view;
  for (size_t i = 0; i < view.seconds.size(); ++i) {
    const std::optional<int64_t> value = histogram.Percentile(QuantileView::kPpm[i], unanswered);
    view.seconds[i] =
        value ? static_cast<double>(*value) / 1e9 : std::numeric_limits<double>::infinity();
  }
  return view;
}

std::string RenderMetrics(const MetricsView& view, const MetricsLimits& limits) {
  Exposition out;
  AddView(out, view, limits);
  return out.Text();
}

void MetricsBoard::Publish(std::shared_ptr<const MetricsView> view) {
  const std::lock_guard lock(mutex_);
  view_ = std::move(view);
}

std::string MetricsBoard::Text() const {
  std::shared_ptr<const MetricsView> view;
  {
    const std::lock_guard lock(mutex_);
    view = view_;
  }
  Exposition out;
  AddView(out, *view, limits_);
  rpc::AddProcessMetrics(rpc::ReadProcessStats(), out);
  return out.Text();
}

}  // namespace broadside::server
