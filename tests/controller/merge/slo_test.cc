#include "controller/merge/slo.h"

#include <gtest/gtest.h>

#include "tests/controller/merge/fleet.h"

namespace broadside::merge {
namespace {

using testing::Fleet;
using testing::FoldAll;
using Kind = plan::Metric::Kind;

plan::Rule Latency(Kind kind, plan::Ppm percentile, plan::Op op, Nanos bound,
                   std::string measure = "latency") {
  plan::Rule rule;
  rule.text = "a rule";
  rule.metric = {kind, std::move(measure), percentile};
  rule.op = op;
  rule.value = bound;
  return rule;
}
plan::Rule Share(Kind kind, plan::Op op, plan::Ppm share) {
  plan::Rule rule;
  rule.metric.kind = kind;
  rule.op = op;
  rule.value.emplace<1>(share);
  return rule;
}
plan::Rule PerSecond(Kind kind, plan::Op op, int64_t per_second) {
  plan::Rule rule;
  rule.metric.kind = kind;
  rule.op = op;
  rule.value.emplace<2>(per_second * rate::kMicroPerUnit);
  return rule;
}
plan::Rule In(plan::Rule rule, const std::string& phase, std::vector<std::string> targets = {}) {
  rule.phases = {{phase, std::nullopt, std::nullopt}};
  rule.targets = std::move(targets);
  return rule;
}

/// In `low` every reply is ok in 10 ms. In `high` (4,000 arrivals): 2 % dropped, 2 % rejected, 2 %
/// timed out, the rest ok in 20 ms.
class Slo : public ::testing::Test {
 protected:
  Slo() {
    fleet_.fate = [](const rate::Arrival& arrival, std::mt19937_64&) {
      Fleet::Fate fate{.service = arrival.phase == PhaseIndex(1) ? 10'000'000 : 20'000'000};
      if (arrival.phase != PhaseIndex(2)) return fate;
      if (arrival.index % 50 == 0) fate.dropped = true;
      if (arrival.index % 50 == 1) fate.outcome = "limit_near";
      if (arrival.index % 50 == 2) fate.outcome = "timeout_client";
      return fate;
    };
    FoldAll(merge_, fleet_, fleet_.Snapshots());
    const RunTime end = ScheduleEnd(fleet_.segments, std::nullopt);
    spans_ = PhaseSpans(fleet_.plan->phases.size(), fleet_.segments, end);
    ledger_ = CloseLedger(merge_, fleet_.facts);
  }
  report::RuleResult Judge(const plan::Rule& rule) const {
    return JudgeRule(rule, {&merge_, &ledger_, &spans_, &fleet_.pool.outcomes});
  }
  std::string Verdict(const plan::Rule& rule) const { return Judge(rule).verdict; }
  Fleet fleet_;
  RunMerge merge_ = fleet_.NewMerge();
  std::vector<PhaseSpan> spans_;
  Ledger ledger_;
};

constexpr Nanos Ms(int64_t ms) { return std::chrono::milliseconds(ms); }

TEST_F(Slo, LatencyIsJudgedOverScheduledArrivals) {
  using plan::Op;
  const auto p = [](plan::Ppm ppm, Op op, int64_t ms) {
    return Latency(Kind::kPercentile, ppm, op, Ms(ms));
  };
  EXPECT_EQ(Verdict(In(p(990'000, Op::kLess, 11), "low")), "pass");
  EXPECT_EQ(Verdict(In(p(990'000, Op::kLess, 9), "low")), "fail");
  // 94 % of `high` were answered ok.
  EXPECT_EQ(Verdict(In(p(940'000, Op::kLess, 25), "high")), "pass");
  const report::RuleResult beyond = Judge(In(p(950'000, Op::kLess, 25), "high"));
  EXPECT_EQ(beyond.verdict, "fail");
  EXPECT_EQ(beyond.measured, "> timeout");
  EXPECT_EQ(beyond.reason,
            "over 4,000 scheduled, of which 240 were not answered ok and rank as slower than any "
            "bound");
  EXPECT_EQ(Verdict(In(p(950'000, Op::kGreater, 25), "high")), "pass");
  // The default scope is both measured phases: 240 of 5,600 are beyond.
  EXPECT_EQ(Verdict(p(950'000, Op::kLess, 25)), "pass");
  EXPECT_EQ(Verdict(p(960'000, Op::kLess, 25)), "fail");
}

TEST_F(Slo, MeanAndMaxHaveNoBoundWhenSomethingWasNotAnswered) {
  EXPECT_EQ(Verdict(In(Latency(Kind::kMax, 0, plan::Op::kLess, Ms(11)), "low")), "pass");
  EXPECT_EQ(Verdict(In(Latency(Kind::kMean, 0, plan::Op::kLess, Ms(11)), "low")), "pass");
  EXPECT_EQ(Verdict(In(Latency(Kind::kMax, 0, plan::Op::kLess, Ms(9000)), "high")), "fail");
  EXPECT_EQ(Verdict(In(Latency(Kind::kMean, 0, plan::Op::kLess, Ms(9000)), "high")), "fail");
}

TEST_F(Slo, OtherMeasures) {
  const auto of = [](const char* measure) {
    return In(Latency(Kind::kPercentile, 990'000, plan::Op::kLess, Ms(25), measure), "high");
  };
  EXPECT_EQ(Verdict(of("lag")), "pass") << "over what was recorded";
  EXPECT_EQ(Verdict(of("wait")), "pass");
  EXPECT_EQ(Verdict(of("service")), "fail") << "over scheduled arrivals";
  const report::RuleResult ttft = Judge(of("ttft"));
  EXPECT_EQ(ttft.verdict, "no data");
  EXPECT_EQ(ttft.reason, "\"ttft\" is not recorded in this version");
}

TEST_F(Slo, SharesAndRates) {
  using plan::Op;
  const report::RuleResult errors = Judge(In(Share(Kind::kErrorRate, Op::kLess, 21'000), "high"));
  EXPECT_EQ(errors.verdict, "pass");
  EXPECT_EQ(errors.measured, "2.04 %");
  EXPECT_EQ(errors.reason, "80 of 3,920 ended");
  EXPECT_EQ(Verdict(In(Share(Kind::kErrorRate, Op::kLess, 20'000), "high")), "fail");
  EXPECT_EQ(Verdict(In(Share(Kind::kErrorRate, Op::kLessEqual, 0), "low")), "pass");
  EXPECT_EQ(Verdict(In(Share(Kind::kErrorRate, Op::kLess, 0), "low")), "fail");
  EXPECT_EQ(Verdict(In(Share(Kind::kRejectRate, Op::kGreater, 20'000), "high")), "pass");
  EXPECT_EQ(Verdict(In(Share(Kind::kTimeoutRate, Op::kGreater, 20'000), "high")), "pass");
  EXPECT_EQ(Verdict(In(Share(Kind::kOkRate, Op::kGreaterEqual, 940'000), "high")), "pass");
  EXPECT_EQ(Verdict(In(Share(Kind::kOkRate, Op::kGreater, 940'000), "high")), "fail");
  EXPECT_EQ(Verdict(In(Share(Kind::kAchieved, Op::kGreaterEqual, 980'000), "high")), "pass");
  const report::RuleResult rate =
      Judge(In(PerSecond(Kind::kOkRate, Op::kGreaterEqual, 940), "high"));
  EXPECT_EQ(rate.verdict, "pass");
  EXPECT_EQ(rate.measured, "940/s");
  EXPECT_EQ(Verdict(In(PerSecond(Kind::kOkRate, Op::kGreaterEqual, 941), "high")), "fail");
  EXPECT_EQ(Verdict(PerSecond(Kind::kAchieved, Op::kGreaterEqual, 690)), "pass");
  EXPECT_EQ(Verdict(In(PerSecond(Kind::kAchieved, Op::kLess, 340), "high", {"alpha"})), "pass");
}

TEST_F(Slo, WhatCannotBeJudgedIsNeverAPass) {
  EXPECT_EQ(Verdict(Share(Kind::kGoodShare, plan::Op::kGreater, 0)), "no data");
  EXPECT_EQ(Judge(In(Share(Kind::kErrorRate, plan::Op::kLess, 1), "nowhere")).reason,
            "nothing was scheduled in its scope");
}

TEST(SloVerdict, OfSeveralRules) {
  const auto verdicts = [](std::vector<std::string> each) {
    std::vector<report::RuleResult> results;
    for (std::string& verdict : each) results.push_back({"", std::move(verdict), "", ""});
    return SloVerdict(results);
  };
  EXPECT_EQ(verdicts({}), "none");
  EXPECT_EQ(verdicts({"pass", "pass"}), "pass");
  EXPECT_EQ(verdicts({"pass", "fail"}), "fail");
  EXPECT_EQ(verdicts({"pass", "no data"}), "fail");
}

}  // namespace
}  // namespace broadside::merge
