#pragma once

#include "agent/client/address.h"
#include "agent/workload/request_text.h"
#include "common/base/status.h"
#include "common/plan/model_config.h"
#include "common/plan/plan.h"
#include "common/time/time.h"

namespace broadside::agent {

/// Asks the target's server what its model takes: GET …/v2/models/M[/versions/V]/config (Triton),
/// else GET …/v2/models/M (any KServe v2 server). Blocks for at most `timeout` in all, name
/// resolution apart. Sends the target's headers. Any thread.
StatusOr<plan::ModelConfig> FetchModelConfig(const plan::Target& target, const SecretReader& secret,
                                             Resolver& resolver,
                                             Nanos timeout = std::chrono::seconds(10));

}  // namespace broadside::agent
