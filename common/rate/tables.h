#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "common/rate/integral.h"
#include "common/rate/mix.h"
#include "common/rate/poisson.h"

namespace broadside::rate::internal {

/// What CompiledSegment works out once: shared by its methods and the stripe cursor.
struct Tables {
  std::optional<Integral> integral;  ///< all but kList
  std::optional<PoissonProcess> poisson;
  std::shared_ptr<const std::vector<int64_t>> list;
  Mix64 mix;
  uint64_t owner_key = 0;
};

/// When a recorded instant is due, counted from the segment's start.
inline int64_t ListDue(int64_t instant, const Replay& replay) {
  return static_cast<int64_t>((int128{instant} * replay.speed_den + (replay.speed_num - 1)) /
                              replay.speed_num);
}

}  // namespace broadside::rate::internal
