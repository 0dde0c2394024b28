#pragma once

#include <string>

#include "tests/sim/faults.h"

namespace broadside::sim {

struct Outcome {
  std::string broken;  ///< the law that was broken; empty: none
  Coverage coverage{};
  uint64_t events = 0;
  uint64_t arrivals = 0, sent = 0;
};

/// Plays one seed: the same seed gives the same steps, always. With `crashes` the controller dies
/// and starts again in some.
Outcome Play(uint64_t seed, bool verbose, bool crashes = false);

}  // namespace broadside::sim
