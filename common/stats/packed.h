#pragma once

#include <string>
#include <vector>

#include "common/stats/codec.h"
#include "common/stats/histogram.h"

namespace broadside::stats {

/// A merged histogram kept in its encoded form: a few KB instead of up to 264 KiB, for things of
/// which there are many (one an interval, one an agent). Add costs as much as there are slots in
/// use. One thread.
class PackedHistogram {
 public:
  /// `slots` rise, and `exact` belongs to them (DecodeSlots checks both).
  void Add(const std::vector<SlotCount>& slots, const Exact& exact);
  const Exact& exact() const { return exact_; }
  std::vector<SlotCount> Slots() const;
  void AddTo(Histogram& into) const;
  Histogram Unpack() const;

 private:
  std::string counts_;  // EncodeSlots; empty before the first Add
  Exact exact_;
};

}  // namespace broadside::stats
