#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <ostream>
#include <string>
#include <utility>

namespace broadside {

/// A number or string that cannot be mixed with another of the same representation.
/// `value()` gives the representation back; ids have an order and a hash, but no arithmetic.
template <class Tag, class Rep>
class StrongId {
 public:
  constexpr StrongId() = default;
  constexpr explicit StrongId(Rep value) : value_(std::move(value)) {}
  constexpr const Rep& value() const { return value_; }
  friend constexpr auto operator<=>(const StrongId&, const StrongId&) = default;
  friend std::ostream& operator<<(std::ostream& out, const StrongId& id) {
    return out << id.value_;
  }

 private:
  Rep value_{};
};

/// One execution of a plan; six or more lower-case hex digits.
using RunId = StrongId<struct RunIdTag, std::string>;
/// The name an agent goes by (`--id`), unique in a cluster.
using AgentId = StrongId<struct AgentIdTag, std::string>;
/// 64 random bits drawn when an agent process starts; an agent is id + incarnation.
using Incarnation = StrongId<struct IncarnationTag, uint64_t>;
/// Rises at every reassignment of shards within a run; the first is 1.
using ShardEpoch = StrongId<struct ShardEpochTag, uint32_t>;
/// Position of a segment in the run's resolved schedule, from 0.
using SegmentId = StrongId<struct SegmentIdTag, uint32_t>;
/// What figures are kept for: a phase of the plan or, of a steps phase, one step. Counts these in
/// the plan's order, from 0 (plan::PhaseRows).
using PhaseIndex = StrongId<struct PhaseIndexTag, uint32_t>;
/// Position of a target in the plan, from 0.
using TargetIndex = StrongId<struct TargetIndexTag, uint32_t>;

}  // namespace broadside

template <class Tag, class Rep>
struct std::hash<broadside::StrongId<Tag, Rep>> {
  size_t operator()(const broadside::StrongId<Tag, Rep>& id) const {
    return std::hash<Rep>()(id.value());
  }
};
