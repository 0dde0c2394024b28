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

/// Maps this host's clock to the controller's from four-timestamp exchanges. Pure; one thread.
///
/// Of the samples of the last 60 s that one rules whose bound is the smallest, where bound = RTT/2
/// + 1000 ppm × age, with age counted from when the heartbeat was sent. (The smallest round trip
/// alone would keep an old sample for a microsecond's gain while its age costs 1 ms a second.) If
/// the clocks' rates differ by at most 1000 ppm, the ruling sample is off by at most its bound, and
/// the map by at most Bound + |PendingSlew|. The map slews by at most 500 ppm and never steps, but
/// for the first fit. The last sample is kept however old it gets.
class ClockMap {
 public:
  /// A heartbeat: sent and received on this host, received and answered on the controller's
  /// CLOCK_BOOTTIME. Samples with a negative round trip are ignored.
  void AddSample(Instant sent, Instant remote_received, Instant remote_answered, Instant received);
  bool ready() const { return !samples_.empty(); }
  /// Fixes T0 on the controller's clock; Fit may be asked from then on. Another T0 than before
  /// means another run: the next fit starts afresh.
  void SetStart(Instant remote_t0);
  /// The same run goes on under another controller clock (its host was booted anew), on which T0
  /// was `remote_t0`: samples are forgotten, the map is not and slews to what the new ones say.
  void ChangeRemote(Instant remote_t0);
  /// The map from `now` on. Call after each sample and publish to the loops. Needs `ready()` the
  /// first time.
  ClockFit Fit(Instant now);
  /// ε = RTT/2 + 1000 ppm × age of the ruling sample; the largest Nanos without a sample.
  Nanos Bound(Instant now) const;
  /// Correction still to be slewed.
  Nanos PendingSlew(Instant now) const;

 private:
  struct Sample {
    Instant sent{};
    Nanos offset{};  ///< remote − local
    Nanos round_trip{};
  };
  static Nanos BoundOf(const Sample& sample, Instant now);
  RunTime WantedRunAt(Instant now) const;
  std::deque<Sample>
      samples_;  ///< the front one rules; each is better than all after it, but older
  Instant t0_{};
  bool fitted_ = false;
  ClockFit fit_;
};

}  // namespace broadside
