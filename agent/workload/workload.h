#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/plan/model_config.h"
#include "common/plan/plan.h"

/// What is sent: requests made up once, before T0, as bytes that the loops only copy to sockets.
namespace broadside::agent {

/// Where a request goes: connections are pooled by this.
struct Endpoint {
  std::string host;  ///< dialled (connect_to applied)
  uint16_t port = 0;
  bool tls = false;
  std::string server_name;  ///< for TLS
  friend auto operator<=>(const Endpoint&, const Endpoint&) = default;
};

/// A request without the optional stamp header, which goes in at `stamp_at`.
struct PreparedRequest {
  uint32_t endpoint = 0;  ///< index into Workload::endpoints
  std::string bytes;      ///< request line, headers, blank line, body
  size_t stamp_at = 0;    ///< offset in `bytes` where "broadside-arrival: …\r\n" may be inserted
  uint32_t inferences = 1;  ///< batch items it asks for
  bool head = false;        ///< HEAD: the reply has no body
  bool kserve = false;      ///< the reply must be a valid KServe v2 answer
};

/// One target's requests; arrival i sends requests[PayloadOf(i, requests.size())], Vegeta files go
/// round robin. Immutable once built.
struct Workload {
  std::vector<Endpoint> endpoints;
  std::vector<PreparedRequest> requests;
  bool round_robin = false;
};

struct WorkloadInputs {
  /// Content of a file named by the plan.
  std::function<StatusOr<std::string>(const std::string& path)> read;
  /// ${secret:NAME} on this agent.
  std::function<StatusOr<std::string>(const std::string& name)> secret;
  /// The model's metadata from the server; asked only when the plan needs it.
  std::function<StatusOr<plan::ModelConfig>(const plan::Target& target)> model;
  uint64_t seed = 0;
};

StatusOr<std::shared_ptr<const Workload>> BuildWorkload(const plan::Target& target,
                                                        const WorkloadInputs& inputs);

}  // namespace broadside::agent
