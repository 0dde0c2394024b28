#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "common/base/int128.h"
#include "common/rate/integral.h"

/// A Poisson process of rate one on the Λ axis, the same for everyone who has its key.
namespace broadside::rate::internal {

/// The axis is cut into blocks of 64 requests. A block holds a Poisson(64) number of points (one
/// 64-bit draw, inverted through a constant table of the distribution), each at a uniform place.
/// Both depend on (key, block) alone, so any block can be had without the ones before it, and a
/// longer segment has the same points as a shorter one as far as that goes.
class PoissonProcess {
 public:
  static constexpr int kBlockRequests = 64;
  static constexpr int64_t kBlockFemto = kBlockRequests * kFemto;
  /// The largest count that the table can give.
  static constexpr int kMaxInBlock = 160;
  using Buffer = std::array<uint64_t, kMaxInBlock>;

  /// Covers the axis from 0 to `limit` femto-requests, both included.
  PoissonProcess(uint64_t key, int128 limit);

  /// Number of points at or before `femto` (≤ limit; none if negative).
  uint64_t CountUpTo(int128 femto) const;
  struct Place {
    uint64_t block = 0;
    uint64_t first = 0;  ///< index of the block's first point
  };
  /// The block that holds point `index`, which must exist.
  Place Locate(uint64_t index) const;
  /// Place of point `index` on the axis, in femto-requests.
  int128 PositionOf(uint64_t index) const;

  /// Number of points in a block.
  static int CountIn(uint64_t key, uint64_t block);
  /// Writes a block's `count` points, rising, in femto-requests from the block's start.
  static void Positions(uint64_t key, uint64_t block, int count, Buffer& out);
  static int128 BlockStart(uint64_t block) { return int128{block} * kBlockFemto; }
  uint64_t key() const { return key_; }

 private:
  uint64_t FirstIndexOf(uint64_t block) const;
  uint64_t key_;
  uint64_t stride_;                    ///< blocks from one checkpoint to the next
  std::vector<uint64_t> checkpoints_;  ///< points before block k · stride_
};

}  // namespace broadside::rate::internal
