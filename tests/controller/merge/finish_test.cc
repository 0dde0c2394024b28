#include <gtest/gtest.h>

#include "tests/controller/merge/fleet.h"

namespace broadside::merge {
namespace {

using testing::Fleet;
using testing::FoldAll;

report::Report Finish(Fleet& fleet) {
  RunMerge merge = fleet.NewMerge();
  FoldAll(merge, fleet, fleet.Snapshots());
  return merge.Finish(fleet.facts);
}

TEST(Finish, ACleanRun) {
  Fleet fleet;
  const report::Report report = Finish(fleet);
  EXPECT_EQ(report.validity.verdict, "VALID")
      << (report.validity.reasons.empty() ? "" : report.validity.reasons.front());
  EXPECT_EQ(report.ledger.scheduled, 5800U);
  EXPECT_EQ(report.ledger.mismatch, 0);
  EXPECT_EQ(report.total.ledger.scheduled, 5600U) << "warm-up is not measured";
  EXPECT_EQ(report.coverage.intervals, 10U);
  EXPECT_EQ(report.coverage.complete, 10U);
  EXPECT_TRUE(report.coverage.missing.empty());
  EXPECT_EQ(report.slo, "none");

  ASSERT_EQ(report.phases.size(), 3U);
  EXPECT_FALSE(report.phases[0].measured);
  EXPECT_EQ(report.phases[1].name, "low");
  EXPECT_EQ(report.phases[1].asked, "400/s");
  EXPECT_EQ(report.phases[1].start_ns, 2'000'000'000);
  EXPECT_EQ(report.phases[1].length_ns, 4'000'000'000);
  EXPECT_DOUBLE_EQ(*report.phases[1].offered, 400);
  EXPECT_DOUBLE_EQ(*report.phases[1].asked_mean, 400);
  EXPECT_DOUBLE_EQ(*report.phases[2].achieved, 1000);
  ASSERT_EQ(report.phases[2].targets.size(), 2U);
  EXPECT_EQ(report.phases[2].targets[1].name, "beta");
  EXPECT_NEAR(*report.phases[2].targets[1].offered, 1000.0 * 2 / 3, 2);
  EXPECT_DOUBLE_EQ(*report.total.offered, 700);
  ASSERT_EQ(report.targets.size(), 2U);
  EXPECT_NEAR(*report.targets[0].achieved, 700.0 / 3, 2);
}

TEST(Finish, PercentilesAreOfThePooledSamples) {
  Fleet fleet;
  const report::Report report = Finish(fleet);
  stats::Histogram ok, service, all_lag;
  uint64_t timeouts = 0;
  for (const auto& [key, histogram] : fleet.pool.cells) {
    if (key.row.phase == PhaseIndex(0)) continue;
    if (key.outcome == "ok" && key.measure == stats::Measure::kLatency) ok.Add(histogram);
    if (key.outcome == "ok" && key.measure == stats::Measure::kService) service.Add(histogram);
    if (key.measure == stats::Measure::kLag) all_lag.Add(histogram);
    if (key.outcome == "timeout_client") timeouts += histogram.n();
  }
  EXPECT_GT(timeouts, 10U);
  EXPECT_EQ(report.total.latency.n, ok.n());
  EXPECT_EQ(report.total.latency.censored, timeouts);
  EXPECT_EQ(report.total.latency.p50, ok.Percentile(500'000, timeouts));
  EXPECT_EQ(report.total.latency.p95, ok.Percentile(950'000, timeouts));
  EXPECT_EQ(report.total.service.p99, service.Percentile(990'000));
  EXPECT_EQ(report.total.lag.n, 5600U);
  EXPECT_EQ(report.total.lag.p99, all_lag.Percentile(990'000));
  EXPECT_EQ(report.total.by_outcome.at("timeout_client").n, timeouts);
  EXPECT_EQ(report.total.outcomes.at("timeout_client"), timeouts);
}

TEST(Finish, AShareOfUnansweredMakesThePercentileReadAboveTheTimeout) {
  Fleet fleet;
  fleet.fate = [](const rate::Arrival& arrival, std::mt19937_64&) {
    Fleet::Fate fate{.service = 1'000'000};
    if (arrival.phase == PhaseIndex(2) && arrival.index % 50 == 0) fate.outcome = "timeout_client";
    if (arrival.phase == PhaseIndex(2) && arrival.index % 50 == 1) fate.outcome = "limit_near";
    return fate;
  };
  const report::Report report = Finish(fleet);
  const report::Summary& high = report.phases[2].latency;
  EXPECT_EQ(high.n, 3840U);
  EXPECT_EQ(high.censored, 80U) << "rejected ones do not stand in latency's rank";
  EXPECT_FALSE(high.p95_censored);
  EXPECT_EQ(high.p99, std::nullopt);
  EXPECT_TRUE(high.p99_censored);
  EXPECT_FALSE(report.phases[1].latency.p99_censored);
  EXPECT_EQ(report.phases[1].latency.p99, 1'000'000);
}

TEST(Finish, IntervalRowsAddUp) {
  Fleet fleet;
  const report::Report report = Finish(fleet);
  ASSERT_EQ(report.intervals.size(), 11U);
  EXPECT_EQ(report.intervals[0].phase, "warm");
  EXPECT_EQ(report.intervals[6].phase, "high");
  EXPECT_DOUBLE_EQ(*report.intervals[6].offered, 1000);
  EXPECT_EQ(report.intervals[6].scheduled, 1000U);
  EXPECT_EQ(report.intervals[6].sent, 1000U);
  EXPECT_EQ(report.intervals[6].agents, 3U);
  EXPECT_TRUE(report.intervals[6].complete);
  EXPECT_TRUE(report.intervals[6].p99.has_value());
  EXPECT_EQ(report.intervals[10].phase, "") << "drain";
  EXPECT_EQ(report.intervals[10].p50, std::nullopt);
  uint64_t ok = 0;
  for (const report::IntervalRow& row : report.intervals) ok += row.ok;
  EXPECT_EQ(ok, report.ledger.ok);
}

TEST(Finish, ASlowAgentStandsOut) {
  Fleet fleet;
  // The deal is a stripe over three owners: beta's payload does not matter, the owner does.
  const rate::Deal& deal = *fleet.facts.grants[0].deal;
  const Segments segments = fleet.segments;
  fleet.fate = [&deal, segments](const rate::Arrival& arrival, std::mt19937_64&) {
    const uint64_t slot =
        segments[arrival.segment.value()]->SlotOf(arrival.index, deal.slots.size());
    const bool slow = deal.slots[slot] == 1 && arrival.index % 10 < 5;
    return Fleet::Fate{.service = slow ? 90'000'000 : 20'000'000};
  };
  const report::Report report = Finish(fleet);
  ASSERT_EQ(report.agents.size(), 3U);
  EXPECT_EQ(report.agents[1].id, "agent-b");
  EXPECT_EQ(report.agents[1].incarnation, "00000000000000a1");
  EXPECT_DOUBLE_EQ(*report.agents[1].slow_share, 1.0);
  EXPECT_DOUBLE_EQ(*report.agents[0].slow_share, 0.0);
  EXPECT_GT(*report.agents[1].p99, 89'000'000);
  EXPECT_LT(*report.agents[0].p99, 21'000'000);
  EXPECT_EQ(report.agents[0].state, "done");
  EXPECT_EQ(report.agents[0].loops, 2U);
  EXPECT_EQ(report.agents[0].cpu_ns, 11'000U);
}

TEST(Finish, MissingSnapshotsShowAsCoverageAndInTheRows) {
  Fleet fleet;
  std::vector<stats::Snapshot> snapshots = fleet.Snapshots();
  snapshots.erase(snapshots.begin() + 11 + 7);                    // agent-b, interval 7
  snapshots.erase(snapshots.begin() + 3, snapshots.begin() + 5);  // agent-a, intervals 3 and 4
  fleet.facts.agents[1].state = "lost";
  RunMerge merge = fleet.NewMerge();
  FoldAll(merge, fleet, snapshots);
  const report::Report report = merge.Finish(fleet.facts);
  EXPECT_EQ(report.coverage.complete, 7U);
  ASSERT_EQ(report.coverage.missing.size(), 2U);
  EXPECT_EQ(report.coverage.missing[0].agent, "agent-a");
  EXPECT_EQ(report.coverage.missing[0].from_k, 3);
  EXPECT_EQ(report.coverage.missing[0].to_k, 4);
  EXPECT_EQ(report.coverage.missing[0].why, "no snapshot");
  EXPECT_EQ(report.coverage.missing[1].why, "the agent was lost");
  EXPECT_FALSE(report.intervals[3].complete);
  EXPECT_EQ(report.intervals[3].agents, 2U);
  EXPECT_TRUE(report.intervals[5].complete);
  EXPECT_EQ(report.ledger.mismatch, 0) << "counters are cumulative";
  EXPECT_EQ(report.ledger.unreported, 0U);
  EXPECT_EQ(report.validity.verdict, "DEGRADED");
  EXPECT_EQ(report.validity.reasons[0],
            "coverage is 7/10 intervals; first gap: agent-a, interval 3–4 (no snapshot)");
}

TEST(Finish, AnAgentWhoseOwnLedgerDoesNotCloseMakesTheRunInvalid) {
  Fleet fleet;
  std::vector<stats::Snapshot> snapshots = fleet.Snapshots();
  ++snapshots[4].counters[0].counters.waiting;  // later snapshots are in order again
  RunMerge merge = fleet.NewMerge();
  FoldAll(merge, fleet, snapshots);
  const report::Report report = merge.Finish(fleet.facts);
  EXPECT_EQ(report.validity.verdict, "INVALID");
  EXPECT_EQ(report.validity.reasons[0], "agent-a sent 1 snapshots whose own ledger did not close");
}

TEST(Finish, RulesOfThePlanGiveTheSloVerdict) {
  Fleet fleet;
  plan::Rule rule;
  rule.text = "error_rate < 50%";
  rule.metric.kind = plan::Metric::Kind::kErrorRate;
  rule.value.emplace<1>(500'000);
  fleet.plan->slo = {rule};
  report::Report report = Finish(fleet);
  EXPECT_EQ(report.slo, "pass");
  ASSERT_EQ(report.slo_results.size(), 1U);
  EXPECT_EQ(report.slo_results[0].rule, "error_rate < 50%");
  fleet.plan->slo[0].value.emplace<1>(0);
  report = Finish(fleet);
  EXPECT_EQ(report.slo, "fail");
}

TEST(Finish, SmallSamplesAreWarnedOf) {
  Fleet fleet;
  fleet.plan->phases[1].measure = false;
  fleet.plan->phases[0].measure = true;
  const report::Report report = Finish(fleet);
  ASSERT_FALSE(report.warnings.empty());
  bool found = false;
  for (const std::string& warning : report.warnings) {
    found = found || warning.starts_with("latency of phase warm has ");
  }
  EXPECT_TRUE(found);
}

TEST(Finish, NothingHappened) {
  Fleet fleet;
  const report::Report report = fleet.NewMerge().Finish(fleet.facts);
  EXPECT_EQ(report.ledger.unreported, 5800U);
  EXPECT_EQ(report.ledger.mismatch, 0);
  EXPECT_EQ(report.total.latency.p99, std::nullopt);
  EXPECT_FALSE(report.total.latency.p99_censored);
  EXPECT_EQ(report.coverage.complete, 0U);
  EXPECT_EQ(report.validity.verdict, "INVALID");
  RunMerge empty(RunId("abc123"), fleet.plan, {});
  EXPECT_TRUE(empty.Finish({}).intervals.empty());
}

}  // namespace
}  // namespace broadside::merge
