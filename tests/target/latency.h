#pragma once

#include <cstdint>
#include <string>

#include "common/base/status.h"
#include "common/time/time.h"

namespace broadside::target {

/// A small seeded generator (splitmix64): the same seed gives the same sequence on every machine.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t Next();
  /// Uniform in [0, 1).
  double Uniform();
  /// Standard normal (Box-Muller).
  double Normal();

 private:
  uint64_t state_;
};

/// How long a worker is busy with one request. Written as
/// `40ms` or `fixed:40ms`, `uniform:10ms..20ms`, `lognormal:MEDIAN,SIGMA`, `exponential:MEAN`,
/// `bimodal:FAST,SLOW,SHARE_OF_SLOW`.
class Latency {
 public:
  static StatusOr<Latency> Parse(const std::string& text);
  /// Never negative, at most one hour.
  Nanos Draw(Random& random) const;

 private:
  enum class Kind : uint8_t { kFixed, kUniform, kLognormal, kExponential, kBimodal };
  Kind kind_ = Kind::kFixed;
  double a_ = 0, b_ = 0, c_ = 0;  // ns, ns or sigma, share
};

/// "40ms" as Abseil reads durations; an error names what was found and what is allowed.
StatusOr<Nanos> ParseNanos(const std::string& text);

}  // namespace broadside::target
