#include "agent/control/agent_core.h"

#include <gtest/gtest.h>

#include <utility>

namespace broadside::agent {
namespace {

using namespace std::chrono_literals;

Instant At(Nanos nanos) { return Instant(nanos); }

class AgentCoreTest : public ::testing::Test {
 protected:
  AgentCoreTest()
      : core_({.hello = {.agent = AgentId("a"), .incarnation = Incarnation(7)},
               .outbox_bytes_max = 4000}) {}

  template <class T>
  std::vector<T> Take() {
    std::vector<T> out;
    for (CoreAction& action : actions_)
      if (auto* what = std::get_if<T>(&action)) out.push_back(std::move(*what));
    return out;
  }
  template <class M>
  std::vector<M> Said() {
    std::vector<M> out;
    for (CoreAction& action : actions_)
      if (auto* say = std::get_if<Say>(&action))
        if (auto* message = std::get_if<M>(&say->message)) out.push_back(*message);
    return out;
  }
  void Step(Nanos now, CoreEvent event) {
    core_.Step(At(now), std::move(event));
    actions_ = core_.TakeActions();
  }
  void Tick(Nanos now) {
    core_.Tick(At(now));
    actions_ = core_.TakeActions();
  }
  void Hear(Nanos now, wire::ControllerMessage message) {
    Step(now, FromController{std::move(message), At(now)});
  }

  /// Connected, assigned and started at controller time `t0`, both clocks equal, no delay.
  void StartRun(Nanos t0) {
    Tick(0s);
    Step(0s, StreamUp{});
    Hear(0s, wire::Welcome{.controller_incarnation = 3});
    Hear(0s, wire::HeartbeatReply{At(0s), At(0s), At(0s)});
    Hear(0s, wire::Assignment{.run = RunId("r"), .controller_incarnation = 3});
    Step(0s, RunPrepared{RunId("r"), "", {}});
    Hear(0s, wire::Entry{RunId("r"), 1, rate::Segment{}});
    Hear(0s, wire::Start{RunId("r"), At(t0), "boot"});
  }
  SnapshotMade Made(uint64_t sequence, size_t bytes, bool last = false) {
    SnapshotMade out;
    out.full = {.run = RunId("r"),
                .incarnation = Incarnation(7),
                .sequence = sequence,
                .final_totals = last};
    out.thin = out.full;
    out.full.body = std::string(bytes, 'x');
    return out;
  }

