#pragma once

#include <string>

#include "common/report/progress.h"
#include "common/report/report.h"

/// Reports and progress that the tests render, with consistent numbers.
namespace broadside::report {

/// Three agents, two measured phases and a warm-up, one target, everything fine.
Report HealthyReport();
/// Overload: rejections, timeouts beyond P99, a lost agent, an SLO that fails, INVALID.
Report TroubledReport();
Progress RunningProgress();

}  // namespace broadside::report
