#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/workload/workload.h"
#include "common/base/status.h"
#include "common/plan/plan.h"

/// HTTP/1.1 request text. Pure. Errors name the target and what the user wrote, never a secret.
namespace broadside::agent {

using SecretReader = std::function<StatusOr<std::string>(const std::string& name)>;

/// A request before it becomes bytes.
struct RequestText {
  std::string method;
  plan::Url url;
  std::vector<plan::Header> headers;  ///< the user's, secrets resolved; they win over the below
  std::vector<plan::Header> added;    ///< what the protocol needs (Content-Type …)
  std::string body;
  bool close = false;  ///< ask the server to close after the reply
};

/// Request line, Host, headers, Content-Length where there is a body or the method has one, blank
/// line, body. `endpoint`, `inferences` and `kserve` are left to the caller.
StatusOr<PreparedRequest> AssembleRequest(RequestText text, const std::string& target_name);

/// Replaces every ${secret:NAME} in header values. The values must stay on one line.
StatusOr<std::vector<plan::Header>> ResolveHeaders(const std::vector<plan::Header>& headers,
                                                   const SecretReader& secret,
                                                   const std::string& target_name);

/// Where `url` of `target` is dialled: connect_to applied. Unimplemented for https.
StatusOr<Endpoint> DialledEndpoint(const plan::Target& target, const plan::Url& url);

/// Base path of a KServe target's model: "…/v2/models/M[/versions/V]", without "/infer".
StatusOr<std::string> KserveModelPath(const plan::Target& target);

bool HasHeader(const std::vector<plan::Header>& headers, std::string_view lower_name);

}  // namespace broadside::agent
