#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/ids.h"
#include "common/time/time.h"

/// The resolved schedule: what the controller stores and every agent computes from. Plain values.
namespace broadside::rate {

/// Rates are integers in micro-requests per second: 1/s = 1'000'000. At most 10'000'000/s.
using MicroRate = int64_t;
constexpr MicroRate kMicroPerUnit = 1'000'000;
constexpr MicroRate kMaxMicroRate = 10'000'000 * kMicroPerUnit;
/// The longest segment: 24 h.
constexpr Nanos kMaxSegmentLength = std::chrono::hours(24);

/// A corner of a rate profile; linear between corners. `at` counts from the segment's start.
struct Knot {
  Nanos at{};
  MicroRate rate = 0;
  friend bool operator==(const Knot&, const Knot&) = default;
};

enum class ArrivalKind : uint8_t {
  kRegular,  ///< due(i) = least t with Λ(t) ≥ i
  kPoisson,  ///< one unit-rate Poisson process on the Λ axis, random access by block
  kList,     ///< a replay: due(i) = ceil(t_i ÷ speed)
};

/// A target's share of a segment's arrivals, as an integer weight > 0.
struct TargetShare {
  TargetIndex target;
  uint64_t weight = 1;
  friend bool operator==(const TargetShare&, const TargetShare&) = default;
};

/// For kList: the recorded instants live in a file that travels by its content hash.
struct Replay {
  std::string sha256;     ///< lower-case hex of the file's content
  std::string format;     ///< "csv" or "jsonl"
  int64_t speed_num = 1;  ///< speed = num ÷ den, both > 0
  int64_t speed_den = 1;
  friend bool operator==(const Replay&, const Replay&) = default;
};

/// A span of a phase whose profile is fixed. Covers [start, start + length) of the run clock.
struct Segment {
  SegmentId id;
  PhaseIndex phase;
  RunTime start{};
  Nanos length{};
  ArrivalKind kind = ArrivalKind::kRegular;
  uint64_t seed = 0;             ///< of the run; mixed with `id` wherever randomness is drawn
  std::vector<Knot> knots;       ///< first at 0, last at `length`, `at` rising; empty for kList
  std::vector<TargetShare> mix;  ///< not empty unless the segment has no arrivals (idle)
  Replay replay;                 ///< kList only
  friend bool operator==(const Segment&, const Segment&) = default;
};

/// Who owns which arrivals from interval `first` on, until the next epoch's first interval.
struct Deal {
  ShardEpoch epoch;
  IntervalIndex first = 0;
  std::vector<Incarnation> owners;  ///< distinct
  std::vector<int32_t> slots;       ///< index into `owners`, or kNobody; at least one slot
  static constexpr int32_t kNobody = -1;
  friend bool operator==(const Deal&, const Deal&) = default;
};

}  // namespace broadside::rate
