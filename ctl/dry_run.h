#pragma once

#include <string>
#include <vector>

#include "ctl/env.h"
#include "ctl/plan_input.h"

namespace broadside::ctl {

/// What a plan would do: the resolved plan, each phase's rate and arrivals, each agent's rate.
/// `agents` may be empty: then `count` equal ones are reckoned with. `json`: one object.
StatusOr<std::string> DryRun(const Env& env, const LoadedPlan& loaded,
                             const std::vector<AgentInfo>& agents, uint32_t count, bool json);

}  // namespace broadside::ctl
