#include "common/plan/plan.h"

namespace broadside::plan {

std::string_view ProtocolName(Protocol protocol) {
  switch (protocol) {
    case Protocol::kHttp:
      return "http";
    case Protocol::kKserveHttp:
      return "kserve-http";
    case Protocol::kKserveGrpc:
      return "kserve-grpc";
    case Protocol::kKserveGrpcStream:
      return "kserve-grpc-stream";
    case Protocol::kOpenaiChat:
      return "openai-chat";
    case Protocol::kOpenaiCompletions:
      return "openai-completions";
    case Protocol::kGenerateStream:
      return "generate-stream";
    case Protocol::kGrpc:
      return "grpc";
  }
  return "";
}

std::string Url::HostPort() const {
  const std::string name = host.find(':') == std::string::npos ? host : "[" + host + "]";
  const bool tls = scheme == "https" || scheme == "grpcs";
  return port == (tls ? 443 : 80) ? name : name + ":" + std::to_string(port);
}

std::optional<TargetIndex> Plan::FindTarget(std::string_view target_name) const {
  for (size_t i = 0; i < targets.size(); ++i)
    if (targets[i].name == target_name) return TargetIndex(static_cast<uint32_t>(i));
  return {};
}

}  // namespace broadside::plan
