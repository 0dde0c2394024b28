#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "common/base/ids.h"
#include "common/breaker/outcome.h"
#include "common/stats/histogram.h"
#include "common/stats/snapshot.h"
#include "common/time/time.h"

/// What a loop hands to the encoder at the end of an interval.
namespace broadside::agent {

/// An outcome class of one (phase, target).
struct OutcomePart {
  uint64_t total = 0;
  uint64_t in_interval = 0;
  RunTime first_due{}, last_due{}, first_end{}, last_end{};
  uint32_t longest_run = 0, alternations = 0;
};

struct RowPart {
  PhaseIndex phase;
  TargetIndex target;
  stats::Counters counters;
  std::array<OutcomePart, breaker::kOutcomeCount> outcomes;
};

/// The key of a cell that holds all sent arrivals.
constexpr int kAllSentKey = breaker::kOutcomeCount;

struct CellPart {
  PhaseIndex phase;
  TargetIndex target;
  int outcome = 0;  ///< breaker::Outcome, or kAllSentKey
  stats::Measure measure = stats::Measure::kLatency;
  stats::IntervalHistogram* histogram = nullptr;
};

struct GaugePart {
  uint64_t in_flight_max = 0;
  uint64_t in_flight_ns = 0;
};

struct Skew {
  RunTime due{};
  Nanos late{};
};

struct IntervalPart {
  IntervalIndex interval = 0;
  bool final = false;  ///< nothing waits or is in flight on this loop, and nothing more will come
  std::vector<RowPart> rows;      ///< all that were ever used; counters and totals are cumulative
  std::vector<CellPart> cells;    ///< of this interval
  std::vector<GaugePart> gauges;  ///< by target
  uint64_t busy_ns = 0;
  uint64_t folded = 0;        ///< cumulative
  uint64_t stale_resets = 0;  ///< cumulative
  uint64_t unvalidated = 0;   ///< cumulative
  std::optional<Skew> first_send;
};

/// Histograms that go round between a loop and the encoder: the loop takes empty ones, the encoder
/// gives them back cleared. A few are made at start, more on demand up to a cap; then recording
/// falls back to what exists, and says so.
class HistogramPool {
 public:
  HistogramPool(size_t at_start, size_t cap);
  /// By the loop. Null when the cap is reached; `core` may use the last ones, others leave a third.
  stats::IntervalHistogram* Take(bool core);
  /// By the encoder.
  void GiveBack(stats::IntervalHistogram* histogram);

 private:
  size_t cap_;
  std::vector<std::unique_ptr<stats::IntervalHistogram>> all_;
  std::vector<stats::IntervalHistogram*> free_;  ///< of the loop
  std::mutex mutex_;
  std::vector<stats::IntervalHistogram*> returned_;  ///< guarded by mutex_
};

}  // namespace broadside::agent
