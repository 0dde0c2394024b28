#pragma once

#include <bit>
#include <cstdint>
#include <optional>
#include <vector>

#include "common/base/check.h"
#include "common/base/int128.h"

/// HDR histograms with the one layout the whole cluster uses: 1 ns … 1 h, 3 significant digits.
/// Formula and sizes: HdrHistogram (lowest 1, highest 3.6e12, digits 3): 33,792 slots, relative
/// slot width < 1/1024. Same layout everywhere makes merging exact: slot-wise addition.
namespace broadside::stats {

constexpr int64_t kLowest = 1;
constexpr int64_t kHighest = 3'600'000'000'000;  // 1 h in ns
constexpr int kDigits = 3;
constexpr int32_t kSlots = 33'792;
/// Carried in hello, so that a peer with another layout is refused.
constexpr uint32_t kLayoutVersion = 1;

/// Slot of a value in 0 … kHighest, without looking at the bounds: bucket = bits above the 11 that
/// one bucket resolves, slot = bucket · 1024 + (value >> bucket).
constexpr int32_t SlotOfInRange(int64_t value) {
  const auto bits = static_cast<uint64_t>(value);
  const int bucket = 53 - std::countl_zero(bits | 2047);
  return bucket * 1024 + static_cast<int32_t>(bits >> bucket);
}
/// Slot of `value`. Values below 0 are a caller's bug (the program stops); those above kHighest are
/// in the last slot, and recorders count them as overflow.
inline int32_t SlotOf(int64_t value) {
  if (static_cast<uint64_t>(value) > static_cast<uint64_t>(kHighest)) [[unlikely]] {
    BROADSIDE_CHECK(value >= 0);
    return kSlots - 1;
  }
  return SlotOfInRange(value);
}
/// Least and greatest value that fall in `slot`.
int64_t SlotLow(int32_t slot);
int64_t SlotHigh(int32_t slot);

/// Percentiles are given in parts per million: P99 = 990'000, P99.99 = 999'900.
using Ppm = int64_t;
/// rank = max(1, ceil(n · ppm / 10⁶)), in integers. n = 0 gives 0.
uint64_t RankOf(uint64_t n, Ppm ppm);

/// Exact numbers that travel beside the slots.
struct Exact {
  uint64_t n = 0;   ///< values recorded, overflow included
  uint128 sum = 0;  ///< ns, overflow included
  int64_t min = 0;  ///< of nothing: 0
  int64_t max = 0;
  uint64_t overflow = 0;  ///< values above kHighest: counted in the last slot too
  /// Takes one value in; does not look at overflow.
  void Take(int64_t value) {
    min = n == 0 || value < min ? value : min;
    max = value > max ? value : max;
    sum += static_cast<uint64_t>(value);
    ++n;
  }
  void Add(const Exact& other);
  friend bool operator==(const Exact&, const Exact&) = default;
};

/// A merged histogram. Grows to the highest slot used. One thread.
class Histogram {
 public:
  void Record(int64_t value, uint64_t times = 1);
  void Add(const Histogram& other);
  /// Adds slot counts and exact figures that came from elsewhere (decoder, recorder).
  void AddSlot(int32_t slot, uint64_t times);
  void AddExact(const Exact& exact);

  const Exact& exact() const { return exact_; }
  uint64_t n() const { return exact_.n; }
  uint64_t CountAt(int32_t slot) const;
  /// Slots 0 … slots_used() − 1 may be non-zero.
  int32_t slots_used() const { return static_cast<int32_t>(counts_.size()); }
  /// Number of values in slots ≤ that of `value`.
  uint64_t CountAtOrBelow(int64_t value) const;

  /// The highest value of the slot in which the rank-th value lies, but at most max. Where the last
  /// slot holds overflow it reads as max, so that the answer is never below the true value. Empty
  /// for rank 0 or rank > n.
  std::optional<int64_t> ValueAtRank(uint64_t rank) const;
  /// Percentile of the n values plus `unanswered` ones that are slower than any bound: empty when
  /// there is nothing or the rank falls among the unanswered ("> timeout").
  std::optional<int64_t> Percentile(Ppm ppm, uint64_t unanswered = 0) const;
  /// Exact mean, rounded to the nearest ns; empty for n = 0.
  std::optional<int64_t> Mean() const;

  friend bool operator==(const Histogram&, const Histogram&) = default;

 private:
  std::vector<uint64_t> counts_;
  Exact exact_;
};

/// The recorder of a hot loop: all slots allocated at construction, 32-bit counts, clears only what
/// was used. Record takes a few ns and never allocates. One thread. At most 2³² − 1 values between
/// clears (an interval of 1 s at the highest rate holds 10⁷).
class IntervalHistogram {
 public:
  IntervalHistogram();
  void Record(int64_t value) {
    exact_.Take(value);
    if (static_cast<uint64_t>(value) > static_cast<uint64_t>(kHighest)) [[unlikely]] {
      BROADSIDE_CHECK(value >= 0);
      ++exact_.overflow;
      ++counts_[kSlots - 1];
      return;
    }
    ++counts_[SlotOfInRange(value)];
  }
  bool empty() const { return exact_.n == 0; }
  const Exact& exact() const { return exact_; }
  /// Lowest and highest used slot + 1; equal when empty.
  int32_t first_slot() const { return empty() ? 0 : SlotOf(exact_.min); }
  int32_t end_slot() const { return empty() ? 0 : SlotOf(exact_.max) + 1; }
  uint32_t CountAt(int32_t slot) const { return counts_[slot]; }
  void Clear();
  void AddTo(Histogram& into) const;

 private:
  std::vector<uint32_t> counts_;
  Exact exact_;
};

}  // namespace broadside::stats
