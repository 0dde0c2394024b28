#include "controller/merge/validity.h"

#include <gtest/gtest.h>

#include <functional>

namespace broadside::merge {
namespace {

/// A run without a fault: 1,000 arrivals, service P50 of 40 ms.
ValidityFacts Clean() {
  ValidityFacts facts;
  facts.ok_service_p50 = 40'000'000;
  facts.run_length_ns = 10'000'000'000;
  facts.agents = {{.id = "agent-a", .lag_p99 = 90'000, .scheduled = 500, .loops = 2},
                  {.id = "agent-c", .lag_p99 = 110'000, .scheduled = 500, .loops = 2}};
  facts.measured.scheduled = facts.measured.sent = facts.measured.ok = 1000;
  facts.run = facts.measured;
  facts.measured_phases = {{"low", 1000, 0, 0}};
  facts.coverage = {10, 10, {}};
  facts.little = LittleSign{40, 40, 41, 1000};
  return facts;
}

struct Case {
  const char* name;
  std::function<void(ValidityFacts&)> change;
  const char* verdict;
  std::string reason;  ///< the first one
};

std::vector<Case> Cases() {
  using F = ValidityFacts&;
  return {
      {"clean", [](F) {}, "VALID", ""},
      {"lag at the gate", [](F f) { f.agents[1].lag_p99 = 4'000'000; }, "VALID", ""},
      {"late", [](F f) { f.agents[1].lag_p99 = 4'100'000; }, "DEGRADED",
       "agent-c was late (lag P99 4.10 ms > 4 ms)"},
      {"fast service: 1 ms rules",
       [](F f) {
         f.ok_service_p50 = 500'000;
         f.agents[1].lag_p99 = 1'100'000;
       },
       "DEGRADED", "agent-c was late (lag P99 1.10 ms > 1 ms)"},
      {"very late",
       [](F f) {
         f.agents[1].lag_p99 = 41'000'000;
         f.agents[1].busiest_loop = 0.98;
       },
       "INVALID",
       "agent-c was late (lag P99 41.0 ms > 20 ms). One of its 2 loops was 98.0 % busy: lower its "
       "share or add agents"},
      {"own fault",
       [](F f) {
         f.measured.dropped = f.own_fault = f.agents[0].own_fault = 1;
         f.measured.sent = 999;
       },
       "DEGRADED",
       "1 arrivals (0.100 %) were not sent for the agents' own reasons, 1 of them on agent-a"},
      {"much own fault",
       [](F f) {
         f.measured.dropped = f.own_fault = f.agents[0].own_fault = 11;
         f.measured.sent = 989;
       },
       "INVALID",
       "11 arrivals (1.10 %) were not sent for the agents' own reasons, 11 of them on agent-a"},
      {"a plan limit held back half: no fault",
       [](F f) {
         f.measured.dropped = f.limited = 500;
         f.measured.sent = 500;
       },
       "VALID", ""},
      {"unowned",
       [](F f) {
         f.measured_phases[0].unowned = f.measured.unowned = 20;
         f.measured_phases[0].unreported = f.measured.unreported = 5;
         f.measured.sent = 975;
       },
       "DEGRADED", "in low, 20 arrivals had no owner and 5 were not reported (2.50 % of 1,000)"},
      {"much unowned",
       [](F f) {
         f.measured_phases[0].unowned = f.measured.unowned = 101;
         f.measured.sent = 899;
       },
       "INVALID", "in low, 101 arrivals had no owner and 0 were not reported (10.1 % of 1,000)"},
      {"ledger", [](F f) { f.run.mismatch = -3; }, "INVALID",
       "the ledger does not close: -3 arrivals are unaccounted for or counted twice"},
      {"agent's ledger", [](F f) { f.agents[0].unbalanced = 2; }, "INVALID",
       "agent-a sent 2 snapshots whose own ledger did not close"},
      {"clock", [](F f) { f.agents[0].clock_bound_ns = 12'000'000; }, "DEGRADED",
       "agent-a: its clock is known only within ±12.0 ms > 10 ms"},
      {"slew", [](F f) { f.agents[0].clock_slew_ns = 12'000'000; }, "DEGRADED",
       "agent-a: its clock was still off by 12.0 ms > 10 ms"},
      {"skew", [](F f) { f.agents[0].start_skew_ns = -12'000'000; }, "DEGRADED",
       "agent-a started off time by 12.0 ms > 10 ms"},
      {"throttled", [](F f) { f.agents[1].throttled_ns = 200'000'000; }, "DEGRADED",
       "agent-c was throttled by its CPU limit for 2.00 % of the run: raise the limit"},
      {"outbox", [](F f) { f.agents[1].outbox_dropped = 4; }, "DEGRADED",
       "agent-c had to drop the histograms of 4 snapshots"},
      {"coverage",
       [](F f) {
         f.coverage = {10, 9, {{4, 4, "agent-a", "no snapshot"}}};
       },
       "DEGRADED", "coverage is 9/10 intervals; first gap: agent-a, interval 4 (no snapshot)"},
      {"Little",
       [](F f) {
         f.little = LittleSign{50, 40, 41, 1000};
       },
       "DEGRADED", "Little's law does not hold: 50.0 in flight measured, 41.0 by rate × time"},
      {"Little of few",
       [](F f) {
         f.little = LittleSign{50, 40, 41, 999};
       },
       "VALID", ""},
      {"Little within bounds",
       [](F f) {
         f.little = LittleSign{42.9, 40, 41, 1000};
       },
       "VALID", ""},
      {"busy loop alone", [](F f) { f.agents[0].busiest_loop = 1; }, "VALID", ""},
  };
}

TEST(Validity, Table) {
  for (const Case& each : Cases()) {
    ValidityFacts facts = Clean();
    each.change(facts);
    const report::Validity validity = Judge(facts, Thresholds{});
    EXPECT_EQ(validity.verdict, each.verdict) << each.name;
    EXPECT_EQ(validity.reasons.empty() ? "" : validity.reasons.front(), each.reason) << each.name;
  }
}

TEST(Validity, TheWorstReasonComesFirst) {
  ValidityFacts facts = Clean();
  facts.agents[0].lag_p99 = 5'000'000;
  facts.agents[1].lag_p99 = 50'000'000;
  const report::Validity validity = Judge(facts, Thresholds{});
  EXPECT_EQ(validity.verdict, "INVALID");
  ASSERT_EQ(validity.reasons.size(), 2U);
  EXPECT_TRUE(validity.reasons[0].starts_with("agent-c"));
}

TEST(Validity, PlanLimitsAreNamed) {
  ValidityFacts facts = Clean();
  facts.limited = 300;
  facts.measured.dropped = 100;
  facts.measured.sent = 900;
  facts.wait_p99 = 3'000'000;
  const report::Validity validity = Judge(facts, Thresholds{});
  EXPECT_EQ(validity.verdict, "VALID");
  ASSERT_EQ(validity.notes.size(), 2U);
  EXPECT_EQ(validity.notes[0],
            "client-limited by in_flight: 100 arrivals were dropped at in_flight 1024/agent");
  EXPECT_EQ(
      validity.notes[1],
      "client-limited by connections: 200 arrivals waited for one of 256/agent (wait P99 3.00 "
      "ms)");
}

TEST(Validity, RepliesAndConnectionsThatNeedAWordAreNamed) {
  ValidityFacts facts = Clean();
  facts.agents[0].stale_resets = 3;
  facts.agents[0].unvalidated = 1200;
  const report::Validity validity = Judge(facts, Thresholds{});
  EXPECT_EQ(validity.verdict, "VALID");
  ASSERT_EQ(validity.notes.size(), 2U);
  EXPECT_EQ(validity.notes[0],
            "3 of the resets that agent-a saw were connections that the server closed while they "
            "were kept");
  EXPECT_EQ(
      validity.notes[1],
      "1,200 ok replies to agent-a were too large or compressed, so their content was not checked");
}

TEST(ParseThresholds, OverridesByName) {
  const auto thresholds = ParseThresholds({{"lag_p99", "50ms"},
                                           {"lag_p99_degraded", "500us"},
                                           {"little", "off"},
                                           {"own_fault", "2.5%"},
                                           {"loop_busy", "90%"}});
  ASSERT_TRUE(thresholds.ok()) << thresholds.status();
  EXPECT_EQ(thresholds->lag_invalid_ns, 50'000'000);
  EXPECT_EQ(thresholds->own_fault_invalid, 0.025);
  ValidityFacts facts = Clean();
  facts.little = LittleSign{400, 40, 41, 1000};
  facts.agents[0].lag_p99 = 600'000;
  const report::Validity validity = Judge(facts, *thresholds);
  EXPECT_EQ(validity.verdict, "DEGRADED");
  ASSERT_EQ(validity.reasons.size(), 1U);
  EXPECT_EQ(validity.reasons[0], "agent-a was late (lag P99 600 µs > 500 µs)");
}

TEST(ParseThresholds, ErrorsSayWhatIsKnown) {
  const std::string unknown = MessageOf(ParseThresholds({{"lag_p98", "1ms"}}).status());
  EXPECT_TRUE(unknown.starts_with("validity.lag_p98: unknown; known are lag_p99, ")) << unknown;
  EXPECT_EQ(MessageOf(ParseThresholds({{"lag_p99", "10"}}).status()),
            "validity.lag_p99: \"10\" is no bound: write a duration as in 10ms, or off");
  EXPECT_EQ(MessageOf(ParseThresholds({{"coverage", "10ms"}}).status()),
            "validity.coverage: \"10ms\" is no bound: write a share as in 1%, or off");
}

}  // namespace
}  // namespace broadside::merge
