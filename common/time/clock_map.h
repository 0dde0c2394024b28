#pragma once

#include <cstdint>
#include <deque>

#include "common/time/time.h"

namespace broadside {

/// One straight piece of the agent's map from its own clock to the run clock. A plain value that
/// loops copy. run = run_at + (local − local_at) + correction, where the correction grows at
/// `slew_ppm` until `slew_total` is reached.
struct ClockFit {
  Instant local_at{};
  RunTime run_at{};
  int32_t slew_ppm = 0;  ///< −500 … 500
  Nanos slew_total{};    ///< signed as slew_ppm
  RunTime RunAt(Instant local) const;
  /// Least local instant whose RunAt is ≥ `run`.
  Instant LocalAt(RunTime run) const;
};

/// Maps this host's clock to the controller's from four-timestamp exchanges: the sample with the
/// smallest round trip of the last 60 s rules; the map slews by at most 500 ppm and never steps
/// (but for the first sample). Pure; one thread.
class ClockMap {
 public:
  /// A heartbeat: sent and received on this host, received and answered on the controller's
  /// CLOCK_BOOTTIME. Samples with a negative round trip are ignored.
  void AddSample(Instant sent, Instant remote_received, Instant remote_answered, Instant received);
  bool ready() const { return !samples_.empty(); }
  /// Fixes T0 on the controller's clock; Fit may be asked from then on.
  void SetStart(Instant remote_t0) { t0_ = remote_t0; }
  /// The map from `now` on. Call after each sample and publish to the loops.
  ClockFit Fit(Instant now);
  /// ε = RTT/2 + 1000 ppm × age of the ruling sample.
  Nanos Bound(Instant now) const;
  /// Correction still to be slewed.
  Nanos PendingSlew(Instant now) const;

 private:
  struct Sample {
    Instant received{};
    Nanos offset{};  ///< remote − local
    Nanos round_trip{};
  };
  const Sample& Ruling() const;
  std::deque<Sample> samples_;
  Instant t0_{};
  bool fitted_ = false;
  ClockFit fit_;
};

}  // namespace broadside
