#pragma once

#include "agent/control/agent.h"
#include "common/rpc/http_server.h"

namespace broadside::agent {

/// /metrics, /healthz (the process answers) and /readyz (connected to a controller).
rpc::HttpHandler MakePages(const Agent& agent);

}  // namespace broadside::agent
