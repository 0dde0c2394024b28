#pragma once

#include <cstdint>
#include <vector>

#include "common/rate/hash.h"
#include "common/rate/segment.h"

/// Which target and which payload an arrival gets.
namespace broadside::rate::internal {

/// Weyl sequences in 64-bit integers: the fractional parts of i·α + β fill every interval as evenly
/// as any sequence can when α is badly approximable (Niederreiter 1978). Targets use the golden
/// ratio, payloads √2 − 1, so the two do not follow one another.
constexpr uint64_t kTargetStep = 0x9E3779B97F4A7C15u;   // 2^64 · (√5 − 1)/2
constexpr uint64_t kPayloadStep = 0x6A09E667F3BCC909u;  // 2^64 · (√2 − 1)

/// A segment's mix: target t is chosen when the sequence falls in its share of [0, 2^64).
class Mix64 {
 public:
  Mix64() = default;
  /// Weights > 0 with a sum below 2^63.
  Mix64(const std::vector<TargetShare>& mix, uint64_t target_key, uint64_t payload_key)
      : target_key_(target_key), payload_key_(payload_key) {
    uint64_t total = 0;
    for (const TargetShare& share : mix) total += share.weight;
    uint64_t below = 0;
    for (const TargetShare& share : mix) {
      below += share.weight;
      targets_.push_back(share.target);
      if (below < total) {
        bounds_.push_back(static_cast<uint64_t>((uint128{below} << 64) / total));
      }
    }
  }

  TargetIndex TargetOf(uint64_t index) const {
    const uint64_t x = target_key_ + index * kTargetStep;
    size_t low = 0;
    size_t high = bounds_.size();
    while (low < high) {
      const size_t middle = (low + high) / 2;
      if (bounds_[middle] <= x) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return targets_[low];
  }

  uint64_t PayloadOf(uint64_t index, uint64_t choices) const {
    return MulHigh(payload_key_ + index * kPayloadStep, choices);
  }

 private:
  uint64_t target_key_ = 0;
  uint64_t payload_key_ = 0;
  std::vector<TargetIndex> targets_;
  std::vector<uint64_t> bounds_;  ///< where the next target's share begins; one less than targets
};

}  // namespace broadside::rate::internal
