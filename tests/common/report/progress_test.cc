#include "common/report/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/report/format.h"
#include "tests/common/report/sample.h"
#include "tests/golden.h"

namespace broadside::report {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::Not;

std::string Joined(const Progress& progress, const ProgressOptions& options) {
  std::string out = RenderHead(progress, options) + "\n";
  for (const std::string& line : RenderLive(progress, options)) out += line + "\n";
  return out;
}

TEST(Progress, LiveBlock) { ExpectGolden("live.txt", Joined(RunningProgress(), {})); }
TEST(Progress, LiveBlockAscii) {
  ExpectGolden("live.ascii.txt", Joined(RunningProgress(), {.unicode = false}));
}

TEST(Progress, PlainLine) {
  EXPECT_EQ(
      RenderPlainLine(RunningProgress(), {}),
      "05:51/12:10 overload · asked 1,500/s · sent 1,499.8/s · P50 452 ms P99 470 ms (n 4,957) "
      "· lag P99 90.0 µs · ok 66.1 %  limit_near 33.9 % · in flight 449 · 3 agents");
}

TEST(Progress, WaitingSaysForWhat) {
  Progress progress;
  progress.state = "waiting";
  progress.message = "2 agents of the 3 that the plan needs are there";
  EXPECT_EQ(RenderPlainLine(progress, {}),
            "waiting · 2 agents of the 3 that the plan needs are there");
  progress.state = "starting";
  progress.message.clear();
  progress.elapsed_ns = -1'000'000'000;
  EXPECT_EQ(RenderPlainLine(progress, {}), "starting · start in 1.00 s");
  EXPECT_EQ(RenderLive(progress, {}).size(), 1U);
}

TEST(Progress, NoLineIsWiderThanTheTerminal) {
  Progress progress = RunningProgress();
  progress.recent_rates.assign(400, 10.0);
  progress.phases.assign(300, "a-rather-long-name-of-a-phase");
  progress.phase = 150;
  for (const int width : {10, 40, 80}) {
    for (const std::string& line : RenderLive(progress, {.width = width, .colour = true})) {
      EXPECT_LE(DisplayWidth(line), width) << line;
    }
  }
}

TEST(Progress, EmptyOneStillRenders) {
  Progress progress;
  progress.state = "running";
  EXPECT_EQ(RenderLive(progress, {}).size(), RenderLive(RunningProgress(), {}).size());
  EXPECT_THAT(RenderPlainLine(progress, {}), HasSubstr("P50 – P99 –"));
}

TEST(Progress, PlainTextHasNoCodes) {
  EXPECT_THAT(RenderLive(RunningProgress(), {}), Each(Not(HasSubstr("\x1b"))));
  EXPECT_THAT(Joined(RunningProgress(), {.colour = true}), HasSubstr("\x1b"));
}

TEST(Progress, EndStates) {
  for (const char* state : {"completed", "aborted", "cancelled", "failed"}) {
    EXPECT_TRUE(IsEnded(state)) << state;
  }
  for (const char* state : {"waiting", "preparing", "starting", "running", "draining", "closing"}) {
    EXPECT_FALSE(IsEnded(state)) << state;
  }
}

}  // namespace
}  // namespace broadside::report
