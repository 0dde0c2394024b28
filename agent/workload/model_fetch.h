#pragma once

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
                                             Nanos timeout = std::chrono::seconds(10));

/// One GET on a fresh connection; the status and the body (at most 4 MiB).
struct HttpAnswer {
  int status = 0;
  std::string body;
};
StatusOr<HttpAnswer> HttpGet(const Endpoint& endpoint, const std::string& request, Nanos timeout);

}  // namespace broadside::agent
