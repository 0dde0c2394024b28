#pragma once

#include "controller/core/run_core.h"
#include "controller/merge/run_merge.h"
#include "controller/server/metrics.h"

namespace broadside::controller {

/// What /metrics shows of a run, from its decisions and its provisional fold.
server::RunView ViewOf(const RunCore& core, const merge::RunMerge& merge);

}  // namespace broadside::controller