  AgentCore core_;
  std::vector<CoreAction> actions_;
};

TEST_F(AgentCoreTest, SaysHelloAndMeasuresTheClockBeforeAnythingElse) {
  Tick(0s);
  EXPECT_EQ(Take<OpenStream>().size(), 1u);
  Step(1ms, StreamUp{});
  EXPECT_EQ(Said<wire::Hello>().size(), 1u);
  EXPECT_EQ(Said<wire::Heartbeat>().size(), 1u);
  EXPECT_EQ(core_.NextDeadline(), At(51ms));  // five quick ones, then every D/3
}

TEST_F(AgentCoreTest, GrantsEndAtTheAskPlusTheLease) {
  StartRun(1s);
  Hear(500ms, wire::Grant{3, RunId("r"), ShardEpoch(1), 2, 1, At(400ms)});
  const auto grants = Take<GrantLease>();
  ASSERT_EQ(grants.size(), 1u);
  EXPECT_EQ(grants[0].last, 2);
  EXPECT_EQ(grants[0].lease_end, At(3400ms));
}

TEST_F(AgentCoreTest, IgnoresGrantsThatPresumeMoreThanItHoldsOrComeFromAnOlderController) {
  StartRun(1s);
  Hear(500ms, wire::Grant{3, RunId("r"), ShardEpoch(1), 2, 2, At(400ms)});
  EXPECT_TRUE(Take<GrantLease>().empty());
  Hear(500ms, wire::Grant{2, RunId("r"), ShardEpoch(1), 2, 1, At(400ms)});
  EXPECT_TRUE(Take<GrantLease>().empty());
  Hear(500ms, wire::Grant{3, RunId("other"), ShardEpoch(1), 2, 1, At(400ms)});
  EXPECT_TRUE(Take<GrantLease>().empty());
}

TEST_F(AgentCoreTest, TakesEachScheduleEntryOnceAndInOrder) {
  StartRun(1s);
  Hear(1s, wire::Entry{RunId("r"), 1, rate::Segment{}});
  EXPECT_TRUE(Take<ApplyEntry>().empty());
  Hear(1s, wire::Entry{RunId("r"), 3, rate::Segment{}});
  EXPECT_TRUE(Take<ApplyEntry>().empty());
  Hear(1s, wire::Entry{RunId("r"), 2, rate::Segment{}});
  EXPECT_EQ(Take<ApplyEntry>().size(), 1u);
}

TEST_F(AgentCoreTest, KeepsSnapshotsUntilTheyAreAcknowledgedAndResendsThemAfterABreak) {
  StartRun(0s);
  Step(1s, Made(1, 10));
  EXPECT_EQ(Said<wire::SnapshotEnvelope>().size(), 1u);
  Step(1100ms, StreamDown{"cut"});
  Step(1200ms, Made(2, 10));
  EXPECT_TRUE(Said<wire::SnapshotEnvelope>().empty());
  Tick(1350ms);
  EXPECT_EQ(Take<OpenStream>().size(), 1u);  // 250 ms later, within the lease
  Step(1400ms, StreamUp{});
  const auto hello = Said<wire::Hello>();
  ASSERT_EQ(hello.size(), 1u);
  ASSERT_EQ(hello[0].held.size(), 1u);
  EXPECT_EQ(hello[0].held[0].last_sequence, 2u);
  Hear(1450ms, wire::Welcome{.controller_incarnation = 3});
  EXPECT_EQ(Said<wire::SnapshotEnvelope>().size(), 2u);
  Hear(1500ms, wire::SnapshotAck{RunId("r"), Incarnation(7), {1}});
  EXPECT_GT(core_.outbox_bytes(), 0u);
  Hear(1500ms, wire::SnapshotAck{RunId("r"), Incarnation(7), {2}});
  EXPECT_EQ(core_.outbox_bytes(), 0u);
}

TEST_F(AgentCoreTest, AFullOutboxLosesTheOldestHistogramsAndKeepsTheirCounters) {
  StartRun(0s);
  Step(1s, StreamDown{"cut"});
  for (uint64_t sequence = 1; sequence <= 4; ++sequence) Step(1s, Made(sequence, 1000));
  EXPECT_EQ(core_.outbox_dropped(), 1u);
  EXPECT_LE(core_.outbox_bytes(), 4000u);
  Step(2s, StreamUp{});
  Hear(2s, wire::Welcome{.controller_incarnation = 3});
  const auto sent = Said<wire::SnapshotEnvelope>();
  ASSERT_EQ(sent.size(), 4u);
  EXPECT_TRUE(sent[0].body.empty());
  EXPECT_FALSE(sent[1].body.empty());
  EXPECT_FALSE(sent[3].body.empty());
}

TEST_F(AgentCoreTest, RepeatsAStopInItsHello) {
  StartRun(0s);
  Hear(1s, wire::Stop{RunId("r"), RunTime(2s), "guard", 3});
  EXPECT_EQ(Take<StopEngine>().size(), 1u);
  EXPECT_EQ(Take<FinishEngine>().size(), 1u);
  Hear(1s, wire::Stop{RunId("r"), RunTime(5s), "again", 3});
  EXPECT_TRUE(Take<StopEngine>().empty());  // a stop never moves later
  Step(2s, StreamDown{"cut"});
  Tick(3s);
  Step(3s, StreamUp{});
  const auto hello = Said<wire::Hello>();
  ASSERT_EQ(hello.size(), 1u);
  EXPECT_TRUE(hello[0].held.at(0).stopped);
  EXPECT_EQ(hello[0].held.at(0).stop_end, RunTime(2s));
}

TEST_F(AgentCoreTest, ForgetsAReleasedRunOnceItsOutboxIsEmptyAndThenDrains) {
  StartRun(0s);
  Step(1s, Made(1, 10, /*last=*/true));
  Hear(1s, wire::Release{RunId("r")});
  EXPECT_TRUE(Take<DropRun>().empty());
  Step(1s, DrainWanted{});
  EXPECT_TRUE(Take<Exit>().empty());
  Hear(1s, wire::SnapshotAck{RunId("r"), Incarnation(7), {1}});
  EXPECT_EQ(Take<DropRun>().size(), 1u);
  EXPECT_EQ(Take<Exit>().size(), 1u);
}

TEST_F(AgentCoreTest, GivesAStreamUpThatIsSilentForALease) {
  StartRun(0s);
  Tick(2900ms);
  EXPECT_TRUE(Take<CloseStream>().empty());
  Tick(3100ms);
  EXPECT_EQ(Take<CloseStream>().size(), 1u);
  Tick(3200ms);
  EXPECT_TRUE(Take<CloseStream>().empty());
}

TEST_F(AgentCoreTest, BacksOffToTenSecondsWhenIdle) {
  Tick(0s);
  Nanos now = 0s;
  std::vector<Nanos> waits;
  for (int i = 0; i < 8; ++i) {
    Step(now, StreamDown{"refused"});
    const Instant next = *core_.NextDeadline();
    waits.push_back(next - At(now));
    now = next.time_since_epoch();
    Tick(now);
    EXPECT_EQ(Take<OpenStream>().size(), 1u);
  }
  EXPECT_EQ(waits.front(), 250ms);
  EXPECT_EQ(waits[1], 500ms);
  EXPECT_EQ(waits.back(), 10s);
}

TEST_F(AgentCoreTest, NothingThatAnOlderControllerSaysIsBelieved) {
  StartRun(0s);
  Step(1s, Made(1, 10));
  Step(1s, StreamDown{"gone"});
  Tick(2s);
  Step(2s, StreamUp{});
  Hear(2s, wire::Welcome{.controller_incarnation = 2});
  EXPECT_EQ(Take<CloseStream>().size(), 1u);
  Hear(2s, wire::SnapshotAck{RunId("r"), Incarnation(7), {1}});
  Hear(2s, wire::Finish{RunId("r"), RunTime(1s)});
  Hear(2s, wire::Release{RunId("r")});
  EXPECT_TRUE(Take<FinishEngine>().empty());
  EXPECT_GT(core_.outbox_bytes(), 0u) << "acknowledged by a store that is not the last one's";
  Step(2s, StreamDown{"closed"});
  Tick(3s);
  Step(3s, StreamUp{});
  Hear(3s, wire::Welcome{.controller_incarnation = 3});
  EXPECT_EQ(Said<wire::SnapshotEnvelope>().size(), 1u);
  Hear(3s, wire::SnapshotAck{RunId("r"), Incarnation(7), {1}});
  EXPECT_EQ(core_.outbox_bytes(), 0u);
}

TEST_F(AgentCoreTest, ASnapshotThatNobodyAcknowledgesIsSentAgain) {
  StartRun(0s);
  Step(1s, Made(1, 10));
  EXPECT_EQ(Said<wire::SnapshotEnvelope>().size(), 1u);
  size_t again = 0;
  for (int beat = 2; beat <= 6; ++beat) {
    Hear(Nanos(1s) * beat, wire::HeartbeatReply{});
    Tick(Nanos(1s) * beat);
    again += Said<wire::SnapshotEnvelope>().size();
  }
  EXPECT_EQ(again, 0u) << "before two leases have passed";
  for (int beat = 7; beat <= 8; ++beat) {
    Hear(Nanos(1s) * beat, wire::HeartbeatReply{});
    again += Said<wire::SnapshotEnvelope>().size();
    Tick(Nanos(1s) * beat);
    again += Said<wire::SnapshotEnvelope>().size();
  }
  EXPECT_EQ(again, 1u);
}

}  // namespace
}  // namespace broadside::agent
