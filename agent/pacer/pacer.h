#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "common/base/ids.h"
#include "common/rate/schedule.h"
#include "common/time/time.h"

/// Which arrivals this loop owes now, under what permission. Pure: time comes in as an argument.
namespace broadside::agent {

/// An arrival handed to the loop.
struct DueArrival {
  rate::Arrival arrival;
  bool permitted = false;  ///< false: scheduled and expired in this instant, never sent
};

/// One loop's share of one agent's share: of the arrivals the agent owns, its j-th goes to loop
/// j mod loops. Holds the schedule entries, the granted intervals of each epoch and the lease's
/// clock part (semantics §4): an arrival may be sent only if its epoch owns it, its interval was
/// granted, and now < lease end. One thread.
class Pacer {
 public:
  struct Options {
    Incarnation owner;
    uint32_t loops = 1;
    uint32_t loop = 0;
    Nanos interval = std::chrono::seconds(1);
  };
  explicit Pacer(Options options);

  void AddSegment(std::shared_ptr<const rate::CompiledSegment> segment);
  void AddDeal(rate::Deal deal);
  /// Intervals first(epoch) … last of `epoch` are granted. Never shrinks. What was due in newly
  /// granted intervals before the grant came is handed out as not permitted.
  void Grant(ShardEpoch epoch, IntervalIndex last, RunTime now);
  /// The lease's clock part: sending is allowed while the local clock is < `end`. Only grows.
  void ExtendLease(Instant end);
  /// Nothing due at or after `end` exists any more; permission past it is gone.
  void Stop(RunTime end);

  /// Arrivals due at or before `now`, oldest first, at most out.size(). `now_local` decides the
  /// lease. Call again until it returns less than out.size().
  size_t Take(RunTime now, Instant now_local, std::span<DueArrival> out);
  /// Due time of the next arrival in granted intervals; empty when nothing is owed until the next
  /// Grant.
  std::optional<RunTime> NextDue() const;
  /// True when the lease's clock part holds at `now_local`.
  bool LeaseHolds(Instant now_local) const { return now_local < lease_end_; }
  Instant lease_end() const { return lease_end_; }

 private:
  struct Impl;
  Options options_;
  Instant lease_end_{};
  std::shared_ptr<Impl> impl_;
};

}  // namespace broadside::agent
