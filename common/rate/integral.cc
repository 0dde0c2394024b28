#include "common/rate/integral.h"

#include <algorithm>
#include <cmath>

#include "common/base/check.h"

namespace broadside::rate::internal {
namespace {

/// d·x²/width for 0 ≤ x ≤ width, rounded down, or up when `up`. The product itself can have 137
/// bits; dividing d·x first leaves a quotient ≤ d and a remainder < width, so nothing overflows:
/// d·x = a·width + b gives d·x²/width = a·x + b·x/width.
int128 ScaledSquare(uint64_t d, uint64_t x, uint64_t width, bool up) {
  const uint128 product = uint128{d} * x;
  const uint64_t a = static_cast<uint64_t>(product / width);
  const uint64_t b = static_cast<uint64_t>(product - uint128{a} * width);
  const uint128 rest = uint128{b} * x + (up ? width - 1 : 0);
  return static_cast<int128>(uint128{a} * x + static_cast<uint64_t>(rest / width));
}

}  // namespace

Integral::Integral(const std::vector<Knot>& knots) {
  BROADSIDE_CHECK(knots.size() >= 2);
  pieces_.reserve(knots.size() - 1);
  for (size_t k = 0; k + 1 < knots.size(); ++k) {
    const int64_t width = (knots[k + 1].at - knots[k].at).count();
    Piece piece{.at = knots[k].at.count(),
                .width = width,
                .rate = knots[k].rate,
                .rise = knots[k + 1].rate - knots[k].rate,
                .doubled = total_};
    total_ += int128{knots[k].rate + knots[k + 1].rate} * width;
    piece.end = total_;
    pieces_.push_back(piece);
  }
}

int128 Integral::Within(const Piece& piece, int64_t x) {
  const int128 straight = int128{2} * piece.rate * x;
  if (piece.rise == 0) return straight;
  const auto ux = static_cast<uint64_t>(x);
  const auto width = static_cast<uint64_t>(piece.width);
  // The floor of a negative term is minus the ceiling of its size.
  if (piece.rise < 0) {
    return straight - ScaledSquare(static_cast<uint64_t>(-piece.rise), ux, width, true);
  }
  return straight + ScaledSquare(static_cast<uint64_t>(piece.rise), ux, width, false);
}

int128 Integral::Doubled(int64_t x) const {
  auto next = std::upper_bound(pieces_.begin(), pieces_.end(), x,
                               [](int64_t at, const Piece& piece) { return at < piece.at; });
  const Piece& piece = *std::prev(next);
  return piece.doubled + Within(piece, x - piece.at);
}

int64_t Integral::Inverse(int128 doubled) const {
  if (doubled <= 0) return 0;
  auto found = std::lower_bound(pieces_.begin(), pieces_.end(), doubled,
                                [](const Piece& piece, int128 value) { return piece.end < value; });
  BROADSIDE_CHECK(found != pieces_.end());
  return InverseWithin(*found, doubled);
}

int64_t Integral::Inverse(int128 doubled, size_t* piece) const {
  if (doubled <= 0) return 0;
  while (pieces_[*piece].end < doubled) {
    ++*piece;
    BROADSIDE_CHECK(*piece < pieces_.size());
  }
  return InverseWithin(pieces_[*piece], doubled);
}

int64_t Integral::InverseWithin(const Piece& piece, int128 wanted) {
  if (piece.rise != 0) return piece.at + InverseSloped(piece, wanted - piece.doubled);
  const auto rest = static_cast<uint128>(wanted - piece.doubled);
  const auto slope = static_cast<uint64_t>(2 * piece.rate);
  return piece.at + static_cast<int64_t>((rest + (slope - 1)) / slope);
}

int64_t Integral::InverseSloped(const Piece& piece, int128 wanted) {
  // Solve rise·x²/width + 2·rate·x = wanted in floating point, in the form without cancellation.
  // This only says where to look; the exact comparison below decides.
  const double rate = static_cast<double>(piece.rate);
  const double want = static_cast<double>(wanted);
  const double root =
      std::sqrt(std::max(0.0, rate * rate + static_cast<double>(piece.rise) /
                                                static_cast<double>(piece.width) * want));
  const double guess = rate + root > 0 ? want / (rate + root) : 0.0;
  const double limit = static_cast<double>(piece.width);
  const auto reached = [&](int64_t x) { return Within(piece, x) >= wanted; };

  // Gallop away from the guess until the answer is in (low, high], then halve. 0 is never the
  // answer (Λ was smaller than wanted there), the piece's end always suffices.
  int64_t low = 0;
  int64_t high = piece.width;
  int64_t x = std::clamp<int64_t>(static_cast<int64_t>(std::min(guess, limit)), 0, piece.width);
  int64_t step = 1;
  if (x > 0 && reached(x)) {
    high = x;
    for (x = high - step; x > 0 && reached(x); x -= step) {
      high = x;
      step *= 2;
    }
    low = std::max<int64_t>(x, 0);
  } else {
    low = x;
    for (x = low + step; x < piece.width && !reached(x); x += step) {
      low = x;
      step *= 2;
    }
    high = std::min(x, piece.width);
  }
  while (high - low > 1) {
    const int64_t middle = low + (high - low) / 2;
    (reached(middle) ? high : low) = middle;
  }
  return high;
}

}  // namespace broadside::rate::internal
