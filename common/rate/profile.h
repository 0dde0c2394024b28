#pragma once

#include <vector>

#include "common/rate/segment.h"

/// Rate profiles resolved into integer knots. Used where the plan is resolved, once; the knots
/// travel.
namespace broadside::rate {

std::vector<Knot> ConstantKnots(MicroRate rate, Nanos length);
std::vector<Knot> RampKnots(MicroRate from, MicroRate to, Nanos length);
/// mean + amplitude · sin(2π t / period), by at most `kMaxSineKnots` chords.
std::vector<Knot> SineKnots(MicroRate mean, MicroRate amplitude, Nanos period, Nanos length);
constexpr int kMaxSineKnots = 4096;

}  // namespace broadside::rate
