#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/stats/histogram.h"

/// The controller's /metrics: cluster-wide figures of the runs it shows, from the merged snapshots.
/// The core's thread makes a MetricsView of plain values and publishes it; text is made from it on
/// the HTTP server's thread. Every family is described in docs/metrics.md.
namespace broadside::server {

/// Upper bounds of broadside_request_duration_seconds in ns, rising: 100 µs · 2^(k/2), rounded to
/// the ns, and 120 s. Fixed, so that series of different runs and versions can be added.
inline constexpr size_t kDurationBounds = 42;
std::span<const int64_t, kDurationBounds> DurationBounds();

/// A merged histogram as the exposition shows it. A value counts as at or below a bound when its
/// histogram slot begins there: at most 1/1024 above it. They can be added.
struct DurationView {
  std::array<uint64_t, kDurationBounds> at_or_below{};
  uint64_t n = 0;
  double sum_seconds = 0;
  void Add(const DurationView& other);
};
/// One pass over the slots: some 30 µs for a full histogram.
DurationView DurationOf(const stats::Histogram& histogram);

/// P50, P90, P99 and P99.9 in seconds: NaN of nothing, +Inf where the rank falls among the
/// unanswered.
struct QuantileView {
  static constexpr std::array<stats::Ppm, 4> kPpm = {500'000, 900'000, 990'000, 999'000};
  std::array<double, 4> seconds;
  QuantileView();
};
QuantileView QuantilesOf(const stats::Histogram& histogram, uint64_t unanswered = 0);

struct OutcomeView {
  uint64_t count = 0;    ///< from the counters
  DurationView latency;  ///< from the histograms, which may lack what an agent could not keep
  void Add(const OutcomeView& other);
};

struct TargetView {
  std::string name;
  std::string model;
  /// Requests that ended, by class. `ok` is shown also when it is not here.
  std::map<std::string, OutcomeView> outcomes;
  uint64_t scheduled = 0, sent = 0, dropped = 0, expired = 0, unowned = 0, unreported = 0;
  uint64_t bytes_out = 0, bytes_in = 0, inferences = 0;
  uint64_t in_flight = 0, waiting = 0;         ///< now
  std::optional<double> offered, achieved;     ///< requests per second now; offered: open loop only
  QuantileView latency, recent_latency, wait;  ///< of the run, of the last intervals, of the run
};

struct RunView {
  std::string id, name, state;
  std::string plan_sha256;
  uint64_t seed = 0;
  std::string validity;  ///< VALID, DEGRADED or INVALID; empty while there is none
  int64_t ledger_mismatch = 0;
  uint64_t intervals_sealed = 0, intervals_incomplete = 0;
  QuantileView lag;
  std::vector<TargetView> targets;
};

struct StoreView {
  uint64_t queued_ops = 0, queued_bytes = 0, stored_ops = 0, failed_ops = 0, refused_ops = 0;
  uint64_t commits = 0;
};

struct MetricsView {
  /// Newest first: beyond the limit the last ones are left out. All targets at 0 from the moment a
  /// run is known, so that increase() sees the first request.
  std::vector<RunView> runs;
  /// By state; name every state there is, so that none of the series comes and goes.
  std::map<std::string, uint64_t> agents;
  uint64_t incarnation = 0;  ///< of the controller's store
  StoreView store;
};

/// Bounds of what one scrape may grow to. What is beyond is folded into target or outcome "other"
/// (runs: left out), and counted in broadside_exposition_folded.
struct MetricsLimits {
  size_t runs = 8;
  size_t targets = 32;
  size_t outcomes = 24;
};

/// The families of this controller, without the process's. Any thread.
std::string RenderMetrics(const MetricsView& view, const MetricsLimits& limits = {});

/// Hands the newest view from the core's thread to the HTTP server's. Thread-safe.
class MetricsBoard {
 public:
  explicit MetricsBoard(MetricsLimits limits = {}) : limits_(limits) {}
  /// The view is shared because a scrape may still be reading the one before.
  void Publish(std::shared_ptr<const MetricsView> view);
  /// The complete page, the process's own metrics included.
  std::string Text() const;

 private:
  const MetricsLimits limits_;
  mutable std::mutex mutex_;
  std::shared_ptr<const MetricsView> view_ = std::make_shared<MetricsView>();
};

}  // namespace broadside::server
