#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/base/int128.h"
#include "common/rate/segment.h"

/// The exact integral of a piecewise linear rate, and its inverse. Pure, immutable, any thread.
namespace broadside::rate::internal {

/// Λ is reckoned in femto-requests: 1e-15 request = 1 micro-request/s for 1 ns.
constexpr int64_t kFemto = 1'000'000'000'000'000;

/// Λ(x) = ∫ rate from 0 to x, x in ns from the segment's start. On a piece of width T from rate r0
/// to r1, 2Λ(x) = 2Λ(0) + 2·r0·x + (r1 − r0)·x²/T, which is an integer at both ends; doubled values
/// are therefore kept. Since every wanted value is an integer too, comparing with floor(2Λ(x)) is
/// exact, and the floor needs no more than 128 bits (see the source).
class Integral {
 public:
  /// `knots`: at least two, valid as segment.h says.
  explicit Integral(const std::vector<Knot>& knots);

  /// floor(2Λ(x)) in femto-requests, 0 ≤ x ≤ length.
  int128 Doubled(int64_t x) const;
  /// 2Λ(length).
  int128 DoubledTotal() const { return total_; }
  /// Least x with 2Λ(x) ≥ `doubled`, for 0 ≤ doubled ≤ DoubledTotal(). O(log pieces + log ns).
  int64_t Inverse(int128 doubled) const;
  /// The same for callers whose `doubled` never falls: `*piece` (0 at first) remembers the place.
  int64_t Inverse(int128 doubled, size_t* piece) const;

 private:
  struct Piece {
    int64_t at;
    int64_t width;
    int64_t rate;    ///< at its start
    int64_t rise;    ///< rate at its end − rate at its start
    int128 doubled;  ///< 2Λ at its start
    int128 end;      ///< 2Λ at its end
  };
  static int128 Within(const Piece& piece, int64_t x);
  static int64_t InverseWithin(const Piece& piece, int128 wanted);
  static int64_t InverseSloped(const Piece& piece, int128 wanted);
  std::vector<Piece> pieces_;
  int128 total_ = 0;
};

}  // namespace broadside::rate::internal
