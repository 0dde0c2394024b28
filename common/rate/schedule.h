#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "common/base/status.h"
#include "common/rate/segment.h"

/// Exact arrival schedules: integers only, the same answer on every machine. Pure.
namespace broadside::rate {

/// One request of the schedule, named (run, segment, index).
struct Arrival {
  SegmentId segment;
  uint64_t index = 0;
  PhaseIndex phase;
  TargetIndex target;
  RunTime due{};
  friend bool operator==(const Arrival&, const Arrival&) = default;
};

namespace internal {
struct Tables;
}

/// A Poisson segment may hold this many arrivals on average: working out its index takes about
/// 0.1 ns for each.
constexpr uint64_t kMaxPoissonArrivals = 100'000'000'000;

/// A segment with its integrals and tables worked out. Immutable after Make; any thread.
///
/// Regular: due(i) = least t with Λ(t) ≥ i, so arrival 0 is due at the segment's start, unless the
/// rate is 0 throughout: then there is none. Poisson: due(i) = least t with Λ(t) ≥ the i-th point
/// of a unit-rate process on the Λ axis. List: due(i) = start + ceil(t_i ÷ speed). A segment with
/// the same id and profile but a later end has the same arrivals up to the old end.
class CompiledSegment {
 public:
  /// `list` holds kList's instants in ns before division by speed (≥ 0, never falling), counted
  /// from the segment's start, else null. InvalidArgument says which rule of segment.h is broken.
  static StatusOr<std::shared_ptr<const CompiledSegment>> Make(
      Segment segment, std::shared_ptr<const std::vector<int64_t>> list = nullptr);

  const Segment& segment() const { return segment_; }
  RunTime end() const { return segment_.start + segment_.length; }
  /// Number of arrivals: all i with due(i) < end. Indices are dense, 0 … Count() − 1.
  uint64_t Count() const { return count_; }
  /// Due time of arrival i < Count(). Never falls with i.
  RunTime Due(uint64_t index) const;
  /// Number of arrivals due before `at` (= the first index due at or after it).
  uint64_t CountBefore(RunTime at) const;
  /// Which target arrival i goes to: a function of (seed, segment, i) alone. The mix is exact
  /// within 8 arrivals up to the first 10⁹; under a deal by MakeDeal each owner's own is within 0.1
  /// % after 10⁵ of its own (checked for up to 1100 equal owners; arbitrary weights that need large
  /// tables may reach 0.3 %). Poisson owners are drawn independently, hence their own mix has the
  /// sampling error that independence implies.
  TargetIndex TargetOf(uint64_t index) const;
  /// Which of `choices` > 0 payloads arrival i carries: likewise, independent of TargetOf.
  uint64_t PayloadOf(uint64_t index, uint64_t choices) const;
  /// Slot of a deal table with `slots` entries that arrival i falls in: i mod W, but for Poisson
  /// floor(hash(seed, segment, i) · W / 2^64), so that each owner's part is Poisson too.
  uint64_t SlotOf(uint64_t index, uint64_t slots) const;
  Arrival At(uint64_t index) const;

 private:
  friend class Stripe;
  CompiledSegment(Segment segment, std::shared_ptr<const internal::Tables> tables);
  Segment segment_;
  uint64_t count_ = 0;
  std::shared_ptr<const internal::Tables> tables_;
};

/// The arrivals of one segment that one owner has under one deal, in due order, for due times in
/// [from, to); none if `from` is not before the segment's end, even when that is moved on later.
/// A cheap cursor: regular schedules step by stripe, Poisson ones walk and skip. No allocation
/// after construction. One thread.
class Stripe {
 public:
  /// Every `parts`-th of the owner's arrivals, from its `part`-th on; the owner's first one at or
  /// after `from` is number 0. So loops that share an owner's arrivals need no common state.
  struct Part {
    uint32_t part = 0;
    uint32_t parts = 1;
  };
  Stripe(std::shared_ptr<const CompiledSegment> segment, const Deal& deal, Incarnation owner,
         RunTime from, RunTime to);
  Stripe(std::shared_ptr<const CompiledSegment> segment, const Deal& deal, Incarnation owner,
         RunTime from, RunTime to, Part part);
  Stripe(Stripe&&) noexcept;
  Stripe& operator=(Stripe&&) noexcept;
  ~Stripe();
  /// The next arrival without taking it; empty at the end.
  const Arrival* Peek() const;
  void Pop();
  /// Goes on with the same segment that now ends later, up to `to`; what was popped stays popped.
  void Extend(std::shared_ptr<const CompiledSegment> longer, RunTime to);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// A deal over `owners` by weight (agent ceilings), interleaved so that each owner's arrivals are
/// spread evenly in time and over targets. With `nobody_weight` > 0 that share has no owner.
/// Shares are exact if the weights, divided by their common divisor, sum to at most 4096, else
/// within 0.1 % of each share where a table of 65536 slots can do it (every weight > 0 gets a
/// slot). A weight of 0 gets none. All weights 0: one slot that nobody owns. At most 16384
/// owners. Deterministic. Some deals of more than 128 slots cost a few ms.
Deal MakeDeal(ShardEpoch epoch, IntervalIndex first, const std::vector<Incarnation>& owners,
              const std::vector<uint64_t>& weights, uint64_t nobody_weight = 0);

/// The schedule algorithm's number, carried in hello: agents with another one get no shard.
constexpr uint32_t kScheduleVersion = 1;

}  // namespace broadside::rate
