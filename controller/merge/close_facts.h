#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/base/ids.h"
#include "common/rate/segment.h"
#include "common/time/time.h"

/// What the fold over the snapshots cannot know by itself: who was there, who had permission for
/// what, and how the run ended. Plain values, filled by RunCore when the run is closed.
namespace broadside::merge {

/// One incarnation's permission under one epoch: it owns the arrivals that `deal` gives it and that
/// are due in intervals first … last (none when last < first).
struct GrantFact {
  Incarnation incarnation;
  /// Shared by all owners of the epoch; never null.
  std::shared_ptr<const rate::Deal> deal;
  IntervalIndex first = 0;  ///< the epoch's first interval
  IntervalIndex last =
      -1;  ///< the last interval it was ever granted, before the next epoch's first
};

struct AgentFact {
  AgentId id;
  Incarnation incarnation;
  std::string state;  ///< "done", "lost", "drained"
  std::vector<std::pair<std::string, std::string>> labels;
};

struct CloseFacts {
  std::string run_id;
  std::string state = "completed";  ///< completed, aborted, cancelled, failed
  std::string state_reason;
  int64_t started_wall_ns = 0, ended_wall_ns = 0;
  uint64_t seed = 0;
  std::string plan_sha256;
  std::string plan_yaml;  ///< resolved
  std::map<std::string, std::string> versions;
  std::vector<AgentFact> agents;
  std::vector<GrantFact> grants;
  /// E of a stop (guard, cancel, loss): the schedule ends there.
  std::optional<RunTime> stopped_at;
};

}  // namespace broadside::merge
