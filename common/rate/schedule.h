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

/// A segment with its integrals and tables worked out. Immutable after Make; any thread.
class CompiledSegment {
 public:
  /// `list` holds kList's instants in ns before division by speed (never falling), else null.
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
  /// Which target arrival i goes to: a function of (seed, segment, i) alone.
  TargetIndex TargetOf(uint64_t index) const;
  /// Which of `choices` > 0 payloads arrival i carries: likewise, independent of TargetOf.
  uint64_t PayloadOf(uint64_t index, uint64_t choices) const;
  /// Slot of a deal table with `slots` entries that arrival i falls in (semantics: i mod W, or a
  /// hash).
  uint64_t SlotOf(uint64_t index, uint64_t slots) const;
  Arrival At(uint64_t index) const;

 private:
  struct Tables;
  explicit CompiledSegment(Segment segment);
  Segment segment_;
  uint64_t count_ = 0;
  std::shared_ptr<const Tables> tables_;
};

/// The arrivals of one segment that one owner has under one deal, in due order, for due times in
/// [from, to). A cheap cursor: regular schedules step by stripe, Poisson ones walk and skip.
class Stripe {
 public:
  Stripe(std::shared_ptr<const CompiledSegment> segment, const Deal& deal, Incarnation owner,
         RunTime from, RunTime to);
  Stripe(Stripe&&) noexcept;
  Stripe& operator=(Stripe&&) noexcept;
  ~Stripe();
  /// The next arrival without taking it; empty at the end.
  const Arrival* Peek() const;
  void Pop();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// A deal over `owners` by weight (agent ceilings), interleaved so that each owner's arrivals are
/// spread evenly in time and over targets. With `nobody_weight` > 0 that share has no owner.
Deal MakeDeal(ShardEpoch epoch, IntervalIndex first, const std::vector<Incarnation>& owners,
              const std::vector<uint64_t>& weights, uint64_t nobody_weight = 0);

/// The schedule algorithm's number, carried in hello: agents with another one get no shard.
constexpr uint32_t kScheduleVersion = 1;

}  // namespace broadside::rate
