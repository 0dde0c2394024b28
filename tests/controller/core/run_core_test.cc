#include "controller/core/run_core.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/controller/core/core_testing.h"

namespace broadside::controller {
namespace {

using namespace testing;

const Incarnation kA(1), kB(2), kC(3);

/// A run that the test walks through; time is the controller's clock, T0 comes out at 2 s.
class RunCoreTest : public ::testing::Test {
 protected:
  void Make(RunSpec spec) {
    core_ = std::make_unique<RunCore>(CoreOptions{.controller_incarnation = 9, .boot_id = "b"},
                                      std::move(spec), At(0s));
  }
  std::vector<Action> Step(Nanos now, const RunEvent& event) {
    core_->Step(At(now), event);
    return last_ = core_->TakeActions();
  }
  std::vector<Action> Tick(Nanos now) {
    core_->Tick(At(now));
    return last_ = core_->TakeActions();
  }
  void Ask(Nanos now, std::initializer_list<Incarnation> agents) {
    for (const Incarnation agent : agents) Step(now, AgentAsked{agent, At(now)});
  }
  /// All of them ask every half second from the announcement to `until`.
  void Live(Nanos until, std::initializer_list<Incarnation> agents) {
    for (Nanos now = 1500ms; now <= until; now += 500ms) Ask(now, agents);
  }
  /// Up to the announcement, with these agents. T0 = 2 s.
  void Start(std::initializer_list<Incarnation> agents) {
    AgentsGiven given;
    for (const Incarnation agent : agents)
      given.agents.push_back(
          Facts(std::string(1, static_cast<char>('a' + agent.value() - 1)), agent.value()));
    Step(0s, given);
    Ask(900ms, agents);
    for (const Incarnation agent : agents) Step(1s, AgentPrepared{agent, "", {}});
    Step(1s, Stored{TokenOf<StoreStart>(last_)});
    announced_ = last_;
  }
  std::vector<Action> Final(Nanos now, Incarnation agent) {
    wire::SnapshotEnvelope envelope{
        .run = RunId("r"), .incarnation = agent, .sequence = 99, .final_totals = true};
    const auto actions =
        Step(now, SnapshotTaken{std::make_shared<const wire::SnapshotEnvelope>(envelope)});
    return Step(now, Stored{TokenOf<StoreSnapshot>(actions)});
  }

