#include "tests/target/fault.h"

#include <array>

#include "rapidjson/stringbuffer.h"
#include "rapidjson/writer.h"

namespace broadside::target {
namespace {

constexpr std::array<std::pair<std::string_view, Fault>, 29> kFaults = {{
    {"queue_full", Fault::kQueueFull},
    {"queue_timeout", Fault::kQueueTimeout},
    {"unavailable", Fault::kUnavailable},
    {"exception", Fault::kException},
    {"stub_died", Fault::kStubDied},
    {"unknown_model", Fault::kUnknownModel},
    {"bad_json", Fault::kBadJson},
    {"bad_shape", Fault::kBadShape},
    {"decoupled", Fault::kDecoupled},
    {"overflow", Fault::kOverflow},
    {"no_upstream", Fault::kNoUpstream},
    {"rate_limit", Fault::kRateLimit},
    {"gateway_timeout", Fault::kGatewayTimeout},
    {"redirect", Fault::kRedirect},
    {"empty", Fault::kEmpty},
    {"zero_size", Fault::kZeroSize},
    {"error_body", Fault::kErrorBody},
    {"not_json", Fault::kNotJson},
    {"chunked", Fault::kChunked},
    {"close", Fault::kClose},
    {"trickle", Fault::kTrickle},
    {"reset", Fault::kReset},
    {"reset_mid", Fault::kResetMid},
    {"cut_mid", Fault::kCutMid},
    {"hang", Fault::kHang},
    {"hang_mid", Fault::kHangMid},
    {"garbage", Fault::kGarbage},
    {"endless_head", Fault::kEndlessHead},
    {"none", Fault::kNone},
}};

std::string_view BodyOf(const Reply& reply) {
  const std::string_view bytes = reply.bytes;
  const size_t end = bytes.find("\r\n\r\n");
  return end == std::string_view::npos ? std::string_view() : bytes.substr(end + 4);
}

Reply Plain(int status, std::string_view body, std::string_view headers = {}) {
  return {status, WireReply(status, "text/plain", body, headers)};
}

std::string Prefix(std::string_view id) {
  return "[request id: " + (id.empty() ? std::string("<id_unknown>") : std::string(id)) + "] ";
}

Reply Ended(Reply reply, size_t keep, Reply::Ending ending) {
  reply.status = 0;
  reply.bytes.resize(keep);
  reply.ending = ending;
  return reply;
}

// Faults of a proxy in front of the server, or of an application.
Reply SpoilAsProxy(Fault fault) {
  switch (fault) {
    case Fault::kOverflow:
      return Plain(503,
                   "upstream connect error or disconnect/reset before headers. "
                   "reset reason: overflow",
                   "x-envoy-overloaded: true\r\n");
    case Fault::kNoUpstream:
      return Plain(503, "no healthy upstream");
    case Fault::kRateLimit:
      return Plain(429, "local_rate_limited");
    case Fault::kGatewayTimeout:
      return Plain(504, "upstream request timeout");
    case Fault::kRedirect:
      return Plain(302, "", "Location: /elsewhere\r\n");
    case Fault::kEmpty:
      return {200, WireReply(200, "application/json", "")};
    case Fault::kNotJson:
      return {200, WireReply(200, "text/html", "<html><body>Welcome</body></html>")};
    default:
      return ErrorReply(200, "the model is warming up", true);  // kErrorBody
  }
}

Reply SpoilConnection(Fault fault, Reply good) {
  const size_t half = good.bytes.size() / 2;
  switch (fault) {
    case Fault::kReset:
      return Ended(std::move(good), 0, Reply::Ending::kReset);
    case Fault::kResetMid:
      return Ended(std::move(good), half, Reply::Ending::kReset);
    case Fault::kCutMid:
      return Ended(std::move(good), half, Reply::Ending::kClose);
    case Fault::kHang:
      return Ended(std::move(good), 0, Reply::Ending::kHang);
    case Fault::kHangMid:
      return Ended(std::move(good), half, Reply::Ending::kHang);
    case Fault::kGarbage:
      return {0, "SSH-2.0-OpenSSH_9.2p1\r\n", Reply::Ending::kClose};
    default:  // kEndlessHead
      return {0, "HTTP/1.1 200 OK\r\nX-Filler: " + std::string(1 << 20, 'x'), Reply::Ending::kHang};
  }
}

}  // namespace

Fault FaultFromName(std::string_view name, bool& known) {
  known = true;
  for (const auto& [text, fault] : kFaults) {
    if (text == name) return fault;
  }
  known = false;
  return Fault::kNone;
}

std::string FaultNames() {
  std::string names;
  for (const auto& [text, fault] : kFaults)
    names += (names.empty() ? "" : ", ") + std::string(text);
  return names;
}

Status FaultMix::Set(std::string_view name, double share) {
  bool known = false;
  const Fault fault = FaultFromName(name, known);
  if (!known) {
    return InvalidArgument("fault \"" + std::string(name) +
                           "\" is not known. Known: " + FaultNames() + ".");
  }
  std::erase_if(shares_, [fault](const auto& entry) { return entry.first == fault; });
  double total = share;
  for (const auto& entry : shares_) total += entry.second;
  if (!(share >= 0 && total <= 1 + 1e-9)) {
    return InvalidArgument("faults: the shares must lie between 0 and 1 and add up to at most 1.");
  }
  if (share > 0) shares_.emplace_back(fault, share);
  return absl::OkStatus();
}

Fault FaultMix::Draw(Random& random) const {
  if (shares_.empty()) return Fault::kNone;
  double at = random.Uniform();
  for (const auto& [fault, share] : shares_) {
    if (at < share) return fault;
    at -= share;
  }
  return Fault::kNone;
}

bool AnswersWithoutModel(Fault fault) {
  switch (fault) {
    case Fault::kNone:
    case Fault::kZeroSize:
    case Fault::kChunked:
    case Fault::kClose:
    case Fault::kTrickle:
    case Fault::kResetMid:
    case Fault::kCutMid:
    case Fault::kHangMid:
      return false;
    default:
      return true;
  }
}

Reply ErrorReply(int status, std::string_view text, bool json_type) {
  rapidjson::StringBuffer body;
  rapidjson::Writer<rapidjson::StringBuffer> writer(body);
  writer.StartObject();
  writer.Key("error");
  writer.String(text.data(), static_cast<rapidjson::SizeType>(text.size()));
  writer.EndObject();
  return {status, WireReply(status, json_type ? "application/json" : "text/plain",
                            std::string_view(body.GetString(), body.GetSize()))};
}

Reply Spoil(Fault fault, Reply good, std::string_view model, std::string_view id) {
  const std::string name(model);
  switch (fault) {
    case Fault::kNone:
      return good;
    case Fault::kQueueFull:
      return ErrorReply(503, Prefix(id) + "Exceeds maximum queue size", true);
    case Fault::kQueueTimeout:
      return ErrorReply(503, "Request timeout expired", false);
    case Fault::kUnavailable:
      return ErrorReply(503, "refused by the model", false);
    case Fault::kException:
      return ErrorReply(500,
                        "Failed to process the request(s) for model '" + name +
                            "_0_0', message: RuntimeError: boom\n\nAt:\n  /models/" + name +
                            "/1/model.py(14): execute\n",
                        false);
    case Fault::kStubDied:
      return ErrorReply(500, "Stub process '" + name + "_0_0' is not healthy.", false);
    case Fault::kUnknownModel:
      return ErrorReply(404, "Request for unknown model: '" + name + "' is not found", false);
    case Fault::kBadJson:
      return ErrorReply(500, "failed to parse the request JSON buffer: Invalid value. at 0", true);
    case Fault::kBadShape:
      return ErrorReply(400,
                        Prefix(id) + "unexpected shape for input 'INPUT0' for model '" + name +
                            "'. Expected [-1,-1], got [4].",
                        true);
    case Fault::kDecoupled:
      return ErrorReply(
          501, "HTTP end point doesn't support models with decoupled transaction policy", false);
    case Fault::kZeroSize:
      return {200, WireReply(200, "application/json",
                             "{\"model_name\":\"" + name +
                                 "\",\"model_version\":\"1\",\"outputs\":[{\"name\":\"OUTPUT0\","
                                 "\"datatype\":\"FP32\",\"shape\":[1,0],\"data\":[]}]}")};
    case Fault::kChunked:
      return {good.status, ChunkedReply(good.status, "application/json", BodyOf(good), 64)};
    case Fault::kClose:
      good.bytes.insert(good.bytes.find("\r\n") + 2, "Connection: close\r\n");
      good.ending = Reply::Ending::kClose;
      return good;
    case Fault::kTrickle:
      good.trickle_bytes = 64;
      good.trickle_gap_ns = 5'000'000;
      return good;
    case Fault::kReset:
    case Fault::kResetMid:
    case Fault::kCutMid:
    case Fault::kHang:
    case Fault::kHangMid:
    case Fault::kGarbage:
    case Fault::kEndlessHead:
      return SpoilConnection(fault, std::move(good));
    default:
      return SpoilAsProxy(fault);
  }
}

}  // namespace broadside::target
