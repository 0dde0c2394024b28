#include "common/rate/profile.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "common/base/check.h"

namespace broadside::rate {
namespace {

MicroRate Clamp(MicroRate rate) { return std::clamp<MicroRate>(rate, 0, kMaxMicroRate); }

/// The sine's value in the middle of rounding: this code runs once, where the plan is resolved.
MicroRate SineAt(MicroRate mean, MicroRate amplitude, Nanos period, Nanos at) {
  const auto into = static_cast<double>((at % period).count());
  const double angle = 2 * std::numbers::pi * into / static_cast<double>(period.count());
  return Clamp(mean + std::llround(static_cast<double>(amplitude) * std::sin(angle)));
}

}  // namespace

std::vector<Knot> ConstantKnots(MicroRate rate, Nanos length) {
  return RampKnots(rate, rate, length);
}

std::vector<Knot> RampKnots(MicroRate from, MicroRate to, Nanos length) {
  return {{Nanos(0), Clamp(from)}, {length, Clamp(to)}};
}

std::vector<Knot> SineKnots(MicroRate mean, MicroRate amplitude, Nanos period, Nanos length) {
  BROADSIDE_CHECK(period.count() > 0 && length.count() > 0);
  // 64 chords a period stay within 0.13 % of the amplitude; long segments get fewer.
  constexpr int64_t kChordsPerPeriod = 64;
  const double periods = static_cast<double>(length.count()) / static_cast<double>(period.count());
  const auto wanted = static_cast<int64_t>(
      std::min(std::ceil(periods * kChordsPerPeriod), static_cast<double>(kMaxSineKnots)));
  const int64_t chords =
      std::clamp<int64_t>(wanted, 1, std::min<int64_t>(kMaxSineKnots, length.count()));
  std::vector<Knot> knots;
  knots.reserve(static_cast<size_t>(chords) + 1);
  for (int64_t k = 0; k <= chords; ++k) {
    // length · k fits: 8.64e13 ns · 4096 < 2^63.
    const Nanos at(length.count() * k / chords);
    knots.push_back({at, SineAt(mean, amplitude, period, at)});
  }
  return knots;
}

}  // namespace broadside::rate
