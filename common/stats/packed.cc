#include "common/stats/packed.h"

namespace broadside::stats {

void PackedHistogram::Add(const std::vector<SlotCount>& slots, const Exact& exact) {
  const std::vector<SlotCount> had = Slots();
  std::vector<SlotCount> sum;
  sum.reserve(had.size() + slots.size());
  auto left = had.begin();
  auto right = slots.begin();
  while (left != had.end() || right != slots.end()) {
    if (right == slots.end() || (left != had.end() && left->slot < right->slot)) {
      sum.push_back(*left++);
    } else if (left == had.end() || right->slot < left->slot) {
      sum.push_back(*right++);
    } else {
      sum.push_back({left->slot, left->count + right->count});
      ++left;
      ++right;
    }
  }
  counts_ = EncodeSlots(sum);
  exact_.Add(exact);
}

std::vector<SlotCount> PackedHistogram::Slots() const {
  if (exact_.n == 0) return {};
  auto slots = DecodeSlots(counts_, exact_);
  BROADSIDE_CHECK(slots.ok());
  return *std::move(slots);
}

void PackedHistogram::AddTo(Histogram& into) const {
  const std::vector<SlotCount> slots = Slots();
  for (auto used = slots.rbegin(); used != slots.rend(); ++used) {
    into.AddSlot(used->slot, used->count);
  }
  into.AddExact(exact_);
}

Histogram PackedHistogram::Unpack() const {
  Histogram histogram;
  AddTo(histogram);
  return histogram;
}

}  // namespace broadside::stats
