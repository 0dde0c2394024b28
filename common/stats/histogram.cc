#include "common/stats/histogram.h"

#include <algorithm>
#include <limits>

namespace broadside::stats {
namespace {

constexpr int kSlotBits = 10;  // log2 of the slots a bucket adds
constexpr int32_t kHalf = 1 << kSlotBits;

int BucketOfSlot(int32_t slot) { return std::max(0, (slot >> kSlotBits) - 1); }

}  // namespace

int64_t SlotLow(int32_t slot) {
  const int bucket = BucketOfSlot(slot);
  return static_cast<int64_t>(slot - bucket * kHalf) << bucket;
}

int64_t SlotHigh(int32_t slot) { return SlotLow(slot) + (int64_t{1} << BucketOfSlot(slot)) - 1; }

uint64_t RankOf(uint64_t n, Ppm ppm) {
  if (n == 0) return 0;
  constexpr uint128 kMillion = 1'000'000;
  const auto share = static_cast<uint128>(std::clamp<Ppm>(ppm, 0, 1'000'000));
  const auto rank = static_cast<uint64_t>((share * n + kMillion - 1) / kMillion);
  return std::max<uint64_t>(1, rank);
}

void Exact::Add(const Exact& other) {
  if (other.n == 0) return;
  min = n == 0 ? other.min : std::min(min, other.min);
  max = std::max(max, other.max);
  n += other.n;
  sum += other.sum;
  overflow += other.overflow;
}

void Histogram::Record(int64_t value, uint64_t times) {
  if (times == 0) return;
  AddSlot(SlotOf(value), times);
  exact_.Add({.n = times,
              .sum = static_cast<uint128>(value) * times,
              .min = value,
              .max = value,
              .overflow = value > kHighest ? times : 0});
}

void Histogram::Add(const Histogram& other) {
  if (other.counts_.size() > counts_.size()) counts_.resize(other.counts_.size());
  for (size_t i = 0; i < other.counts_.size(); ++i) counts_[i] += other.counts_[i];
  exact_.Add(other.exact_);
}

void Histogram::AddSlot(int32_t slot, uint64_t times) {
  BROADSIDE_CHECK(slot >= 0 && slot < kSlots);
  if (times == 0) return;
  if (static_cast<size_t>(slot) >= counts_.size()) counts_.resize(static_cast<size_t>(slot) + 1);
  counts_[static_cast<size_t>(slot)] += times;
}

void Histogram::AddExact(const Exact& exact) { exact_.Add(exact); }

uint64_t Histogram::CountAt(int32_t slot) const {
  return slot >= 0 && slot < slots_used() ? counts_[static_cast<size_t>(slot)] : 0;
}

uint64_t Histogram::CountAtOrBelow(int64_t value) const {
  if (value < 0) return 0;
  const int32_t end = std::min(slots_used(), SlotOf(value) + 1);
  uint64_t count = 0;
  for (int32_t slot = 0; slot < end; ++slot) count += counts_[static_cast<size_t>(slot)];
  return count;
}

std::optional<int64_t> Histogram::ValueAtRank(uint64_t rank) const {
  if (rank == 0 || rank > exact_.n) return std::nullopt;
  uint64_t seen = 0;
  for (int32_t slot = 0; slot < slots_used(); ++slot) {
    seen += counts_[static_cast<size_t>(slot)];
    if (seen < rank) continue;
    if (slot == kSlots - 1 && exact_.overflow > 0) return exact_.max;
    return std::min(SlotHigh(slot), exact_.max);
  }
  return std::nullopt;
}

std::optional<int64_t> Histogram::Percentile(Ppm ppm, uint64_t unanswered) const {
  return ValueAtRank(RankOf(exact_.n + unanswered, ppm));
}

std::optional<int64_t> Histogram::Mean() const {
  if (exact_.n == 0) return std::nullopt;
  const uint128 mean = (exact_.sum + exact_.n / 2) / exact_.n;
  constexpr auto kMax = static_cast<uint128>(std::numeric_limits<int64_t>::max());
  return static_cast<int64_t>(std::min(mean, kMax));
}

IntervalHistogram::IntervalHistogram() : counts_(kSlots) {}

void IntervalHistogram::Clear() {
  std::fill(counts_.begin() + first_slot(), counts_.begin() + end_slot(), 0);
  exact_ = {};
}

void IntervalHistogram::AddTo(Histogram& into) const {
  // From the top, so that the merged histogram grows once.
  for (int32_t slot = end_slot() - 1; slot >= first_slot(); --slot) {
    into.AddSlot(slot, counts_[static_cast<size_t>(slot)]);
  }
  into.AddExact(exact_);
}

}  // namespace broadside::stats
