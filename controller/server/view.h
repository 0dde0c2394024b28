#pragma once

#include "controller/core/run_core.h"
#include "controller/merge/run_merge.h"
#include "controller/server/metrics.h"

namespace broadside::controller {

/// What /metrics shows of a run, from its decisions and its provisional fold; `live` is that of
/// `merge`.
server::RunView ViewOf(const RunCore& core, const merge::RunMerge& merge, const merge::View& live);

}  // namespace broadside::controller