  std::unique_ptr<RunCore> core_;
  std::vector<Action> last_, announced_;
};

TEST_F(RunCoreTest, StoresT0AndTheScheduleBeforeAnyoneHearsOfIt) {
  Make(SmallRun(10));
  Step(0s, AgentsGiven{{Facts("a", 1)}});
  EXPECT_EQ(Sent<wire::Assignment>(last_).size(), 1u);
  Ask(900ms, {kA});
  Step(1s, AgentPrepared{kA, "", {}});
  EXPECT_EQ(Of<StoreEntry>(last_).size(), 2u);  // a segment and the first deal
  EXPECT_EQ(Of<StoreStart>(last_).size(), 1u);
  EXPECT_TRUE(Sent<wire::Start>(last_).empty());
  EXPECT_TRUE(Sent<wire::Entry>(last_).empty());
  Step(1s, Stored{TokenOf<StoreStart>(last_)});
  EXPECT_EQ(Sent<wire::Entry>(last_).size(), 2u);
  ASSERT_EQ(Sent<wire::Start>(last_).size(), 1u);
  EXPECT_EQ(Sent<wire::Start>(last_)[0].second.t0, At(2s));
  EXPECT_EQ(core_->state(), RunState::kRunning);
}

TEST_F(RunCoreTest, GrantsThroughTheIntervalALeaseAheadAndNeverPastTheEnd) {
  Make(SmallRun(5));
  Start({kA});
  // Asked at 0.9 s, answered at 1 s: r = −1 s, so −1 + 3 = 2 s lies in interval 2.
  const auto first = Sent<wire::Grant>(announced_);
  ASSERT_EQ(first.size(), 1u);
  EXPECT_EQ(first[0].second.last, 2);
  EXPECT_EQ(first[0].second.asked, At(900ms));
  EXPECT_EQ(first[0].second.entries, 2u);
  EXPECT_EQ(first[0].second.controller_incarnation, 9u);
  Step(2500ms, AgentAsked{kA, At(2500ms)});
  EXPECT_EQ(Sent<wire::Grant>(last_).at(0).second.last, 3);
  Step(5900ms, AgentAsked{kA, At(5900ms)});
  EXPECT_EQ(Sent<wire::Grant>(last_).at(0).second.last, 4);  // 5 s of schedule end with interval 4
}

TEST_F(RunCoreTest, SnapshotsAreAcknowledgedOnlyOnceStored) {
  Make(SmallRun(5));
  Start({kA});
  wire::SnapshotEnvelope envelope{.run = RunId("r"), .incarnation = kA, .sequence = 1};
  Step(3s, SnapshotTaken{std::make_shared<const wire::SnapshotEnvelope>(envelope)});
  StoreToken stored = 0, ack_after = 0;
  for (const Action& action : last_) {
    if (std::holds_alternative<StoreSnapshot>(action.what)) stored = action.token;
    if (const auto* send = std::get_if<SendTo>(&action.what))
      if (std::holds_alternative<wire::SnapshotAck>(send->message)) ack_after = action.after;
  }
  EXPECT_NE(stored, 0u);
  EXPECT_EQ(ack_after, stored);
}

TEST_F(RunCoreTest, ClosesWhenEveryFinalTotalIsStored) {
  Make(SmallRun(5));
  Start({kA, kB});
  Live(7s, {kA, kB});
  EXPECT_EQ(core_->state(), RunState::kDraining);
  Final(7500ms, kA);
  EXPECT_TRUE(Of<CloseRun>(last_).empty());
  Final(7600ms, kB);
  const auto close = Of<CloseRun>(last_);
  ASSERT_EQ(close.size(), 1u);
  EXPECT_EQ(close[0].end_as, RunState::kCompleted);
  EXPECT_TRUE(close[0].lost.empty());
  ASSERT_EQ(close[0].grants.size(), 2u);
  EXPECT_EQ(close[0].grants[0].first, 0);
  EXPECT_EQ(close[0].grants[0].last, 4);
  Step(8s, Stored{TokenOf<CloseRun>(last_)});
  EXPECT_EQ(core_->state(), RunState::kCompleted);
  EXPECT_EQ(Of<FreeAgent>(last_).size(), 2u);
  EXPECT_EQ(Sent<wire::Release>(last_).size(), 2u);
}

TEST_F(RunCoreTest, ABrokenStreamMovesTheShardAtTheFirstIntervalNobodyWasGranted) {
  Make(SmallRun(60));
  Start({kA, kB, kC});
  Live(5s, {kA, kB, kC});  // r = 3 s: granted through interval 6
  Step(5200ms, AgentLost{kB, "reset"});
  const auto entries = Of<StoreEntry>(last_);
  ASSERT_EQ(entries.size(), 1u);
  const auto& deal = std::get<rate::Deal>(entries[0].entry.what);
  EXPECT_EQ(deal.epoch, ShardEpoch(2));
  EXPECT_EQ(deal.first, 7);
  EXPECT_EQ(deal.owners, (std::vector{kA, kC}));
  // Until it is stored nobody hears of it, and the old epoch is not extended.
  EXPECT_TRUE(Sent<wire::Entry>(last_).empty());
  const StoreToken token = TokenOf<StoreEntry>(last_);
  Step(6500ms, AgentAsked{kA, At(6500ms)});
  EXPECT_EQ(Sent<wire::Grant>(last_).at(0).second.last, 6);
  EXPECT_EQ(Sent<wire::Grant>(last_).at(0).second.epoch, ShardEpoch(1));
  Step(6600ms, Stored{token});
  EXPECT_EQ(Sent<wire::Entry>(last_).size(), 2u);
  const auto grants = Sent<wire::Grant>(last_);
  ASSERT_EQ(grants.size(), 4u);  // each: the rest of epoch 1, and epoch 2
  EXPECT_EQ(grants[0].second.epoch, ShardEpoch(1));
  EXPECT_EQ(grants[0].second.last, 6);
  EXPECT_EQ(grants[1].second.epoch, ShardEpoch(2));
  EXPECT_EQ(grants[1].second.last, 7);
  EXPECT_EQ(grants[1].second.entries, 3u);
}

TEST_F(RunCoreTest, SilenceWaitsForTheLastMomentAndIsForgivenUntilThen) {
  Make(SmallRun(60));
  Start({kA, kB});
  Live(5s, {kA, kB});  // granted through interval 6, which ends at 9 s of our clock
  Ask(6600ms, {kA});   // B is silent for more than D/2 now
  EXPECT_TRUE(Of<StoreEntry>(last_).empty());
  EXPECT_EQ(Sent<wire::Grant>(last_).at(0).second.last, 6);  // not extended meanwhile
  Ask(7s, {kA, kB});                                         // heard again before t* = 9 s − D/2
  EXPECT_EQ(Sent<wire::Grant>(last_).at(0).second.last, 8);
  Ask(8s, {kA});
  Ask(9s, {kA});
  Ask(10s, {kA});
  // A's ask at 8 s was granted through 9 (ends at 12 s): t* = 10.5 s. Before it nothing, then the
  // cut.
  Tick(10400ms);
  EXPECT_TRUE(Of<StoreEntry>(last_).empty());
  EXPECT_EQ(core_->NextDeadline(), At(10500ms));
  Tick(10500ms);
  ASSERT_EQ(Of<StoreEntry>(last_).size(), 1u);
  EXPECT_EQ(std::get<rate::Deal>(Of<StoreEntry>(last_)[0].entry.what).first, 10);
}

TEST_F(RunCoreTest, OnLossContinueGivesTheSlotsToNobody) {
  RunSpec spec = SmallRun(60);
  auto plan = std::make_shared<plan::Plan>(*spec.plan);
  plan->agents.on_loss = plan::OnLoss::kContinue;
  spec.plan = plan;
  Make(spec);
  Start({kA, kB});
  Live(5s, {kA, kB});
  Step(5200ms, AgentLost{kB, "reset"});
  const rate::Deal deal = std::get<rate::Deal>(Of<StoreEntry>(last_).at(0).entry.what);
  EXPECT_EQ(std::count(deal.slots.begin(), deal.slots.end(), rate::Deal::kNobody),
            static_cast<long>(deal.slots.size() / 2));
}

TEST_F(RunCoreTest, OnLossFailStopsTheClusterAtTheEndOfTheInterval) {
  RunSpec spec = SmallRun(60);
  auto plan = std::make_shared<plan::Plan>(*spec.plan);
  plan->agents.on_loss = plan::OnLoss::kFail;
  spec.plan = plan;
  Make(spec);
  Start({kA, kB});
  Live(5s, {kA, kB});
  Step(5200ms, AgentLost{kB, "reset"});
  const auto stops = Sent<wire::Stop>(last_);
  ASSERT_EQ(stops.size(), 1u);
  EXPECT_EQ(stops[0].first, kA);
  EXPECT_EQ(stops[0].second.end, RunTime(4s));
}

TEST_F(RunCoreTest, ACancelGrantsNothingPastTheEndOfTheInterval) {
  Make(SmallRun(60));
  Start({kA});
  Live(5s, {kA});
  Step(5300ms, StopWanted{RunState::kCancelled, "by the user"});
  ASSERT_EQ(Sent<wire::Stop>(last_).size(), 1u);
  EXPECT_EQ(Sent<wire::Stop>(last_)[0].second.end, RunTime(4s));
  Final(6500ms, kA);
  const auto close = Of<CloseRun>(last_);
  ASSERT_EQ(close.size(), 1u);
  EXPECT_EQ(close[0].end_as, RunState::kCancelled);
  EXPECT_TRUE(close[0].stopped);
  EXPECT_EQ(close[0].stop_end, RunTime(4s));
}

TEST_F(RunCoreTest, ACancelBeforeTheStartEndsTheRunAtOnce) {
  Make(SmallRun(60));
  Step(0s, AgentsGiven{{Facts("a", 1)}});
  Step(1s, StopWanted{RunState::kCancelled, "by the user"});
  EXPECT_EQ(core_->state(), RunState::kCancelled);
  EXPECT_EQ(Sent<wire::Release>(last_).size(), 1u);
  EXPECT_EQ(Of<FreeAgent>(last_).size(), 1u);
}

TEST_F(RunCoreTest, ARefusalFailsTheRunWithTheAgentsReason) {
  Make(SmallRun(60));
  Step(0s, AgentsGiven{{Facts("a", 1)}});
  Step(1s, AgentPrepared{kA, "target 10.0.0.1:80 is not in its allow list", {}});
  EXPECT_EQ(core_->state(), RunState::kFailed);
  EXPECT_EQ(core_->reason(), "a refused the plan: target 10.0.0.1:80 is not in its allow list");
  EXPECT_EQ(Of<FreeAgent>(last_).size(), 1u);
}

TEST_F(RunCoreTest, StartsWithoutLaggardsAndNamesThem) {
  Make(SmallRun(60));
  Step(0s, AgentsGiven{{Facts("a", 1), Facts("b", 2)}});
  Ask(900ms, {kA, kB});
  Step(1s, AgentPrepared{kA, "", {}});
  EXPECT_EQ(core_->state(), RunState::kPreparing);
  EXPECT_EQ(core_->NextDeadline(), At(10s));
  Tick(10s);
  EXPECT_EQ(Of<Notice>(last_).at(0).text, "starting without b: not ready in time");
  EXPECT_EQ(core_->state(), RunState::kStarting);
}

TEST_F(RunCoreTest, CeilingsThatCannotCarryThePlanAreSaid) {
  Make(SmallRun(60));
  AgentFacts a = Facts("a", 1);
  a.ceiling = 30'000'000;
  Step(0s, AgentsGiven{{a}});
  Step(1s, AgentPrepared{kA, "", {}});
  EXPECT_EQ(core_->state(), RunState::kFailed);
  EXPECT_EQ(core_->reason(),
            "the agents' rate ceilings allow 30/s in all, the plan needs 100/s: add agents or "
            "raise --rate-ceiling");
}

TEST_F(RunCoreTest, AStoreThatFailsBeforeT0EndsTheRun) {
  Make(SmallRun(60));
  Step(0s, AgentsGiven{{Facts("a", 1)}});
  Step(1s, AgentPrepared{kA, "", {}});
  Step(1s, StoreFailed{TokenOf<StoreStart>(last_), "the disk is full"});
  EXPECT_EQ(core_->state(), RunState::kFailed);
  EXPECT_EQ(core_->reason(), "the store failed: the disk is full");
}

TEST_F(RunCoreTest, ADrainingAgentKeepsItsShardUntilTheCut) {
  Make(SmallRun(60));
  Start({kA, kB});
  Live(5s, {kA, kB});
  Step(5100ms, AgentDrains{kB});
  const StoreToken token = TokenOf<StoreEntry>(last_);
  ASSERT_NE(token, 0u);
  Step(5200ms, Stored{token});
  const auto finish = Sent<wire::Finish>(last_);
  ASSERT_EQ(finish.size(), 1u);
  EXPECT_EQ(finish[0].first, kB);
  EXPECT_EQ(finish[0].second.end, RunTime(7s));
  Final(9500ms, kB);
  EXPECT_EQ(Of<FreeAgent>(last_).size(), 1u);
  EXPECT_EQ(core_->state(), RunState::kRunning);
  // By the end it may work for another run: it is freed once.
  Step(10s, StopWanted{RunState::kCancelled, "enough"});
  Final(11s, kA);
  Step(12s, Stored{TokenOf<CloseRun>(last_)});
  ASSERT_EQ(Of<FreeAgent>(last_).size(), 1u);
  EXPECT_EQ(Of<FreeAgent>(last_)[0].agent, kA);
}

TEST_F(RunCoreTest, AnAgentThatIsBackHearsOfAllThatItWasGranted) {
  Make(SmallRun(60));
  Start({kA, kB});
  Live(5s, {kA, kB});  // granted through interval 6
  Step(5100ms, AgentLost{kB, "reset"});
  Step(5200ms, Stored{TokenOf<StoreEntry>(last_)});
  for (Nanos now = 6s; now < 15s; now += 500ms) Ask(now, {kA});
  Step(15s, AgentBack{kB, {.run = RunId("r"), .entries = 2}});
  Step(15s, AgentAsked{kB, At(15s)});
  // The grants of epoch 1 may have been lost with the stream; what it was given, it accounts for.
  const auto grants = Sent<wire::Grant>(last_);
  ASSERT_EQ(grants.size(), 1u);
  EXPECT_EQ(grants[0].second.epoch, ShardEpoch(1));
  EXPECT_EQ(grants[0].second.last, 6);
  Step(15500ms, AgentAsked{kB, At(15500ms)});
  EXPECT_TRUE(Sent<wire::Grant>(last_).empty());
}

TEST_F(RunCoreTest, AScheduleThatIsNotWhollyStoredDoesNotStart) {
  Make(SmallRun(10));
  Step(0s, AgentsGiven{{Facts("a", 1)}});
  Step(1s, AgentPrepared{kA, "", {}});
  StoreToken first_entry = 0;
  for (const Action& action : last_)
    if (std::holds_alternative<StoreEntry>(action.what) && first_entry == 0)
      first_entry = action.token;
  const StoreToken start = TokenOf<StoreStart>(last_);
  Step(1s, StoreFailed{first_entry, "disk full"});
  EXPECT_EQ(core_->state(), RunState::kFailed);
  Step(1s, Stored{start});
  EXPECT_EQ(core_->state(), RunState::kFailed);
}

TEST_F(RunCoreTest, EveryAgentLostForTenLeasesFailsTheRun) {
  Make(SmallRun(600));
  Start({kA});
  Live(5s, {kA});
  Step(6s, AgentLost{kA, "reset"});
  Tick(35900ms);
  EXPECT_TRUE(Of<CloseRun>(last_).empty());
  Tick(36s);
  ASSERT_EQ(Of<CloseRun>(last_).size(), 1u);
  EXPECT_EQ(Of<CloseRun>(last_)[0].reason, "every agent was lost");
  EXPECT_EQ(Of<CloseRun>(last_)[0].lost, std::vector{kA});
}

TEST_F(RunCoreTest, DeadlinesLieAheadOfTheLastTick) {
  Make(SmallRun(60));
  Start({kA, kB});
  Live(5s, {kA, kB});
  Step(6s, AgentLost{kB, "reset"});
  for (Nanos now = 6s; now < 20s; now += 250ms) {
    Tick(now);
    EXPECT_GT(core_->NextDeadline().value_or(At(now + 1s)), At(now));
  }
}

}  // namespace
}  // namespace broadside::controller
