#include "common/wire/convert.h"

#include <gtest/gtest.h>

namespace broadside::wire {
namespace {

using namespace std::chrono_literals;

template <class Message>
Message Back(const AgentMessage& message) {
  StatusOr<AgentMessage> got = FromProto(ToProto(message));
  EXPECT_TRUE(got.ok()) << MessageOf(got.status());
  return std::get<Message>(*got);
}
template <class Message>
Message BackAtAgent(const ControllerMessage& message) {
  StatusOr<ControllerMessage> got = FromProto(ToProto(message));
  EXPECT_TRUE(got.ok()) << MessageOf(got.status());
  return std::get<Message>(*got);
}
std::string ErrorOf(const v1::AgentMessage& message) {
  return MessageOf(FromProto(v1::AgentMessage(message)).status());
}
std::string ErrorOf(const v1::ControllerMessage& message) {
  return MessageOf(FromProto(v1::ControllerMessage(message)).status());
}

TEST(Convert, AgentMessagesComeBackAsTheyWent) {
  const auto hello = Back<Hello>(Hello{.schedule_version = 1,
                                       .agent = AgentId("a"),
                                       .incarnation = Incarnation(UINT64_MAX),
                                       .loops = 2,
                                       .rate_ceiling = 5'000'000'000,
                                       .labels = {{"zone", "a"}},
                                       .held = {{RunId("r"), 3, 9, true, RunTime(-2s)}}});
  EXPECT_EQ(hello.incarnation, Incarnation(UINT64_MAX));
  EXPECT_EQ(hello.labels.at("zone"), "a");
  EXPECT_EQ(hello.held.at(0).stop_end, RunTime(-2s));
  EXPECT_EQ(Back<Heartbeat>(Heartbeat{Instant(5s), RunId("r"), 3}).sent, Instant(5s));
  EXPECT_EQ(Back<Prepared>(Prepared{RunId("r"), "no", {"w"}}).warnings,
            std::vector<std::string>{"w"});
  EXPECT_EQ(Back<SnapshotEnvelope>(SnapshotEnvelope{.sequence = 7, .body = "x"}).body, "x");
  Back<Drain>(Drain{});
}

TEST(Convert, ControllerMessagesComeBackAsTheyWent) {
  const rate::Segment segment{.id = SegmentId(2),
                              .phase = PhaseIndex(1),
                              .start = RunTime(3s),
                              .length = 4s,
                              .kind = rate::ArrivalKind::kPoisson,
                              .seed = UINT64_MAX,
                              .knots = {{0s, 1}, {4s, 2'000'000}},
                              .mix = {{TargetIndex(0), 3}, {TargetIndex(1), 1}}};
  const rate::Deal deal{
      ShardEpoch(2), 7, {Incarnation(1), Incarnation(2)}, {0, 1, rate::Deal::kNobody}};
  EXPECT_EQ(std::get<rate::Segment>(BackAtAgent<Entry>(Entry{RunId("r"), 1, segment}).what),
            segment);
  EXPECT_EQ(std::get<rate::Deal>(BackAtAgent<Entry>(Entry{RunId("r"), 2, deal}).what), deal);
  const auto grant = BackAtAgent<Grant>(Grant{9, RunId("r"), ShardEpoch(2), -1, 3, Instant(8s)});
  EXPECT_EQ(grant.last, -1);
  EXPECT_EQ(grant.asked, Instant(8s));
  EXPECT_EQ(BackAtAgent<Stop>(Stop{RunId("r"), RunTime(4s), "guard", 9}).end, RunTime(4s));
  EXPECT_EQ(
      BackAtAgent<SnapshotAck>(SnapshotAck{RunId("r"), Incarnation(1), {1, 2}}).sequences.size(),
      2u);
  EXPECT_EQ(BackAtAgent<Assignment>(Assignment{.share = 0.25}).share, 0.25);
  EXPECT_EQ(BackAtAgent<Start>(Start{RunId("r"), Instant(1s), "boot"}).boot_id, "boot");
}

TEST(Convert, AStoredEntryComesBack) {
  const Entry entry{RunId("r"), 5, rate::Deal{ShardEpoch(1), 0, {Incarnation(3)}, {0}}};
  const StatusOr<Entry> got = UnpackEntry(PackEntry(entry));
  ASSERT_TRUE(got.ok());
  EXPECT_EQ(std::get<rate::Deal>(got->what), std::get<rate::Deal>(entry.what));
  EXPECT_EQ(MessageOf(UnpackEntry("\xff\xff").status()), "a stored schedule entry cannot be read");
}

TEST(Convert, NamesTheFieldOfAHostileMessage) {
  v1::AgentMessage agent;
  EXPECT_EQ(ErrorOf(agent),
            "a message of a kind this version does not know; install the same release on both");
  agent.mutable_hello()->set_incarnation(1);
  EXPECT_EQ(ErrorOf(agent), "hello.agent_id is empty; give the agent a name");
  agent.mutable_hello()->set_agent_id(std::string(300, 'a'));
  EXPECT_EQ(ErrorOf(agent), "hello.agent_id has 300 bytes; allowed are 256");
  agent.mutable_hello()->set_agent_id("a");
  agent.mutable_hello()->set_incarnation(0);
  EXPECT_EQ(ErrorOf(agent),
            "hello.incarnation is 0; write random bits, another number at every start");

  v1::ControllerMessage controller;
  v1::Entry* entry = controller.mutable_entry();
  EXPECT_EQ(ErrorOf(controller), "entry.number is 0; entries count from 1");
  entry->set_number(4);
  EXPECT_EQ(ErrorOf(controller), "entry 4 is of a kind this version does not know");
  entry->mutable_deal();
  EXPECT_EQ(ErrorOf(controller), "deal has no slots, or more than allowed");
  entry->mutable_deal()->add_slots(2);
  EXPECT_EQ(ErrorOf(controller), "deal.slots holds 2, which is no owner");
  entry->mutable_segment()->set_kind(static_cast<v1::Segment::Kind>(9));
  EXPECT_EQ(ErrorOf(controller), "segment.kind 9 is not known to this version");
}

}  // namespace
}  // namespace broadside::wire
