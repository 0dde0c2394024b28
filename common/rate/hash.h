#pragma once

#include <cstdint>

#include "common/base/ids.h"
#include "common/base/int128.h"

/// Mixing functions that are part of the schedule: changing one changes kScheduleVersion.
namespace broadside::rate::internal {

/// A bijection on 64 bits in which every input bit reaches every output bit (the finalizer of
/// SplitMix64, Steele, Lea and Flood 2014).
constexpr uint64_t Mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

/// What a random number of a segment is used for. Each use has a key of its own.
enum class Use : uint32_t { kTarget = 1, kPayload = 2, kOwner = 3, kPoisson = 4 };

/// A key for one use in one segment of one run.
constexpr uint64_t KeyOf(uint64_t seed, SegmentId segment, Use use) {
  return Mix(seed ^ Mix((uint64_t{static_cast<uint32_t>(use)} << 32) + segment.value()));
}

/// Hash of arrival `index` under `key`.
constexpr uint64_t HashIndex(uint64_t key, uint64_t index) {
  return Mix(key + index * 0xD1342543DE82EF95u);
}

/// Upper half of the 128-bit product: maps a uniform 64-bit x evenly onto 0 … n − 1.
constexpr uint64_t MulHigh(uint64_t x, uint64_t n) {
  return static_cast<uint64_t>((uint128{x} * n) >> 64);
}

}  // namespace broadside::rate::internal
