#include "common/rate/poisson.h"

#include <algorithm>

#include "common/base/check.h"
#include "common/rate/hash.h"
#include "common/rate/philox.h"
#include "common/rate/poisson_table.h"

namespace broadside::rate::internal {
namespace {

/// Third and fourth counter words: which kind of draw, so that no two share a counter.
constexpr uint32_t kCountDraw = 0xC0;
constexpr uint32_t kPositionDraw = 0xB0;

struct Pair {
  uint64_t first;
  uint64_t second;
};

Pair Draw(uint64_t key, uint64_t place, uint32_t number, uint32_t kind) {
  const auto r =
      Philox({static_cast<uint32_t>(place), static_cast<uint32_t>(place >> 32), number, kind},
             {static_cast<uint32_t>(key), static_cast<uint32_t>(key >> 32)});
  return {uint64_t{r[1]} << 32 | r[0], uint64_t{r[3]} << 32 | r[2]};
}

/// Where in the table to start looking, by the draw's upper eight bits.
constexpr std::array<uint8_t, 256> MakeGuide() {
  std::array<uint8_t, 256> guide{};
  for (uint64_t top = 0; top < 256; ++top) {
    size_t k = 0;
    while (k < kPoisson64Cdf.size() && kPoisson64Cdf[k] <= top << 56) ++k;
    guide[top] = static_cast<uint8_t>(k);
  }
  return guide;
}
constexpr std::array<uint8_t, 256> kGuide = MakeGuide();
static_assert(kPoisson64Cdf.size() < PoissonProcess::kMaxInBlock);

int Invert(uint64_t draw) {
  size_t k = kGuide[draw >> 56];
  while (k < kPoisson64Cdf.size() && kPoisson64Cdf[k] <= draw) ++k;
  return static_cast<int>(k);
}

/// Sorts uniform 64-bit numbers: by the upper six bits into their places, then by insertion.
void SortUniform(const PoissonProcess::Buffer& in, int count, PoissonProcess::Buffer& out) {
  std::array<uint8_t, 65> start{};
  for (int k = 0; k < count; ++k) ++start[(in[k] >> 58) + 1];
  for (size_t b = 1; b < start.size(); ++b)
    start[b] = static_cast<uint8_t>(start[b] + start[b - 1]);
  for (int k = 0; k < count; ++k) out[start[in[k] >> 58]++] = in[k];
  for (int k = 1; k < count; ++k) {
    const uint64_t value = out[k];
    int j = k;
    for (; j > 0 && out[j - 1] > value; --j) out[j] = out[j - 1];
    out[j] = value;
  }
}

}  // namespace

PoissonProcess::PoissonProcess(uint64_t key, int128 limit) : key_(key) {
  BROADSIDE_CHECK(limit >= 0);
  const auto blocks = static_cast<uint64_t>(limit / kBlockFemto) + 1;
  // At most 2^17 checkpoints, and never fewer than 64 blocks from one to the next.
  stride_ = 64;
  while (blocks / stride_ >= uint64_t{1} << 17) stride_ *= 2;
  uint64_t points = 0;
  for (uint64_t block = 0; block < blocks; block += 2) {
    if (block % stride_ == 0) checkpoints_.push_back(points);
    const Pair draws = Draw(key_, block / 2, 0, kCountDraw);
    points += static_cast<uint64_t>(Invert(draws.first) + Invert(draws.second));
  }
}

int PoissonProcess::CountIn(uint64_t key, uint64_t block) {
  const Pair draws = Draw(key, block / 2, 0, kCountDraw);
  return Invert(block % 2 == 0 ? draws.first : draws.second);
}

void PoissonProcess::Positions(uint64_t key, uint64_t block, int count, Buffer& out) {
  Buffer drawn;
  for (int k = 0; k < count; k += 2) {
    const Pair draws = Draw(key, block, static_cast<uint32_t>(k / 2), kPositionDraw);
    drawn[k] = draws.first;
    if (k + 1 < kMaxInBlock) drawn[k + 1] = draws.second;
  }
  SortUniform(drawn, count, out);
  for (int k = 0; k < count; ++k) out[k] = MulHigh(out[k], kBlockFemto);
}

uint64_t PoissonProcess::FirstIndexOf(uint64_t block) const {
  uint64_t at = block / stride_ * stride_;
  uint64_t points = checkpoints_[block / stride_];
  for (; at < block; ++at) points += static_cast<uint64_t>(CountIn(key_, at));
  return points;
}

uint64_t PoissonProcess::CountUpTo(int128 femto) const {
  if (femto < 0) return 0;
  const auto block = static_cast<uint64_t>(femto / kBlockFemto);
  const auto rest = static_cast<uint64_t>(femto % kBlockFemto);
  Buffer positions;
  const int count = CountIn(key_, block);
  Positions(key_, block, count, positions);
  const auto past = std::upper_bound(positions.begin(), positions.begin() + count, rest);
  return FirstIndexOf(block) + static_cast<uint64_t>(past - positions.begin());
}

PoissonProcess::Place PoissonProcess::Locate(uint64_t index) const {
  const auto next = std::upper_bound(checkpoints_.begin(), checkpoints_.end(), index);
  const auto checkpoint = static_cast<uint64_t>(next - checkpoints_.begin()) - 1;
  Place place{.block = checkpoint * stride_, .first = checkpoints_[checkpoint]};
  for (;; ++place.block) {
    const auto count = static_cast<uint64_t>(CountIn(key_, place.block));
    if (index - place.first < count) return place;
    place.first += count;
  }
}

int128 PoissonProcess::PositionOf(uint64_t index) const {
  const Place place = Locate(index);
  Buffer positions;
  Positions(key_, place.block, CountIn(key_, place.block), positions);
  return BlockStart(place.block) + positions[index - place.first];
}

}  // namespace broadside::rate::internal
