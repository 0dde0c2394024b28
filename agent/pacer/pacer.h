#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>

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
/// j mod loops, where j counts within one segment and one epoch, from 0 at the later of the
/// segment's start and the epoch's first interval. So the loops need nothing from one another.
///
/// Holds the schedule entries, the granted intervals of each epoch and the lease's
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
  Pacer(Pacer&&) noexcept;
  Pacer& operator=(Pacer&&) noexcept;
  ~Pacer();

  /// A segment with a known id replaces the old one if it ends later (and is else the same).
  void AddSegment(std::shared_ptr<const rate::CompiledSegment> segment);
  /// A known epoch is left as it is.
  void AddDeal(rate::Deal deal);
  /// Intervals first(epoch) … last of `epoch` are granted. Never shrinks. What was due in newly
  /// granted intervals before the grant came is handed out as not permitted. The schedule entries
  /// that the grant presumes must have been added; an epoch that was not is ignored, and intervals
  /// of the next epoch are never granted under this one.
  void Grant(ShardEpoch epoch, IntervalIndex last, RunTime now);
  /// The lease's clock part: sending is allowed while the local clock is < `end`. Only grows. When
  /// the lease had lapsed by `now_local`, what came due before `now` and was not taken has expired.
  void ExtendLease(Instant end, Instant now_local, RunTime now);
  /// The same for callers who take what is due before they extend a lapsed lease.
  void ExtendLease(Instant end);
  /// Nothing due at or after `end` exists any more, and nothing before it is permitted any more:
  /// it is handed out when due, as expired. The earliest of several stops rules.
  void Stop(RunTime end);

  /// Arrivals due at or before `now`, oldest first, at most out.size(). `now_local` decides the
  /// lease. Call again until it returns less than out.size(). Does not allocate. O(1) for each,
  /// amortised, but a Poisson schedule is walked over the arrivals of all owners.
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
  std::unique_ptr<Impl> impl_;
};

}  // namespace broadside::agent
