#include <algorithm>
#include <utility>

#include "common/base/check.h"
#include "common/rate/hash.h"
#include "common/rate/schedule.h"
#include "common/rate/tables.h"

namespace broadside::rate {

using internal::kFemto;
using internal::PoissonProcess;

/// Finds the owner's next index first; the due time is worked out only for arrivals that are shown.
struct Stripe::Impl {
  std::shared_ptr<const CompiledSegment> segment;
  const internal::Tables* tables = nullptr;
  RunTime to{};
  Part part;
  uint64_t slots = 0;

  // Regular and list: the owner's slots, rising; the next index is base + own_slots[turn].
  std::vector<uint32_t> own_slots;
  uint64_t base = 0;
  size_t turn = 0;

  // Poisson: the block at hand. Its points are placed only when the owner has one among them.
  std::vector<uint8_t> is_own;
  uint64_t walked = 0;  ///< the index to look at next
  uint32_t to_skip = 0;
  uint64_t block = 0;
  uint64_t block_first = 0;
  int block_count = -1;  ///< −1: not drawn yet
  bool block_placed = false;
  PoissonProcess::Buffer positions;

  bool has_index = false;
  uint64_t index = 0;
  size_t piece = 0;  ///< where the inverse of the integral goes on
  bool has_current = false;
  Arrival current;

  bool poisson() const { return segment->segment().kind == ArrivalKind::kPoisson; }
  void Start(const Deal& deal, Incarnation owner, RunTime from);
  void FindRegular();
  void FindPoisson();
  bool FindInBlock();
  void Show();
  int64_t DueOfIndex();
};

void Stripe::Impl::Start(const Deal& deal, Incarnation owner, RunTime from) {
  BROADSIDE_CHECK(!deal.slots.empty() && part.part < part.parts);
  if (from >= segment->end()) return;
  slots = deal.slots.size();
  const auto found = std::find(deal.owners.begin(), deal.owners.end(), owner);
  if (found == deal.owners.end()) return;
  const auto me = static_cast<int32_t>(found - deal.owners.begin());
  for (uint32_t slot = 0; slot < slots; ++slot) {
    if (deal.slots[slot] == me) own_slots.push_back(slot);
  }
  if (own_slots.empty()) return;

  const uint64_t first = segment->CountBefore(from);
  if (poisson()) {
    is_own.resize(slots);
    for (uint32_t slot : own_slots) is_own[slot] = 1;
    if (first < segment->Count()) {
      const PoissonProcess::Place place = tables->poisson->Locate(first);
      block = place.block;
      block_first = place.first;
    }
    walked = first;
    to_skip = part.part;
    FindPoisson();
  } else {
    base = first / slots * slots;
    turn = static_cast<size_t>(std::lower_bound(own_slots.begin(), own_slots.end(), first % slots) -
                               own_slots.begin());
    turn += part.part;
    FindRegular();
  }
  Show();
}

void Stripe::Impl::FindRegular() {
  if (turn >= own_slots.size()) {
    base += turn / own_slots.size() * slots;
    turn %= own_slots.size();
  }
  index = base + own_slots[turn];
  has_index = true;
}

void Stripe::Impl::FindPoisson() {
  has_index = false;
  while (!has_index && walked < segment->Count()) {
    if (block_count < 0 || walked >= block_first + static_cast<uint64_t>(block_count)) {
      if (block_count >= 0) {
        block_first += static_cast<uint64_t>(block_count);
        ++block;
      }
      block_count = PoissonProcess::CountIn(tables->poisson->key(), block);
      block_placed = false;
    } else {
      has_index = FindInBlock();
    }
  }
}

bool Stripe::Impl::FindInBlock() {
  const uint64_t end = std::min(block_first + static_cast<uint64_t>(block_count), segment->Count());
  const uint64_t key = tables->owner_key;
  while (walked < end) {
    const uint64_t at = walked++;
    if (!is_own[internal::MulHigh(internal::HashIndex(key, at), slots)]) continue;
    if (to_skip > 0) {
      --to_skip;
      continue;
    }
    to_skip = part.parts - 1;
    index = at;
    return true;
  }
  return false;
}

int64_t Stripe::Impl::DueOfIndex() {
  switch (segment->segment().kind) {
    case ArrivalKind::kRegular:
      return tables->integral->Inverse(int128{2} * kFemto * index, &piece);
    case ArrivalKind::kPoisson: {
      if (!block_placed) {
        PoissonProcess::Positions(tables->poisson->key(), block, block_count, positions);
        block_placed = true;
      }
      const int128 position = PoissonProcess::BlockStart(block) + positions[index - block_first];
      return tables->integral->Inverse(2 * position, &piece);
    }
    case ArrivalKind::kList:
      return internal::ListDue((*tables->list)[index], segment->segment().replay);
  }
  return 0;
}

void Stripe::Impl::Show() {
  has_current = false;
  if (!has_index || index >= segment->Count()) return;
  const RunTime due = segment->segment().start + Nanos(DueOfIndex());
  if (due >= to) return;
  current.index = index;
  current.target = tables->mix.TargetOf(index);
  current.due = due;
  has_current = true;
}

Stripe::Stripe(std::shared_ptr<const CompiledSegment> segment, const Deal& deal, Incarnation owner,
               RunTime from, RunTime to)
    : Stripe(std::move(segment), deal, owner, from, to, Part{}) {}

Stripe::Stripe(std::shared_ptr<const CompiledSegment> segment, const Deal& deal, Incarnation owner,
               RunTime from, RunTime to, Part part)
    : impl_(std::make_unique<Impl>()) {
  impl_->current.segment = segment->segment().id;
  impl_->current.phase = segment->segment().phase;
  impl_->tables = segment->tables_.get();
  impl_->segment = std::move(segment);
  impl_->to = to;
  impl_->part = part;
  impl_->Start(deal, owner, from);
}

Stripe::Stripe(Stripe&&) noexcept = default;
Stripe& Stripe::operator=(Stripe&&) noexcept = default;
Stripe::~Stripe() = default;

const Arrival* Stripe::Peek() const { return impl_->has_current ? &impl_->current : nullptr; }

void Stripe::Pop() {
  BROADSIDE_CHECK(impl_->has_current);
  if (impl_->poisson()) {
    impl_->FindPoisson();
  } else {
    impl_->turn += impl_->part.parts;
    impl_->FindRegular();
  }
  impl_->Show();
}

void Stripe::Extend(std::shared_ptr<const CompiledSegment> longer, RunTime to) {
  BROADSIDE_CHECK(longer->segment().id == impl_->segment->segment().id);
  impl_->tables = longer->tables_.get();
  impl_->segment = std::move(longer);
  impl_->to = to;
  impl_->piece = 0;
  if (impl_->has_current || impl_->own_slots.empty()) return;
  if (!impl_->has_index) impl_->FindPoisson();
  impl_->Show();
}

}  // namespace broadside::rate
