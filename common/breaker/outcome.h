#pragma once

#include <cstdint>
#include <string>
#include <string_view>

/// Outcome classes: how a sent request ended. String-keyed everywhere outside the hot loop; the
/// loop uses the fixed numbers below. First match wins, see outcome.cc for the texts.
namespace broadside::breaker {

enum class Outcome : uint8_t {
  kOk,
  kLimitNear,      ///< "limit_near": a breaker's limit at the first proxy
  kLimitFar,       ///< "limit_far": the same, forwarded by a nearer proxy
  kEject,          ///< "eject": no healthy upstream
  kAppBreaker,     ///< "app_breaker": the user's own matcher
  kQueue,          ///< "queue": the server's queue is full or its queue timeout expired
  kRate,           ///< "rate": 429 and other rate limits
  kErrorServer,    ///< "error_server": other 5xx
  kErrorClient,    ///< "error_client": 4xx
  kErrorReply,     ///< "error_reply": 2xx that is no valid answer (error body, empty, zero-size)
  kRedirect,       ///< "redirect": 3xx, which is not followed
  kTimeoutProxy,   ///< "timeout_proxy": 504
  kTimeoutClient,  ///< "timeout_client": not answered by due + timeout
  kConnect,        ///< "connect": refused, unreachable, no local port, TLS
  kReset,          ///< "reset": the connection ended before the reply did
  kProtocol,       ///< "protocol": not HTTP, too large, malformed
  kConfig,         ///< "config": the route or cluster does not exist
  kOther,          ///< "other": classes folded for want of cells
};
constexpr int kOutcomeCount = static_cast<int>(Outcome::kOther) + 1;

enum class OutcomeGroup : uint8_t { kOk, kRejected, kFailed };

std::string_view OutcomeName(Outcome outcome);
/// kOther's number for an unknown name, with `known` false.
Outcome OutcomeFromName(std::string_view name, bool& known);
/// rejected: breaker, queue and rate-limit classes; failed: errors and timeouts. Unknown names:
/// failed.
OutcomeGroup GroupOf(Outcome outcome);
OutcomeGroup GroupOfName(std::string_view name);
/// True for the classes that count as "not answered" in latency's rank: timeout_client, in flight.
bool IsUnanswered(std::string_view name);

/// What of a reply decides its class. Views live as long as the reply.
struct ReplyView {
  int status = 0;                    ///< HTTP status
  std::string_view body;             ///< the first 4 KiB are enough
  bool envoy_overloaded = false;     ///< header x-envoy-overloaded present
  bool envoy_upstream_time = false;  ///< header x-envoy-upstream-service-time present
  bool envoy_ratelimited = false;    ///< header x-envoy-ratelimited present
  bool from_envoy = false;           ///< header server is envoy or istio-envoy
};
/// Class of a complete HTTP reply by status, headers and text alone. A 2xx gives kOk: whether its
/// body is a valid answer is the protocol client's question.
Outcome ClassifyHttp(const ReplyView& reply);

}  // namespace broadside::breaker
