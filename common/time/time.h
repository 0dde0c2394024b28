#pragma once

#include <chrono>
#include <cstdint>

namespace broadside {

using Nanos = std::chrono::nanoseconds;

/// One host's CLOCK_BOOTTIME: never falls, goes on through suspend, means nothing on another host.
struct HostClock {};
using Instant = std::chrono::time_point<HostClock, Nanos>;

/// The run clock r: nanoseconds since T0 of a run, the same everywhere up to the printed bound.
struct RunClock {};
using RunTime = std::chrono::time_point<RunClock, Nanos>;

/// Slot k of the run clock, [k·L, (k+1)·L). Negative before T0.
using IntervalIndex = int64_t;

constexpr RunTime RunStart() { return RunTime(Nanos(0)); }

/// The interval that contains `at`, for intervals of length `length` > 0 (floor division).
constexpr IntervalIndex IntervalOf(RunTime at, Nanos length) {
  const int64_t t = at.time_since_epoch().count();
  const int64_t l = length.count();
  return t / l - (t % l < 0 ? 1 : 0);
}
/// First instant of interval `k`.
constexpr RunTime IntervalStart(IntervalIndex k, Nanos length) { return RunTime(length * k); }

}  // namespace broadside
