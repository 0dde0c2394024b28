#pragma once

#include <sys/socket.h>

#include <vector>

#include "agent/workload/workload.h"
#include "common/base/status.h"
#include "common/time/time.h"

namespace broadside::agent {

struct Address {
  sockaddr_storage storage{};
  socklen_t length = 0;
};

/// The addresses to use for `endpoint`: of those its name resolves to, the ones of the first family
/// that takes a connection now; the first of all if none does (what follows from that is what the
/// run will measure). Blocks: resolution as long as the system's resolver does, trying until
/// `deadline`.
StatusOr<std::vector<Address>> ResolveEndpoint(const Endpoint& endpoint, Instant deadline);

}  // namespace broadside::agent
