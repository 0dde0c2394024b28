#include <gtest/gtest.h>

#include "common/rate/schedule.h"
#include "controller/core/dispatcher.h"
#include "tests/controller/core/core_testing.h"

namespace broadside::controller {
namespace {

using namespace testing;

const Incarnation kA(1), kB(2), kC(3);
const CoreOptions kOptions{.controller_incarnation = 10, .boot_id = "b"};

rate::Deal DealOf(uint32_t epoch, IntervalIndex first, std::vector<Incarnation> owners) {
  const std::vector<uint64_t> weights(owners.size(), 1);
  return rate::MakeDeal(ShardEpoch(epoch), first, owners, weights);
}

wire::HeldRun Held(std::vector<wire::HeldRun::HeldGrant> grants, uint32_t entries = 2) {
  return {.run = RunId("r"), .entries = entries, .grants = std::move(grants), .grants_known = true};
}

/// A run of 60 s whose T0 was at 2 s, dealt to a and b; what it left is changed by each test.
class RestartTest : public ::testing::Test {
 protected:
  RestartTest() : spec_(SmallRun(60)) {
    stored_.start = {At(2s), "b", 0s};
    stored_.entries = {{RunId("r"), 1, spec_.segments[0]}, {RunId("r"), 2, DealOf(1, 0, {kA, kB})}};
    stored_.agents = {Facts("a", 1), Facts("b", 2)};
  }
  /// At run time `r`, with snapshots stored up to the second before `alive`.
  void Start(Nanos r, Nanos alive) {
    stored_.newest = alive / 1s - 1;
    auto core = RunCore::Restore(kOptions, spec_, stored_, At(2s + r));
    ASSERT_TRUE(core.ok()) << core.status();
    core_ = *std::move(core);
    last_ = core_->TakeActions();
  }
  std::vector<Action> Step(Nanos r, const RunEvent& event) {
    core_->Step(At(2s + r), event);
    return last_ = core_->TakeActions();
  }
  std::vector<Action> Tick(Nanos r) {
    core_->Tick(At(2s + r));
    return last_ = core_->TakeActions();
  }
  std::vector<Action> Final(Nanos r, Incarnation agent) {
    const wire::SnapshotEnvelope envelope{
        .run = RunId("r"), .incarnation = agent, .sequence = 99, .final_totals = true};
    Step(r, SnapshotTaken{std::make_shared<const wire::SnapshotEnvelope>(envelope)});
    return Step(r, Stored{TokenOf<StoreSnapshot>(last_)});
  }
  IntervalIndex Granted() {
    const auto grants = Sent<wire::Grant>(last_);
    return grants.empty() ? -1 : grants.back().second.last;
  }

