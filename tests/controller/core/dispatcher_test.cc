#include "controller/core/dispatcher.h"

#include <gtest/gtest.h>

#include "common/rate/schedule.h"
#include "tests/controller/core/core_testing.h"

namespace broadside::controller {
namespace {

using namespace testing;

wire::Hello HelloOf(const std::string& id, uint64_t incarnation) {
  return {.schedule_version = rate::kScheduleVersion,
          .histogram_layout = stats::kLayoutVersion,
          .agent = AgentId(id),
          .incarnation = Incarnation(incarnation),
          .version = "0.0.9",
          .host = "node-1"};
}

std::string NoShard(Dispatcher& dispatcher) {
  for (const auto& [agent, welcome] : Sent<wire::Welcome>(dispatcher.TakeActions()))
    return welcome.no_shard;
  return "no welcome";
}

TEST(Dispatcher, GivesARunAllMatchingAgentsOnceTheMinimumIsThere) {
  Dispatcher dispatcher({});
  dispatcher.Submit(At(0s), SmallRun(5, 2), false);
  dispatcher.Connected(At(1s), HelloOf("a", 1));
  EXPECT_TRUE(Sent<wire::Assignment>(dispatcher.TakeActions()).empty());
  EXPECT_EQ(dispatcher.WaitingFor(RunId("r"), At(2s)),
            "1 agent of the 2 that the plan needs is there. Waiting 8 s");
  dispatcher.Connected(At(2s), HelloOf("b", 2));
  EXPECT_EQ(Sent<wire::Assignment>(dispatcher.TakeActions()).size(), 2u);
}

TEST(Dispatcher, AnotherScheduleVersionGetsNoShardButIsWelcome) {
  Dispatcher dispatcher({});
  wire::Hello hello = HelloOf("a", 1);
  hello.schedule_version = 99;
  dispatcher.Connected(At(0s), hello);
  EXPECT_EQ(NoShard(dispatcher),
            "agent a (0.0.9) computes schedule version 99, this controller version 1: install the "
            "same release on both");
  dispatcher.Submit(At(0s), SmallRun(5), false);
  EXPECT_TRUE(Sent<wire::Assignment>(dispatcher.TakeActions()).empty());
}

TEST(Dispatcher, ASecondProcessWithALiveIdGetsNoShardUntilTheFirstIsSilent) {
  Dispatcher dispatcher({});
  dispatcher.Connected(At(0s), HelloOf("a", 1));
  dispatcher.TakeActions();
  dispatcher.Connected(At(1s), HelloOf("a", 2));
  EXPECT_EQ(NoShard(dispatcher),
            "agent id a is in use by a process on node-1: give each agent its own --id");
  dispatcher.Connected(At(5s), HelloOf("a", 3));  // the first has not asked for a lease
  EXPECT_EQ(NoShard(dispatcher), "");
}

TEST(Dispatcher, AWaitThatEndsFailsTheRunAndSaysWhatWasMissing) {
  Dispatcher dispatcher({});
  RunSpec spec = SmallRun(5, 3);
  auto plan = std::make_shared<plan::Plan>(*spec.plan);
  plan->agents.select = {{"zone", "a"}};
  spec.plan = plan;
  dispatcher.Submit(At(0s), spec, false);
  EXPECT_EQ(dispatcher.NextDeadline(), At(10s));
  dispatcher.Tick(At(10s));
  const RunCore* run = dispatcher.Find(RunId("r"));
  EXPECT_EQ(run->state(), RunState::kFailed);
  EXPECT_EQ(run->reason(),
            "0 agents of the 3 with zone=a that the plan needs are there; waited 10 s. Start more "
            "agents, or "
            "lower the plan's agents: min");
}

TEST(Dispatcher, NoWaitFailsAtOnce) {
  Dispatcher dispatcher({});
  dispatcher.Submit(At(0s), SmallRun(5), true);
  EXPECT_EQ(dispatcher.Find(RunId("r"))->state(), RunState::kFailed);
}

TEST(Dispatcher, TwoRunsNeverShareAnAgentAndTheSecondGetsItWhenFreed) {
  Dispatcher dispatcher({});
  dispatcher.Connected(At(0s), HelloOf("a", 1));
  dispatcher.Submit(At(0s), SmallRun(5, 1, "first"), false);
  dispatcher.Submit(At(0s), SmallRun(5, 1, "second"), false);
  auto assigned = Sent<wire::Assignment>(dispatcher.TakeActions());
  ASSERT_EQ(assigned.size(), 1u);
  EXPECT_EQ(assigned[0].second.run, RunId("first"));
  dispatcher.StopRun(At(1s), RunId("first"), RunState::kCancelled, "by the user");
  dispatcher.Received(At(2s), Incarnation(1), wire::Heartbeat{.sent = At(2s)});
  assigned = Sent<wire::Assignment>(dispatcher.TakeActions());
  ASSERT_EQ(assigned.size(), 1u);
  EXPECT_EQ(assigned[0].second.run, RunId("second"));
}

TEST(Dispatcher, ARefusingAgentIsNotOfferedTheSameRunAgain) {
  Dispatcher dispatcher({});
  dispatcher.Connected(At(0s), HelloOf("a", 1));
  dispatcher.Connected(At(0s), HelloOf("b", 2));
  dispatcher.Submit(At(0s), SmallRun(60), false);
  dispatcher.TakeActions();
  dispatcher.Received(At(1s), Incarnation(1), wire::Prepared{.run = RunId("r"), .error = "no"});
  dispatcher.Received(At(1s), Incarnation(2), wire::Prepared{.run = RunId("r")});
  const auto actions = dispatcher.TakeActions();
  EXPECT_TRUE(Sent<wire::Assignment>(actions).empty());
  dispatcher.StoreResult(At(1s), RunId("r"), TokenOf<StoreStart>(actions), "");
  dispatcher.Received(At(2s), Incarnation(1), wire::Heartbeat{.sent = At(2s)});
  EXPECT_TRUE(Sent<wire::Assignment>(dispatcher.TakeActions()).empty());
}

TEST(Dispatcher, ARunThatIsUnknownIsReleased) {
  Dispatcher dispatcher({});
  wire::Hello hello = HelloOf("a", 1);
  hello.held.push_back({.run = RunId("gone")});
  dispatcher.Connected(At(0s), hello);
  const auto released = Sent<wire::Release>(dispatcher.TakeActions());
  ASSERT_EQ(released.size(), 1u);
  EXPECT_EQ(released[0].second.run, RunId("gone"));
}

TEST(Dispatcher, ListsAgentsByState) {
  Dispatcher dispatcher({});
  dispatcher.Connected(At(0s), HelloOf("b", 2));
  dispatcher.Connected(At(0s), HelloOf("a", 1));
  dispatcher.Received(At(0s), Incarnation(2), wire::Drain{});
  const auto agents = dispatcher.agents();
  ASSERT_EQ(agents.size(), 2u);
  EXPECT_EQ(agents[0].state, "idle");
  EXPECT_EQ(agents[1].state, "draining");
  dispatcher.Disconnected(At(1s), Incarnation(1), "reset");
  EXPECT_EQ(dispatcher.agents().size(), 1u);
}

}  // namespace
}  // namespace broadside::controller
