#include "common/breaker/outcome.h"

#include <gtest/gtest.h>

#include <set>

namespace broadside::breaker {
namespace {

constexpr std::string_view kEnvoy =
    "upstream connect error or disconnect/reset before headers. reset reason: ";

struct Case {
  ReplyView reply;
  Outcome want;
};

std::string Text(std::string_view reason) { return std::string(kEnvoy) + std::string(reason); }

TEST(ClassifyHttp, Table) {
  const std::string overflow = Text("overflow"), refused = Text("remote connection failure"),
                    cut = Text("connection termination"), reset = Text("remote reset"),
                    slow = Text("connection timeout"), unknown = Text("something new");
  const Case cases[] = {
      {{.status = 200}, Outcome::kOk},
      {{.status = 204}, Outcome::kOk},
      {{.status = 200, .body = "no healthy upstream"}, Outcome::kOk},
      {{.status = 302}, Outcome::kRedirect},
      {{.status = 503, .body = overflow, .envoy_overloaded = true}, Outcome::kLimitNear},
      {{.status = 503, .body = overflow}, Outcome::kLimitNear},  // x-envoy-* suppressed
      {{.status = 503, .body = overflow, .envoy_overloaded = true, .envoy_upstream_time = true},
       Outcome::kLimitFar},
      {{.status = 503, .envoy_overloaded = true}, Outcome::kLimitNear},
      {{.status = 503, .body = "envoy overloaded"}, Outcome::kLimitNear},
      {{.status = 503, .body = "no healthy upstream"}, Outcome::kEject},
      {{.status = 503,
        .body = "<html><body><h1>503 Service Unavailable</h1>\nNo server is available to handle "
                "this request.\n</body></html>"},
       Outcome::kEject},
      {{.status = 503, .body = R"({"error":"[request id: r1] Exceeds maximum queue size"})"},
       Outcome::kQueue},
      {{.status = 503, .body = R"({"error":"Request timeout expired"})"}, Outcome::kQueue},
      {{.status = 503, .body = "Queue full"}, Outcome::kQueue},
      {{.status = 429, .body = "queue full, try later"}, Outcome::kQueue},
      {{.status = 429}, Outcome::kRate},
      {{.status = 429, .body = "local_rate_limited"}, Outcome::kRate},
      {{.status = 503, .envoy_ratelimited = true}, Outcome::kRate},
      {{.status = 504, .body = "upstream request timeout"}, Outcome::kTimeoutProxy},
      {{.status = 504}, Outcome::kTimeoutProxy},
      {{.status = 503, .body = refused}, Outcome::kConnect},
      {{.status = 503, .body = slow}, Outcome::kConnect},
      {{.status = 503, .body = unknown}, Outcome::kConnect},
      {{.status = 503, .body = cut}, Outcome::kReset},
      {{.status = 503, .body = reset}, Outcome::kReset},
      {{.status = 404, .from_envoy = true}, Outcome::kConfig},
      {{.status = 503, .from_envoy = true}, Outcome::kConfig},
      {{.status = 503, .envoy_upstream_time = true, .from_envoy = true}, Outcome::kErrorServer},
      {{.status = 404}, Outcome::kErrorClient},
      {{.status = 400, .body = R"({"error":"invalid datatype for input INPUT0"})"},
       Outcome::kErrorClient},
      {{.status = 500, .body = R"({"error":"Stub process 'boom_0_0' is not healthy."})"},
       Outcome::kErrorServer},
      {{.status = 502}, Outcome::kErrorServer},
      {{.status = 999}, Outcome::kProtocol},
      {{.status = 101}, Outcome::kProtocol},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(OutcomeName(ClassifyHttp(c.reply)), OutcomeName(c.want))
        << c.reply.status << " " << c.reply.body;
  }
}

TEST(Outcome, NamesAreDistinctAndReadBack) {
  std::set<std::string_view> names;
  for (int i = 0; i < kOutcomeCount; ++i) {
    const auto outcome = static_cast<Outcome>(i);
    names.insert(OutcomeName(outcome));
    bool known = false;
    EXPECT_EQ(OutcomeFromName(OutcomeName(outcome), known), outcome);
    EXPECT_TRUE(known);
  }
  EXPECT_EQ(names.size(), static_cast<size_t>(kOutcomeCount));
  bool known = true;
  EXPECT_EQ(OutcomeFromName("nonsense", known), Outcome::kOther);
  EXPECT_FALSE(known);
}

TEST(Outcome, Groups) {
  EXPECT_EQ(GroupOfName("ok"), OutcomeGroup::kOk);
  for (const char* name : {"limit_near", "limit_far", "eject", "app_breaker", "queue", "rate"}) {
    EXPECT_EQ(GroupOfName(name), OutcomeGroup::kRejected) << name;
  }
  for (const char* name : {"error_server", "error_client", "error_reply", "redirect",
                           "timeout_proxy", "timeout_client", "connect", "reset", "protocol",
                           "config", "other", "from a later version"}) {
    EXPECT_EQ(GroupOfName(name), OutcomeGroup::kFailed) << name;
  }
  EXPECT_TRUE(IsUnanswered("timeout_client"));
  EXPECT_TRUE(IsUnanswered("in_flight"));
  EXPECT_FALSE(IsUnanswered("timeout_proxy"));
}

}  // namespace
}  // namespace broadside::breaker
