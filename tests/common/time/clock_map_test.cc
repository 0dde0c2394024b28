#include "common/time/clock_map.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

namespace broadside {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

Instant Local(Nanos at) { return Instant(at); }
RunTime OnRun(Nanos at) { return RunTime(at); }
Nanos Size(Nanos x) { return x < Nanos(0) ? -x : x; }

/// The controller's clock as this host's clock sees it: an offset that drifts.
struct Remote {
  Nanos offset;
  int64_t ppm = 0;
  Instant At(Instant local) const {
    return local + offset + Nanos(local.time_since_epoch().count() / 1'000'000 * ppm);
  }
};

void Exchange(ClockMap& map, const Remote& remote, Instant sent, Nanos there, Nanos back) {
  const Instant arrived = sent + there;
  const Instant answered = arrived + microseconds(20);
  map.AddSample(sent, remote.At(arrived), remote.At(answered), answered + back);
}

TEST(ClockFitTest, LocalAtIsTheLeastInverse) {
  for (const int32_t ppm : {-500, -7, 0, 7, 500}) {
    for (const int64_t total : {0, 1, 3, 250, 100'000}) {
      const ClockFit fit{.local_at = Local(seconds(7)),
                         .run_at = OnRun(seconds(2)),
                         .slew_ppm = total == 0 ? 0 : ppm,
                         .slew_total = Nanos(ppm < 0 ? -total : total) * (ppm != 0)};
      for (int64_t d : {-5'000, -1, 0, 1, 1999, 2000, 2001, 4001, 499'999, 500'000, 500'501,
                        199'999'999, 200'000'000, 200'100'001, 999'999'999}) {
        const RunTime run = fit.run_at + Nanos(d);
        const Instant local = fit.LocalAt(run);
        EXPECT_GE(fit.RunAt(local), run) << ppm << " " << total << " " << d;
        EXPECT_LT(fit.RunAt(local - Nanos(1)), run) << ppm << " " << total << " " << d;
      }
    }
  }
}

TEST(ClockFitTest, SlewEndsAtItsTotal) {
  const ClockFit fit{.slew_ppm = 500, .slew_total = microseconds(50)};
  EXPECT_EQ(fit.RunAt(Local(milliseconds(50))), OnRun(milliseconds(50) + microseconds(25)));
  EXPECT_EQ(fit.RunAt(Local(milliseconds(100))), OnRun(milliseconds(100) + microseconds(50)));
  EXPECT_EQ(fit.RunAt(Local(seconds(100))), OnRun(seconds(100) + microseconds(50)));
  EXPECT_EQ(fit.RunAt(Local(-seconds(1))), OnRun(-seconds(1)));
}

TEST(ClockMapTest, SymmetricDelaysGiveTheOffsetExactly) {
  ClockMap map;
  EXPECT_FALSE(map.ready());
  EXPECT_EQ(map.Bound(Local(seconds(1))), Nanos::max());
  const Remote remote{.offset = -seconds(1000)};
  Exchange(map, remote, Local(seconds(5000)), microseconds(300), microseconds(300));
  ASSERT_TRUE(map.ready());
  map.SetStart(Local(seconds(3990)));
  const ClockFit fit = map.Fit(Local(seconds(5001)));
  EXPECT_EQ(fit.RunAt(Local(seconds(5001))), OnRun(seconds(11)));
  EXPECT_EQ(fit.LocalAt(OnRun(seconds(20))), Local(seconds(5010)));
  EXPECT_EQ(map.Bound(Local(seconds(5001))), microseconds(300) + milliseconds(1));
  EXPECT_EQ(map.PendingSlew(Local(seconds(5001))), Nanos(0));
}

TEST(ClockMapTest, ImpossibleSamplesAreIgnored) {
  ClockMap map;
  map.AddSample(Local(seconds(1)), Local(seconds(2)), Local(seconds(4)), Local(seconds(2)));
  map.AddSample(Local(seconds(3)), Local(seconds(2)), Local(seconds(2)), Local(seconds(2)));
  EXPECT_FALSE(map.ready());
}

TEST(ClockMapTest, AQuickSampleRulesUntilItsAgeCostsMore) {
  ClockMap map;
  const Remote remote{.offset = seconds(9)};
  Exchange(map, remote, Local(seconds(100)), microseconds(100), microseconds(100));
  Exchange(map, remote, Local(seconds(101)), milliseconds(10), Nanos(0));
  // 0.1 ms + 1 ms of age beat 5 ms.
  EXPECT_EQ(map.Bound(Local(seconds(102))), microseconds(100) + milliseconds(2));
  Exchange(map, remote, Local(seconds(107)), milliseconds(10), Nanos(0));
  EXPECT_EQ(map.Bound(Local(seconds(108))), milliseconds(5) + milliseconds(1));
}

TEST(ClockMapTest, ASampleLivesSixtySecondsUnlessItIsTheLast) {
  ClockMap map;
  const Remote remote{.offset = seconds(9)};
  Exchange(map, remote, Local(seconds(100)), microseconds(100), microseconds(100));
  EXPECT_EQ(map.Bound(Local(seconds(200))), microseconds(100) + milliseconds(100));
  Exchange(map, remote, Local(seconds(150)), milliseconds(400), milliseconds(400));
  EXPECT_EQ(map.Bound(Local(seconds(151))), microseconds(100) + milliseconds(51));
  Exchange(map, remote, Local(seconds(161)), milliseconds(500), milliseconds(500));
  EXPECT_EQ(map.Bound(Local(seconds(170))), milliseconds(400) + milliseconds(20));
}

TEST(ClockMapTest, ACorrectionIsSlewedNotStepped) {
  ClockMap map;
  map.SetStart(Local(seconds(0)));
  Remote remote{.offset = Nanos(0)};
  Exchange(map, remote, Local(seconds(1)), milliseconds(4), Nanos(0));  // reads 2 ms too far
  map.Fit(Local(seconds(2)));
  Exchange(map, remote, Local(seconds(2)), microseconds(10), microseconds(10));
  EXPECT_EQ(map.PendingSlew(Local(seconds(3))), -milliseconds(2));
  const ClockFit fit = map.Fit(Local(seconds(3)));
  EXPECT_EQ(fit.RunAt(Local(seconds(3))), OnRun(seconds(3) + milliseconds(2)));
  EXPECT_EQ(fit.RunAt(Local(seconds(5))), OnRun(seconds(5) + milliseconds(1)));
  EXPECT_EQ(fit.RunAt(Local(seconds(7))), OnRun(seconds(7)));
  EXPECT_EQ(map.PendingSlew(Local(seconds(5))), -milliseconds(1));
}

TEST(ClockMapTest, AnotherT0StartsAfresh) {
  ClockMap map;
  const Remote remote{.offset = Nanos(0)};
  Exchange(map, remote, Local(seconds(1)), Nanos(0), Nanos(0));
  map.SetStart(Local(seconds(0)));
  EXPECT_EQ(map.Fit(Local(seconds(2))).RunAt(Local(seconds(2))), OnRun(seconds(2)));
  map.SetStart(Local(seconds(0)));
  map.SetStart(Local(seconds(10)));
  EXPECT_EQ(map.Fit(Local(seconds(3))).RunAt(Local(seconds(3))), OnRun(-seconds(7)));
}

TEST(ClockMapTest, AnotherRemoteClockDoesNotStep) {
  ClockMap map;
  Exchange(map, {.offset = Nanos(0)}, Local(seconds(1)), Nanos(0), Nanos(0));
  map.SetStart(Local(seconds(0)));
  map.Fit(Local(seconds(2)));
  map.ChangeRemote(Local(-seconds(500)));
  EXPECT_FALSE(map.ready());
  EXPECT_EQ(map.Fit(Local(seconds(3))).RunAt(Local(seconds(3))), OnRun(seconds(3)));
  // On the new clock T0 was 1 ms later than the old map has it.
  Exchange(map, {.offset = -seconds(500) - milliseconds(1)}, Local(seconds(4)), Nanos(0), Nanos(0));
  const ClockFit fit = map.Fit(Local(seconds(5)));
  EXPECT_EQ(fit.RunAt(Local(seconds(5))), OnRun(seconds(5)));
  EXPECT_EQ(fit.RunAt(Local(seconds(7))), OnRun(seconds(7) - milliseconds(1)));
}

/// Random drifts, delays and heartbeats: never a step, at most 500 ppm, the error always bounded.
TEST(ClockMapTest, TheErrorStaysWithinTheBound) {
  std::mt19937_64 random(3);
  const auto pick = [&](int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(random);
  };
  for (int round = 0; round < 200; ++round) {
    const Remote remote{.offset = Nanos(pick(-1'000'000'000'000, 1'000'000'000'000)),
                        .ppm = pick(-999, 999)};
    const int64_t jitter = pick(1, 50'000'000);
    const Instant t0 = remote.At(Local(seconds(100)));
    ClockMap map;
    ClockFit fit;
    Instant now = Local(seconds(90));
    RunTime last_run{};
    bool first = true;
    for (int beat = 0; beat < 100; ++beat) {
      const Nanos there(pick(0, jitter));
      const Nanos back(pick(0, jitter));
      Exchange(map, remote, now, there, back);
      now += there + back + microseconds(20);
      map.SetStart(t0);
      const RunTime before = fit.RunAt(now);
      fit = map.Fit(now);
      if (!first) {
        ASSERT_EQ(fit.RunAt(now), before) << "the map stepped";
      }
      first = false;
      for (int look = 0; look < 5; ++look) {
        const Instant then = now;
        last_run = fit.RunAt(then);
        now += Nanos(pick(1, 400'000'000));
        const Nanos local = now - then;
        const Nanos run = fit.RunAt(now) - last_run;
        ASSERT_LE(Size(run - local), local / 2000 + Nanos(1));
        const Nanos error = fit.RunAt(now) - RunTime(remote.At(now) - t0);
        // One ns for each halving, and 1 µs because the simulated drift moves in such steps.
        ASSERT_LE(Size(error), map.Bound(now) + Size(map.PendingSlew(now)) + microseconds(2));
      }
    }
  }
}

}  // namespace
}  // namespace broadside
