#include "tests/target/latency.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"

namespace broadside::target {

uint64_t Random::Next() {
  uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

double Random::Uniform() { return static_cast<double>(Next() >> 11) * 0x1.0p-53; }

double Random::Normal() {
  const double radius = std::sqrt(-2 * std::log(1 - Uniform()));
  return radius * std::cos(2 * M_PI * Uniform());
}

StatusOr<Nanos> ParseNanos(const std::string& text) {
  absl::Duration duration;
  if (!absl::ParseDuration(text, &duration) || duration < absl::ZeroDuration() ||
      duration > absl::Hours(1)) {
    return InvalidArgument("\"" + text + "\" is not a duration from 0 to 1h. Write 40ms or 1.5s.");
  }
  return Nanos(absl::ToInt64Nanoseconds(duration));
}

namespace {

Status BadLatency(const std::string& text) {
  return InvalidArgument("latency \"" + text +
                         "\" is not known. Write 40ms, uniform:10ms..20ms, lognormal:40ms,0.3, "
                         "exponential:40ms or bimodal:5ms,80ms,0.1.");
}

StatusOr<double> NanosAsDouble(const std::string& text) {
  BROADSIDE_ASSIGN_OR_RETURN(const Nanos nanos, ParseNanos(text));
  return static_cast<double>(nanos.count());
}

}  // namespace

StatusOr<Latency> Latency::Parse(const std::string& text) {
  Latency result;
  const size_t colon = text.find(':');
  const std::string kind = colon == std::string::npos ? "fixed" : text.substr(0, colon);
  const std::string rest = colon == std::string::npos ? text : text.substr(colon + 1);
  std::vector<std::string> parts = absl::StrSplit(rest, ',');
  if (kind == "uniform") parts = absl::StrSplit(rest, "..");
  size_t wanted = 1;
  if (kind == "uniform" || kind == "lognormal") wanted = 2;
  if (kind == "bimodal") wanted = 3;
  if (parts.size() != wanted) return BadLatency(text);
  BROADSIDE_ASSIGN_OR_RETURN(result.a_, NanosAsDouble(parts[0]));
  if (kind == "fixed") {
    result.kind_ = Kind::kFixed;
  } else if (kind == "exponential") {
    result.kind_ = Kind::kExponential;
  } else if (kind == "uniform") {
    result.kind_ = Kind::kUniform;
    BROADSIDE_ASSIGN_OR_RETURN(result.b_, NanosAsDouble(parts[1]));
    if (result.b_ < result.a_) return BadLatency(text);
  } else if (kind == "lognormal") {
    result.kind_ = Kind::kLognormal;
    if (!absl::SimpleAtod(parts[1], &result.b_) || !(result.b_ >= 0 && result.b_ <= 10)) {
      return BadLatency(text);
    }
  } else if (kind == "bimodal") {
    result.kind_ = Kind::kBimodal;
    BROADSIDE_ASSIGN_OR_RETURN(result.b_, NanosAsDouble(parts[1]));
    if (!absl::SimpleAtod(parts[2], &result.c_) || !(result.c_ >= 0 && result.c_ <= 1)) {
      return BadLatency(text);
    }
  } else {
    return BadLatency(text);
  }
  return result;
}

Nanos Latency::Draw(Random& random) const {
  double nanos = a_;
  switch (kind_) {
    case Kind::kFixed:
      break;
    case Kind::kUniform:
      nanos = a_ + (b_ - a_) * random.Uniform();
      break;
    case Kind::kLognormal:
      nanos = a_ * std::exp(b_ * random.Normal());
      break;
    case Kind::kExponential:
      nanos = -a_ * std::log(1 - random.Uniform());
      break;
    case Kind::kBimodal:
      nanos = random.Uniform() < c_ ? b_ : a_;
      break;
  }
  return Nanos(static_cast<int64_t>(std::clamp(nanos, 0.0, 3.6e12)));
}

}  // namespace broadside::target
