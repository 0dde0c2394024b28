#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/status.h"
#include "tests/target/http.h"
#include "tests/target/latency.h"

namespace broadside::target {

/// Ways to answer wrongly. The names are those of flags, files and the request header
/// `broadside-fault`, which asks for one on a single request.
enum class Fault : uint8_t {
  kNone,
  // As Triton words them.
  kQueueFull,     ///< queue_full: 503 "Exceeds maximum queue size"
  kQueueTimeout,  ///< queue_timeout: 503 "Request timeout expired"
  kUnavailable,   ///< unavailable: 503, the model refused
  kException,     ///< exception: 500, the model raised
  kStubDied,      ///< stub_died: 500, the model's process is gone
  kUnknownModel,  ///< unknown_model: 404
  kBadJson,       ///< bad_json: 500
  kBadShape,      ///< bad_shape: 400
  kDecoupled,     ///< decoupled: 501
  // As proxies word them.
  kOverflow,        ///< overflow: Envoy's 503 with x-envoy-overloaded
  kNoUpstream,      ///< no_upstream: 503 "no healthy upstream"
  kRateLimit,       ///< rate_limit: 429
  kGatewayTimeout,  ///< gateway_timeout: 504
  kRedirect,        ///< redirect: 302
  // Replies that only look well.
  kEmpty,      ///< empty: 200 without a body
  kZeroSize,   ///< zero_size: 200 with an output of no elements
  kErrorBody,  ///< error_body: 200 with {"error": …}
  kNotJson,    ///< not_json: 200 with HTML
  kChunked,    ///< chunked: the right reply in chunks
  kClose,      ///< close: the right reply with Connection: close
  kTrickle,    ///< trickle: the right reply, 64 bytes every 5 ms
  // The connection's end.
  kReset,        ///< reset: RST instead of a reply
  kResetMid,     ///< reset_mid: RST after half of the reply
  kCutMid,       ///< cut_mid: FIN after half of the reply
  kHang,         ///< hang: no reply, the connection stays
  kHangMid,      ///< hang_mid: half of the reply, the connection stays
  kGarbage,      ///< garbage: bytes that are not HTTP
  kEndlessHead,  ///< endless_head: 1 MiB of header
};
/// kNone's number for an unknown name, with `known` false.
Fault FaultFromName(std::string_view name, bool& known);
/// "queue_full, queue_timeout, …" for messages.
std::string FaultNames();

/// Which share of requests ends in which fault; drawn from the seed.
class FaultMix {
 public:
  /// Shares add up to at most 1; a share again for the same fault replaces it.
  Status Set(std::string_view name, double share);
  Fault Draw(Random& random) const;
  bool empty() const { return shares_.empty(); }

 private:
  std::vector<std::pair<Fault, double>> shares_;
};

/// True for faults that replace a reply that the model need not compute.
bool AnswersWithoutModel(Fault fault);

/// What leaves instead of `good` (a complete reply of `model`; may be empty if
/// AnswersWithoutModel). `id` is the request's id or empty.
Reply Spoil(Fault fault, Reply good, std::string_view model, std::string_view id);

/// {"error":"<text>"} as Triton sends it, with the Content-Type it has for this error.
Reply ErrorReply(int status, std::string_view text, bool json_type);

}  // namespace broadside::target
