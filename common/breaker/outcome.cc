#include "common/breaker/outcome.h"

#include <algorithm>
#include <array>

namespace broadside::breaker {
namespace {

constexpr std::array<std::string_view, kOutcomeCount> kNames = {
    "ok",       "limit_near",    "limit_far",      "eject",        "app_breaker",
    "queue",    "rate",          "error_server",   "error_client", "error_reply",
    "redirect", "timeout_proxy", "timeout_client", "connect",      "reset",
    "protocol", "config",        "other"};

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

/// `needle` is lower case. Servers and proxies change the case of their texts between versions.
bool Holds(std::string_view text, std::string_view needle) {
  return std::search(text.begin(), text.end(), needle.begin(), needle.end(),
                     [](char a, char b) { return Lower(a) == b; }) != text.end();
}

/// A text that proxies and servers put into their replies, and what it means. The first row that
/// is found decides; texts of Envoy 1.40, HAProxy 2.6 and Triton 2.51.
struct Row {
  std::string_view text;
  Outcome outcome;
};
constexpr Row kTexts[] = {
    {"no healthy upstream", Outcome::kEject},
    {"no server is available to handle this request", Outcome::kEject},
    {"exceeds maximum queue size", Outcome::kQueue},
    {"request timeout expired", Outcome::kQueue},
    {"queue full", Outcome::kQueue},
    {"queue is full", Outcome::kQueue},
    {"local_rate_limited", Outcome::kRate},
    {"reset reason: remote connection failure", Outcome::kConnect},
    {"reset reason: local connection failure", Outcome::kConnect},
    {"reset reason: connection failure", Outcome::kConnect},
    {"reset reason: connection timeout", Outcome::kConnect},
    {"reset reason: connection termination", Outcome::kReset},
    {"reset reason: remote reset", Outcome::kReset},
    {"reset reason: local reset", Outcome::kReset},
    {"reset reason: remote refused stream reset", Outcome::kReset},
    {"reset reason: protocol error", Outcome::kProtocol},
    {"upstream connect error or disconnect/reset", Outcome::kConnect},
    {"upstream request timeout", Outcome::kTimeoutProxy},
};

Outcome ClassifyError(const ReplyView& reply) {
  const std::string_view body = reply.body.substr(0, 4096);
  // An overloaded mark beside an upstream's timing was made behind the first proxy and passed on.
  if (reply.envoy_overloaded || Holds(body, "reset reason: overflow") ||
      Holds(body, "envoy overloaded")) {
    return reply.envoy_upstream_time ? Outcome::kLimitFar : Outcome::kLimitNear;
  }
  if (reply.envoy_ratelimited || reply.status == 429) {
    // A server that answers a full queue with 429 still says so in the text.
    return Holds(body, "queue full") || Holds(body, "queue is full") ||
                   Holds(body, "exceeds maximum queue size")
               ? Outcome::kQueue
               : Outcome::kRate;
  }
  if (!body.empty()) {
    for (const Row& row : kTexts) {
      if (Holds(body, row.text)) return row.outcome;
    }
  }
  if (reply.status == 504) return Outcome::kTimeoutProxy;
  // Envoy answers a missing route with 404 and a missing cluster with 503, both without a body.
  if (reply.from_envoy && body.empty() && !reply.envoy_upstream_time &&
      (reply.status == 404 || reply.status == 503)) {
    return Outcome::kConfig;
  }
  return reply.status >= 500 ? Outcome::kErrorServer : Outcome::kErrorClient;
}

}  // namespace

std::string_view OutcomeName(Outcome outcome) {
  const auto index = static_cast<size_t>(outcome);
  return index < kNames.size() ? kNames[index] : kNames.back();
}

Outcome OutcomeFromName(std::string_view name, bool& known) {
  const auto* found = std::find(kNames.begin(), kNames.end(), name);
  known = found != kNames.end();
  return known ? static_cast<Outcome>(found - kNames.begin()) : Outcome::kOther;
}

OutcomeGroup GroupOf(Outcome outcome) {
  switch (outcome) {
    case Outcome::kOk:
      return OutcomeGroup::kOk;
    case Outcome::kLimitNear:
    case Outcome::kLimitFar:
    case Outcome::kEject:
    case Outcome::kAppBreaker:
    case Outcome::kQueue:
    case Outcome::kRate:
      return OutcomeGroup::kRejected;
    default:
      return OutcomeGroup::kFailed;
  }
}

OutcomeGroup GroupOfName(std::string_view name) {
  bool known = false;
  return GroupOf(OutcomeFromName(name, known));
}

bool IsUnanswered(std::string_view name) { return name == "timeout_client" || name == "in_flight"; }

Outcome ClassifyHttp(const ReplyView& reply) {
  if (reply.status >= 200 && reply.status < 300) return Outcome::kOk;
  if (reply.status >= 300 && reply.status < 400) return Outcome::kRedirect;
  if (reply.status >= 400 && reply.status < 600) return ClassifyError(reply);
  return Outcome::kProtocol;
}

}  // namespace broadside::breaker
