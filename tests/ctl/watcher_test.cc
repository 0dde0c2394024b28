#include "ctl/watcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/ctl/fake.h"

namespace broadside::ctl {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

size_t Count(const std::string& text, const std::string& what) {
  size_t count = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++count;
  return count;
}

StatusOr<Watcher::End> Follow(World& world, Watcher::Options options) {
  FakeClient client(world.controller);
  Watcher watcher(world.env, client, options);
  auto end = watcher.Follow("7f3a2c");
  world.err = world.err_stream.str();
  return end;
}

TEST(Watcher, FollowsUntilClosed) {
  World world;
  world.controller.streams = {ShortRun()};
  const auto end = Follow(world, {});
  ASSERT_TRUE(end.ok());
  EXPECT_EQ(*end, Watcher::End::kClosed);
  EXPECT_EQ(
      world.err,
      "run 7f3a2c · demo · 2 agents (a, b) · seed 0\n"
      "00:01/00:10 hold · asked 100/s · sent 100/s · P50 – P99 – (n 0) · lag P99 – · none yet · "
      "in flight 0 · 2 agents\n"
      "completed\n");
  EXPECT_THAT(world.err, Not(HasSubstr("\x1b")));
}

TEST(Watcher, APipeGetsALineASecond) {
  World world;
  FakeController::Stream stream;
  for (int i = 1; i <= 40; ++i) stream.messages.push_back(At("running", i * 100));
  world.controller.streams = {stream};
  ASSERT_TRUE(Follow(world, {}).ok());
  EXPECT_EQ(Count(world.err, "hold"), 5U) << world.err;
}

TEST(Watcher, ATerminalGetsABlockRedrawnInPlace) {
  World world;
  world.env.err_terminal = true;
  world.controller.streams = {
      {{At("running", 1000), At("running", 2000), At("running", 3000)}, absl::OkStatus()}};
  ASSERT_TRUE(Follow(world, {}).ok());
  EXPECT_EQ(Count(world.err, "\x1b[5A\r\x1b[J"), 2U) << world.err;
  EXPECT_EQ(Count(world.err, "run 7f3a2c"), 1U);
}

TEST(Watcher, CtrlCOnceCancelsAndStaysForTheReport) {
  World world;
  world.controller.streams = {{{At("running", 1000), At("running", 2000), At("draining", 3000),
                                At("cancelled", 4000, true)},
                               absl::OkStatus(),
                               [&world](size_t i) { world.interrupts = i >= 1 ? 1 : 0; }}};
  const auto end = Follow(world, {.cancels = true});
  ASSERT_TRUE(end.ok());
  EXPECT_EQ(*end, Watcher::End::kClosed);
  EXPECT_EQ(world.controller.stopped, std::vector<std::string>{"7f3a2c"});
  EXPECT_EQ(world.controller.reasons, std::vector<std::string>{"cancelled by ann@lab"});
  EXPECT_EQ(Count(world.err,
                  "cancelling: agents fall silent within 3 s; press again to leave at once; the "
                  "cancel stands\n"),
            1U);
}

TEST(Watcher, CtrlCTwiceLeavesAtOnceAndTheCancelStands) {
  World world;
  world.controller.streams = {
      {{At("running", 1000), At("running", 2000), At("running", 3000), At("running", 4000)},
       absl::OkStatus(),
       [&world](size_t i) { world.interrupts = static_cast<int>(i); }}};
  const auto end = Follow(world, {.cancels = true});
  ASSERT_TRUE(end.ok());
  EXPECT_EQ(*end, Watcher::End::kLeft);
  EXPECT_EQ(world.controller.stopped.size(), 1U);
}

TEST(Watcher, TwoPressesBetweenTicksStillCancelFirst) {
  World world;
  world.interrupts = 2;
  world.controller.streams = {ShortRun()};
  const auto end = Follow(world, {.cancels = true});
  ASSERT_TRUE(end.ok());
  EXPECT_EQ(*end, Watcher::End::kLeft);
  EXPECT_EQ(world.controller.stopped.size(), 1U);
}

TEST(Watcher, ACancelThatDoesNotArriveIsTriedAgain) {
  World world;
  world.interrupts = 1;
  world.controller.stop = Unavailable("connection refused");
  world.controller.streams = {
      {{At("running", 1000), At("running", 2000), At("running", 3000), At("cancelled", 3500, true)},
       absl::OkStatus(),
       [&world](size_t i) {
         if (i == 2) world.controller.stop = absl::OkStatus();
       }}};
  ASSERT_TRUE(Follow(world, {.cancels = true}).ok());
  EXPECT_EQ(world.controller.stopped.size(), 3U);
  EXPECT_EQ(Count(world.err,
                  "the cancel did not reach the controller (connection refused); trying "
                  "again\n"),
            1U)
      << world.err;
}

TEST(Watcher, LeavingWithACancelThatDidNotArriveSaysSo) {
  World world;
  world.interrupts = 2;
  world.controller.stop = Unavailable("connection refused");
  world.controller.streams = {ShortRun()};
  ASSERT_TRUE(Follow(world, {.cancels = true}).ok());
  EXPECT_THAT(world.err, HasSubstr("it does not stand; ctl stop 7f3a2c"));
}

TEST(Watcher, WatchingOnlyLeaves) {
  World world;
  world.interrupts = 1;
  world.controller.streams = {ShortRun()};
  const auto end = Follow(world, {});
  ASSERT_TRUE(end.ok());
  EXPECT_EQ(*end, Watcher::End::kLeft);
  EXPECT_TRUE(world.controller.stopped.empty());
  EXPECT_EQ(world.err, "left; the run goes on (ctl watch 7f3a2c, ctl stop 7f3a2c)\n");
}

TEST(Watcher, AControllerThatComesBackIsFollowedOn) {
  World world;
  world.controller.streams = {
      {{At("running", 1000)}, Unavailable("gone")}, {{}, Unavailable("gone")}, ShortRun()};
  const auto end = Follow(world, {});
  ASSERT_TRUE(end.ok());
  EXPECT_EQ(*end, Watcher::End::kClosed);
  EXPECT_EQ(world.controller.watched.size(), 3U);
  EXPECT_EQ(world.sleeps, 2);
  EXPECT_EQ(Count(world.err, "lost the controller (gone); trying again\n"), 1U);
}

TEST(Watcher, AControllerThatStaysAwayIsGivenUp) {
  World world;
  world.controller.streams = {{{}, Unavailable("gone")}};
  const auto end = Follow(world, {});
  ASSERT_FALSE(end.ok());
  EXPECT_TRUE(absl::IsUnavailable(end.status()));
  EXPECT_EQ(MessageOf(end.status()), "gone (the run may go on: ctl watch 7f3a2c)");
  EXPECT_EQ(world.sleeps, 60);
}

TEST(Watcher, AnUnknownRunIsNotTriedAgain) {
  World world;
  world.controller.streams = {{{}, NotFound("no run 7f3a2c")}};
  const auto end = Follow(world, {});
  ASSERT_FALSE(end.ok());
  EXPECT_EQ(world.controller.watched.size(), 1U);
  EXPECT_THAT(MessageOf(end.status()), StartsWith("no run 7f3a2c"));
}

TEST(Watcher, AChildThatDiesEndsIt) {
  World world;
  Status check;
  int stops = 0, kills = 0;
  FakeCluster cluster(stops, kills, check);
  world.controller.streams = {{{At("running", 1000), At("running", 2000), At("running", 3000)},
                               absl::OkStatus(),
                               [&check](size_t i) {
                                 if (i == 1) check = Internal("the local agent-1 ended early");
                               }}};
  const auto end = Follow(world, {.cancels = true, .cluster = &cluster});
  ASSERT_FALSE(end.ok());
  EXPECT_EQ(MessageOf(end.status()), "the local agent-1 ended early");
}

}  // namespace
}  // namespace broadside::ctl