  RunSpec spec_;
  StoredRun stored_;
  std::unique_ptr<RunCore> core_;
  std::vector<Action> last_;
};

TEST_F(RestartTest, OwnersThatAskInTimeGoOn) {
  Start(10s, 9s);
  EXPECT_EQ(core_->state(), RunState::kRunning);
  for (const Incarnation agent : {kA, kB}) {
    Step(10200ms, AgentBack{agent, Held({{ShardEpoch(1), 12}})});
    // It has the entries; it hears of T0 and the end, and gets nothing before it asks.
    EXPECT_TRUE(Sent<wire::Entry>(last_).empty());
    EXPECT_EQ(Sent<wire::Start>(last_).size(), 1u);
    EXPECT_TRUE(Sent<wire::Grant>(last_).empty());
    Step(10300ms, AgentAsked{agent, At(0s)});
    EXPECT_EQ(Granted(), 13);
    EXPECT_EQ(Sent<wire::Grant>(last_)[0].second.controller_incarnation, 10u);
  }
  for (Nanos r = 11s; r < 20s; r += 1s)
    for (const Incarnation agent : {kA, kB}) {
      Step(r, AgentAsked{agent, At(0s)});
      EXPECT_TRUE(Of<StoreEntry>(last_).empty()) << "nothing is dealt anew";
    }
  EXPECT_EQ(Granted(), 22);
}

TEST_F(RestartTest, TheNextEpochStartsBehindAllThatMayHaveBeenGranted) {
  Start(10s, 9s);
  Step(10200ms, AgentBack{kA, Held({{ShardEpoch(1), 12}})});
  // b does not come back. k* = 13, the interval of 10 + 3 s; t* = 14 − 1.5 s.
  for (Nanos r = 10300ms; r < 12500ms; r += 500ms) {
    Step(r, AgentAsked{kA, At(0s)});
    EXPECT_TRUE(Of<StoreEntry>(last_).empty()) << r.count();
    EXPECT_LE(Granted(), 14);
  }
  for (Nanos r = 12500ms; r < 14s && Of<StoreEntry>(last_).empty(); r += 500ms)
    Step(r, AgentAsked{kA, At(0s)});
  const auto entries = Of<StoreEntry>(last_);
  ASSERT_EQ(entries.size(), 1u);
  const auto& deal = std::get<rate::Deal>(entries[0].entry.what);
  EXPECT_EQ(deal.epoch, ShardEpoch(2));
  EXPECT_GE(deal.first, 14);
  EXPECT_EQ(deal.owners, std::vector<Incarnation>{kA});
}

TEST_F(RestartTest, WhatTheAgentsSayOfTheirGrantsStandsInTheClosing) {
  stored_.final_totals = {kB};
  Start(20s, 9s);  // 11 s away: silent since 12
  Step(20500ms, AgentBack{kA, Held({{ShardEpoch(1), 12}})});
  Step(20500ms, StopWanted{RunState::kCancelled, "by the user"});
  Final(21500ms, kA);
  const auto close = Of<CloseRun>(last_);
  ASSERT_EQ(close.size(), 1u);
  ASSERT_EQ(close[0].grants.size(), 2u);
  EXPECT_EQ(close[0].grants[0].last, 12);
  EXPECT_EQ(close[0].grants[1].last, 23) << "b did not come back: all that it may have had";
}

TEST_F(RestartTest, AnAgentThatDoesNotTellItsGrantsIsTakenToHaveHadAll) {
  Start(10s, 9s);
  wire::HeldRun held = Held({});
  held.grants_known = false;
  Step(10100ms, AgentBack{kA, held});
  Step(10100ms, AgentBack{kB, held});
  Step(10200ms, StopWanted{RunState::kCancelled, ""});
  Final(11500ms, kA);
  Final(11500ms, kB);
  ASSERT_EQ(Of<CloseRun>(last_).size(), 1u);
  EXPECT_EQ(Of<CloseRun>(last_)[0].grants[0].last, 13);
}

TEST_F(RestartTest, WhoOwnsNothingMustComeBackToShare) {
  stored_.entries.push_back({RunId("r"), 3, DealOf(2, 5, {kA})});
  Start(10s, 9s);
  Step(10100ms, AgentBack{kA, Held({{ShardEpoch(2), 12}}, 3)});
  for (Nanos r = 10200ms; r < 20s; r += 1s) {
    Step(r, AgentAsked{kA, At(0s)});
    EXPECT_TRUE(Of<StoreEntry>(last_).empty());
  }
  Step(20s, AgentBack{kB, Held({{ShardEpoch(1), 4}})});
  EXPECT_EQ(Sent<wire::Entry>(last_).size(), 1u) << "the third one";
  ASSERT_EQ(Of<StoreEntry>(last_).size(), 1u);
  EXPECT_EQ(std::get<rate::Deal>(Of<StoreEntry>(last_)[0].entry.what).owners.size(), 2u);
}

TEST_F(RestartTest, ARunWithoutT0WaitsForAgentsAgain) {
  stored_.start.reset();
  Start(1s, 0s);
  EXPECT_EQ(core_->state(), RunState::kWaiting);
  EXPECT_EQ(core_->live_agents(), 0u);
}

TEST_F(RestartTest, AHoleInTheScheduleIsAnError) {
  stored_.entries.erase(stored_.entries.begin());
  const auto core = RunCore::Restore(kOptions, spec_, stored_, At(12s));
  EXPECT_EQ(std::string(core.status().message()), "entry 1 of its schedule is not in the store");
}

TEST_F(RestartTest, AwayForLongerThanTenLeasesItStops) {
  Start(42s, 11s);  // last heard of before second 11
  EXPECT_EQ(core_->end(), RunTime(43s));
  Step(42100ms, AgentBack{kA, Held({{ShardEpoch(1), 13}})});
  ASSERT_EQ(Sent<wire::Stop>(last_).size(), 1u);
  EXPECT_EQ(Sent<wire::Stop>(last_)[0].second.end_as, "failed");
  Step(42100ms, AgentBack{kB, Held({{ShardEpoch(1), 13}})});
  Final(43s, kA);
  Final(43s, kB);
  ASSERT_EQ(Of<CloseRun>(last_).size(), 1u);
  EXPECT_EQ(Of<CloseRun>(last_)[0].end_as, RunState::kFailed);
  EXPECT_EQ(Of<CloseRun>(last_)[0].reason,
            "the controller was away for 31 s; a run goes on after at most 30 s");
}

TEST_F(RestartTest, PastTheEndItCompletesIfTheScheduleWasCovered) {
  Start(70s, 57s);
  for (const Incarnation agent : {kA, kB}) {
    Step(70100ms, AgentBack{agent, Held({{ShardEpoch(1), 59}})});
    Step(70200ms, AgentAsked{agent, At(0s)});
    EXPECT_TRUE(Sent<wire::Grant>(last_).empty());
    Final(70300ms, agent);
  }
  ASSERT_EQ(Of<CloseRun>(last_).size(), 1u);
  EXPECT_EQ(Of<CloseRun>(last_)[0].end_as, RunState::kCompleted);
}

TEST_F(RestartTest, PastTheEndItFailsIfTheScheduleWasNotCovered) {
  Start(70s, 50s);
  for (const Incarnation agent : {kA, kB}) {
    Step(70100ms, AgentBack{agent, Held({{ShardEpoch(1), 53}})});
    Final(70300ms, agent);
  }
  ASSERT_EQ(Of<CloseRun>(last_).size(), 1u);
  EXPECT_EQ(Of<CloseRun>(last_)[0].end_as, RunState::kFailed);
  EXPECT_EQ(Of<CloseRun>(last_)[0].reason,
            "the controller was away at the end of the schedule, which was not covered");
}

TEST_F(RestartTest, AStopIsStoredWithItsEndAndStandsAfterTheRestart) {
  Start(10s, 9s);
  Step(10500ms, StopWanted{RunState::kAborted, "guard"});
  const auto stops = Of<StoreStop>(last_);
  ASSERT_EQ(stops.size(), 1u);
  stored_.stop = stops[0];
  Start(13s, 10s);
  EXPECT_EQ(core_->end(), RunTime(11s));
  Step(13100ms, AgentBack{kA, Held({{ShardEpoch(1), 13}})});
  ASSERT_EQ(Sent<wire::Stop>(last_).size(), 1u);
  EXPECT_EQ(Sent<wire::Stop>(last_)[0].second.end, RunTime(11s));
  EXPECT_EQ(Sent<wire::Stop>(last_)[0].second.end_as, "aborted");
}

TEST_F(RestartTest, AStopThatOnlyAnAgentHeardOfStands) {
  Start(10s, 9s);
  wire::HeldRun held = Held({{ShardEpoch(1), 12}});
  held.stopped = true;
  held.stop_end = RunTime(9s);
  held.stop_as = "aborted";
  held.stop_reason = "guard";
  Step(10100ms, AgentBack{kA, held});
  EXPECT_EQ(core_->end(), RunTime(9s));
  ASSERT_EQ(Of<StoreStop>(last_).size(), 1u);
  EXPECT_EQ(Of<StoreStop>(last_)[0].end_as, RunState::kAborted);
  Step(10200ms, AgentBack{kB, Held({{ShardEpoch(1), 12}})});
  EXPECT_EQ(Sent<wire::Stop>(last_).size(), 1u);
  Final(11s, kA);
  Final(11s, kB);
  ASSERT_EQ(Of<CloseRun>(last_).size(), 1u);
  EXPECT_EQ(Of<CloseRun>(last_)[0].end_as, RunState::kAborted);
}

TEST_F(RestartTest, OnAHostBootedAnewTheRunClockComesFromTheAgents) {
  stored_.start->boot_id = "before";
  stored_.agents.push_back(Facts("c", 3));
  stored_.entries[1].what = DealOf(1, 0, {kA, kB, kC});
  Start(10s, 9s);
  EXPECT_FALSE(core_->t0());
  wire::HeldRun held = Held({{ShardEpoch(1), 12}});
  held.run_now = RunTime(10500ms);
  Step(10100ms, AgentBack{kA, held});  // T0 = 1.6 s of our clock
  EXPECT_TRUE(Sent<wire::Start>(last_).empty());
  Step(10100ms, AgentAsked{kA, At(0s)});
  held.run_now = RunTime(10510ms);  // 1.59 s
  Step(10100ms, AgentBack{kB, held});
  held.run_now = RunTime(10000ms);  // 2.1 s
  held.grants_known = false;
  Step(10100ms, AgentBack{kC, held});
  ASSERT_TRUE(core_->t0());
  EXPECT_EQ(*core_->t0(), At(1600ms));
  ASSERT_EQ(Sent<wire::Start>(last_).size(), 3u);
  EXPECT_EQ(Sent<wire::Start>(last_)[0].second.boot_id, "b");
  // r = 10.5 s: c, which does not say, had at most the interval of 13.5 s, and one more.
  Step(10200ms, StopWanted{RunState::kCancelled, ""});
  for (const Incarnation agent : {kA, kB, kC}) Final(11500ms, agent);
  ASSERT_EQ(Of<CloseRun>(last_).size(), 1u);
  EXPECT_EQ(Of<CloseRun>(last_)[0].grants[2].last, 14);
  EXPECT_EQ(Of<CloseRun>(last_)[0].grants[0].last, 13) << "granted anew when the clock was known";
}

TEST_F(RestartTest, WithoutAnyAgentsMapTheWallClockTellsThatTheRunIsOver) {
  stored_.start->boot_id = "before";
  stored_.start->by_wall = 40s;
  Start(10s, 9s);
  Tick(39s);
  EXPECT_FALSE(core_->t0());
  EXPECT_EQ(core_->NextDeadline(), At(42s));
  Tick(40s);
  ASSERT_TRUE(core_->t0());
  EXPECT_EQ(core_->RunNow(At(42s)), RunTime(70s));
  EXPECT_EQ(core_->state(), RunState::kDraining);
}

// ---- The dispatcher ----------------------------------------------------------------------------

wire::Hello HelloOf(const std::string& id, uint64_t incarnation) {
  return {.schedule_version = rate::kScheduleVersion,
          .histogram_layout = stats::kLayoutVersion,
          .agent = AgentId(id),
          .incarnation = Incarnation(incarnation)};
}

TEST_F(RestartTest, AnAgentThatHoldsARunWithoutT0IsGivenItAgain) {
  stored_.start.reset();
  Dispatcher dispatcher(kOptions);
  ASSERT_TRUE(dispatcher.Restore(At(1s), spec_, stored_).ok());
  wire::Hello hello = HelloOf("a", 1);
  hello.held.push_back({.run = RunId("r")});
  dispatcher.Connected(At(1s), hello);
  const auto actions = dispatcher.TakeActions();
  EXPECT_EQ(Sent<wire::Assignment>(actions).size(), 1u);
  // First released: should the run be given to others, it must not be kept from theirs.
  EXPECT_EQ(Sent<wire::Release>(actions).size(), 1u);
}

TEST_F(RestartTest, AnAgentWhoseChoiceWasNotStoredIsReleasedAndJoinsLikeAnyOther) {
  Dispatcher dispatcher(kOptions);
  ASSERT_TRUE(dispatcher.Restore(At(12s), spec_, stored_).ok());
  wire::Hello hello = HelloOf("c", 3);
  hello.held.push_back({.run = RunId("r")});
  dispatcher.Connected(At(12s), hello);
  const auto actions = dispatcher.TakeActions();
  EXPECT_EQ(Sent<wire::Release>(actions).size(), 1u);
  EXPECT_EQ(Sent<wire::Assignment>(actions).size(), 1u);
}

TEST_F(RestartTest, SnapshotsOfARunThatIsNotHereAreStoredAndThenAcknowledged) {
  Dispatcher dispatcher(kOptions);
  dispatcher.Connected(At(0s), HelloOf("a", 1));
  dispatcher.TakeActions();
  dispatcher.Received(
      At(1s), kA, wire::SnapshotEnvelope{.run = RunId("old"), .incarnation = kA, .sequence = 7});
  const auto actions = dispatcher.TakeActions();
  ASSERT_EQ(actions.size(), 2u);
  EXPECT_EQ(actions[0].run, RunId("old"));
  EXPECT_NE(actions[0].token, 0u);
  EXPECT_EQ(actions[1].after, actions[0].token);
  EXPECT_EQ(Sent<wire::SnapshotAck>(actions).size(), 1u);
}

}  // namespace
}  // namespace broadside::controller
