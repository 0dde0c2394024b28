#include "agent/workload/workload.h"

#include <algorithm>
#include <utility>

#include "agent/workload/kserve.h"
#include "agent/workload/request_text.h"
#include "common/plan/vegeta.h"

namespace broadside::agent {
namespace {

/// Prepared bytes of a target at most: they are all held in memory.
constexpr size_t kMaxPreparedBytes = size_t{512} << 20;

uint32_t IndexOf(const Endpoint& endpoint, std::vector<Endpoint>& endpoints) {
  const auto found = std::find(endpoints.begin(), endpoints.end(), endpoint);
  if (found != endpoints.end()) return static_cast<uint32_t>(found - endpoints.begin());
  endpoints.push_back(endpoint);
  return static_cast<uint32_t>(endpoints.size() - 1);
}

/// Puts one request more into `workload`.
Status Add(const plan::Target& target, RequestText text, bool kserve, uint32_t inferences,
           size_t& bytes, Workload& workload) {
  BROADSIDE_ASSIGN_OR_RETURN(const Endpoint endpoint, DialledEndpoint(target, text.url));
  text.close = !target.reuse;
  BROADSIDE_ASSIGN_OR_RETURN(PreparedRequest request,
                             AssembleRequest(std::move(text), target.name));
  request.endpoint = IndexOf(endpoint, workload.endpoints);
  request.kserve = kserve;
  request.inferences = inferences;
  bytes += request.bytes.size();
  if (bytes > kMaxPreparedBytes) {
    return ResourceExhausted(
        "target \"" + target.name +
        "\": the prepared requests are over 512 MiB; use fewer or smaller bodies");
  }
  workload.requests.push_back(std::move(request));
  return absl::OkStatus();
}

Status BuildVegeta(const plan::Target& target, const WorkloadInputs& inputs, Workload& workload) {
  BROADSIDE_ASSIGN_OR_RETURN(const std::string text, inputs.read(target.vegeta->file));
  BROADSIDE_ASSIGN_OR_RETURN(
      const std::vector<plan::VegetaTarget> lines,
      plan::ParseVegetaTargets(text, target.vegeta->format, target.vegeta->file));
  BROADSIDE_ASSIGN_OR_RETURN(const std::vector<plan::Header> common,
                             ResolveHeaders(target.headers, inputs.secret, target.name));
  workload.round_robin = true;
  size_t bytes = 0;
  for (const plan::VegetaTarget& line : lines) {
    const std::string where = target.vegeta->file + ":" + std::to_string(line.line) + ": ";
    RequestText request;
    request.method = line.method;
    request.url = line.url;
    StatusOr<std::vector<plan::Header>> headers =
        ResolveHeaders(line.headers, inputs.secret, target.name);
    if (!headers.ok()) {
      return Status(headers.status().code(), where + MessageOf(headers.status()));
    }
    request.headers = *std::move(headers);
    request.added = common;
    request.body = line.body;
    if (!line.body_file.empty()) {
      StatusOr<std::string> body = inputs.read(line.body_file);
      if (!body.ok()) return Status(body.status().code(), where + MessageOf(body.status()));
      request.body = *std::move(body);
    }
    BROADSIDE_RETURN_IF_ERROR(Add(target, std::move(request), false, 1, bytes, workload));
  }
  return absl::OkStatus();
}

Status BuildHttp(const plan::Target& target, const WorkloadInputs& inputs, Workload& workload) {
  RequestText request;
  if (const auto* text = std::get_if<plan::TextInput>(&target.input)) {
    request.body = text->text;
  } else if (const auto* payload = std::get_if<plan::PayloadInput>(&target.input)) {
    BROADSIDE_ASSIGN_OR_RETURN(request.body, inputs.read(payload->file));
  } else if (!std::holds_alternative<plan::NoInput>(target.input)) {
    return InvalidArgument(
        "target \"" + target.name +
        "\": protocol http takes a body as text or {payload: FILE}; tensors need "
        "protocol: kserve-http");
  }
  const bool body = !std::holds_alternative<plan::NoInput>(target.input);
  request.method = !target.method.empty() ? target.method : body ? "POST" : "GET";
  request.url = *target.endpoint;
  BROADSIDE_ASSIGN_OR_RETURN(request.headers,
                             ResolveHeaders(target.headers, inputs.secret, target.name));
  size_t bytes = 0;
  return Add(target, std::move(request), false, 1, bytes, workload);
}

Status BuildKserve(const plan::Target& target, const WorkloadInputs& inputs, Workload& workload) {
  BROADSIDE_ASSIGN_OR_RETURN(const std::string path, KserveModelPath(target));
  BROADSIDE_ASSIGN_OR_RETURN(const std::vector<plan::Header> headers,
                             ResolveHeaders(target.headers, inputs.secret, target.name));
  BROADSIDE_ASSIGN_OR_RETURN(std::vector<KserveBody> bodies, BuildKserveBodies(target, inputs));
  size_t bytes = 0;
  for (KserveBody& body : bodies) {
    RequestText request;
    request.method = "POST";
    request.url = *target.endpoint;
    request.url.path = path + "/infer";
    request.headers = headers;
    if (body.json_size < 0) {
      request.added.push_back({"Content-Type", "application/json"});
    } else {
      request.added.push_back({"Content-Type", "application/octet-stream"});
      request.added.push_back({"Inference-Header-Content-Length", std::to_string(body.json_size)});
    }
    request.body = std::move(body.bytes);
    BROADSIDE_RETURN_IF_ERROR(
        Add(target, std::move(request), true, body.inferences, bytes, workload));
  }
  return absl::OkStatus();
}

}  // namespace

StatusOr<std::shared_ptr<const Workload>> BuildWorkload(const plan::Target& target,
                                                        const WorkloadInputs& inputs) {
  auto workload = std::make_shared<Workload>();
  if (target.vegeta) {
    BROADSIDE_RETURN_IF_ERROR(BuildVegeta(target, inputs, *workload));
  } else if (!target.endpoint) {
    return InvalidArgument("target \"" + target.name +
                           "\" has no URL; write url: http://HOST/PATH");
  } else if (target.protocol == plan::Protocol::kHttp) {
    BROADSIDE_RETURN_IF_ERROR(BuildHttp(target, inputs, *workload));
  } else if (target.protocol == plan::Protocol::kKserveHttp) {
    BROADSIDE_RETURN_IF_ERROR(BuildKserve(target, inputs, *workload));
  } else {
    return Unimplemented("target \"" + target.name + "\": protocol " +
                         std::string(plan::ProtocolName(target.protocol)) +
                         " is not in this version yet");
  }
  if (workload->requests.empty()) {
    return InvalidArgument("target \"" + target.name + "\" has no requests to send");
  }
  return std::shared_ptr<const Workload>(std::move(workload));
}

}  // namespace broadside::agent
