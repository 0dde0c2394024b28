#pragma once

#include "common/rpc/http_server.h"
#include "controller/server/shell.h"

namespace broadside::controller {

/// /metrics, /healthz (the process answers) and /readyz (the store takes writes).
rpc::HttpHandler MakePages(const Shell& shell);

}  // namespace broadside::controller
