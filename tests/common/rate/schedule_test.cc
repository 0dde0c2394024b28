#include "common/rate/schedule.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "common/rate/profile.h"
#include "tests/common/rate/random_schedule.h"

namespace broadside::rate {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

RunTime At(Nanos ns) { return RunTime(ns); }

std::string ErrorOf(const Segment& segment,
                    std::shared_ptr<const std::vector<int64_t>> list = nullptr) {
  const auto made = CompiledSegment::Make(segment, std::move(list));
  return made.ok() ? "" : MessageOf(made.status());
}

Segment Steady(int64_t per_second, Nanos length) {
  Segment segment{
      .id = SegmentId(3), .phase = PhaseIndex(2), .start = At(seconds(5)), .length = length};
  segment.knots = ConstantKnots(per_second * kMicroPerUnit, length);
  segment.mix = {{TargetIndex(0), 1}};
  return segment;
}

TEST(CompiledSegmentTest, SteadyRateByHand) {
  const auto segment = CompiledSegment::Make(Steady(3, seconds(2))).value();
  ASSERT_EQ(segment->Count(), 6u);
  EXPECT_EQ(segment->Due(0), At(seconds(5)));
  EXPECT_EQ(segment->Due(1), At(seconds(5) + Nanos(333'333'334)));  // least t with 3t ≥ 1
  EXPECT_EQ(segment->Due(3), At(seconds(6)));
  EXPECT_EQ(segment->CountBefore(At(seconds(5))), 0u);
  EXPECT_EQ(segment->CountBefore(At(seconds(5) + Nanos(1))), 1u);
  EXPECT_EQ(segment->CountBefore(At(seconds(6))), 3u);
  EXPECT_EQ(segment->CountBefore(At(seconds(6) + Nanos(1))), 4u);
  EXPECT_EQ(segment->CountBefore(At(seconds(1))), 0u);
  EXPECT_EQ(segment->CountBefore(At(seconds(99))), 6u);
  EXPECT_EQ(segment->At(4), (Arrival{.segment = SegmentId(3),
                                     .index = 4,
                                     .phase = PhaseIndex(2),
                                     .due = At(seconds(6) + Nanos(333'333'334))}));
}

TEST(CompiledSegmentTest, RampByHand) {
  Segment ramp = Steady(0, seconds(10));
  ramp.start = At(seconds(0));
  ramp.knots = RampKnots(0, 10 * kMicroPerUnit, seconds(10));
  const auto segment = CompiledSegment::Make(ramp).value();  // Λ(t) = t²/2
  EXPECT_EQ(segment->Count(), 50u);
  EXPECT_EQ(segment->Due(2), At(seconds(2)));
  EXPECT_EQ(segment->Due(8), At(seconds(4)));
  EXPECT_EQ(segment->Due(32), At(seconds(8)));
  EXPECT_EQ(segment->Due(1), At(Nanos(1'414'213'563)));  // √2 s, rounded up
}

TEST(CompiledSegmentTest, NothingIsDueWithoutARate) {
  Segment idle = Steady(0, seconds(10));
  idle.mix.clear();
  EXPECT_EQ(CompiledSegment::Make(idle).value()->Count(), 0u);
  idle.kind = ArrivalKind::kPoisson;
  EXPECT_EQ(CompiledSegment::Make(idle).value()->Count(), 0u);
}

TEST(CompiledSegmentTest, TheLongestAndFastestSegmentFits) {
  const auto segment =
      CompiledSegment::Make(Steady(kMaxMicroRate / kMicroPerUnit, kMaxSegmentLength)).value();
  EXPECT_EQ(segment->Count(), 864'000'000'000u);
  EXPECT_EQ(segment->Due(segment->Count() - 1), segment->end() - Nanos(100));
}

TEST(CompiledSegmentTest, BrokenSegmentsAreRefusedByName) {
  Segment segment = Steady(10, seconds(1));
  segment.length = Nanos(0);
  EXPECT_NE(ErrorOf(segment).find("allowed is above 0 and up to 24 h"), std::string::npos);
  segment = Steady(10, kMaxSegmentLength + Nanos(1));
  EXPECT_NE(ErrorOf(segment).find("24 h"), std::string::npos);
  segment = Steady(10, seconds(1));
  segment.knots.back().at = milliseconds(999);
  EXPECT_NE(ErrorOf(segment).find("last knot"), std::string::npos);
  segment = Steady(10, seconds(1));
  segment.knots.front().at = Nanos(1);
  EXPECT_NE(ErrorOf(segment).find("first knot"), std::string::npos);
  segment = Steady(10, seconds(1));
  segment.knots.insert(segment.knots.begin(), {Nanos(0), 5});
  EXPECT_NE(ErrorOf(segment).find("knot 1 is not later"), std::string::npos);
  segment = Steady(10, seconds(1));
  segment.knots[1].rate = kMaxMicroRate + 1;
  EXPECT_NE(ErrorOf(segment).find("knot 1 has a rate of 10000000000001"), std::string::npos);
  segment.knots[1].rate = -1;
  EXPECT_NE(ErrorOf(segment).find("knot 1 has a rate of -1"), std::string::npos);
  segment = Steady(10, seconds(1));
  segment.knots.pop_back();
  EXPECT_NE(ErrorOf(segment).find("two knots"), std::string::npos);
  segment = Steady(10, seconds(1));
  segment.mix.clear();
  EXPECT_NE(ErrorOf(segment).find("mix is empty"), std::string::npos);
  segment.mix = {{TargetIndex(0), 0}};
  EXPECT_NE(ErrorOf(segment).find("weight"), std::string::npos);
  segment.mix = {{TargetIndex(0), uint64_t{1} << 62}, {TargetIndex(1), uint64_t{1} << 62}};
  EXPECT_NE(ErrorOf(segment).find("2^63"), std::string::npos);
  segment = Steady(10'000'000, kMaxSegmentLength);
  segment.kind = ArrivalKind::kPoisson;
  EXPECT_NE(ErrorOf(segment).find("10^11"), std::string::npos);
}

TEST(CompiledSegmentTest, ReplaysKeepTheirRowsAndTheirSpeed) {
  Segment segment = Steady(1, seconds(1));
  segment.kind = ArrivalKind::kList;
  segment.knots.clear();
  segment.replay.speed_num = 3;
  segment.replay.speed_den = 2;
  const auto list = std::make_shared<const std::vector<int64_t>>(
      std::vector<int64_t>{0, 0, 10, 1'499'999'998, 1'499'999'999, 1'500'000'000});
  const auto made = CompiledSegment::Make(segment, list).value();
  ASSERT_EQ(made->Count(), 4u);  // the last two are due at 1 s or after
  EXPECT_EQ(made->Due(1), At(seconds(5)));
  EXPECT_EQ(made->Due(2), At(seconds(5) + Nanos(7)));  // 10 · 2/3, rounded up
  EXPECT_EQ(made->Due(3), At(seconds(6) - Nanos(1)));
  EXPECT_EQ(made->CountBefore(At(seconds(5) + Nanos(7))), 2u);
  EXPECT_EQ(made->CountBefore(At(seconds(5) + Nanos(8))), 3u);
}

TEST(CompiledSegmentTest, BrokenReplaysAreRefusedByName) {
  Segment segment = Steady(1, seconds(1));
  const auto list = [](std::vector<int64_t> t) {
    return std::make_shared<const std::vector<int64_t>>(std::move(t));
  };
  EXPECT_NE(ErrorOf(segment, list({1})).find("only a replay"), std::string::npos);
  segment.kind = ArrivalKind::kList;
  EXPECT_NE(ErrorOf(segment, list({1})).find("no rate profile"), std::string::npos);
  segment.knots.clear();
  EXPECT_NE(ErrorOf(segment).find("needs its recorded instants"), std::string::npos);
  EXPECT_NE(ErrorOf(segment, list({2, 1})).find("never fall"), std::string::npos);
  EXPECT_NE(ErrorOf(segment, list({-1, 1})).find("before 0"), std::string::npos);
  segment.replay.speed_den = 0;
  EXPECT_NE(ErrorOf(segment, list({1})).find("speed"), std::string::npos);
}

/// due(i) is the least t with CountBefore(t + 1 ns) > i, and CountBefore its inverse.
TEST(CompiledSegmentTest, DueAndCountBeforeAreInverse) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 300; ++round) {
    const auto segment = RandomSegment(random, SegmentId(0), RunStart(), 3000);
    const uint64_t count = segment->Count();
    ASSERT_EQ(segment->CountBefore(segment->end()), count);
    RunTime before = segment->segment().start;
    for (uint64_t i = 0; i < count; i += 1 + random() % 40) {
      const RunTime due = segment->Due(i);
      ASSERT_GE(due, before);
      ASSERT_LT(due, segment->end());
      ASSERT_LE(segment->CountBefore(due), i);
      ASSERT_GT(segment->CountBefore(due + Nanos(1)), i);
      before = due;
    }
    for (int k = 0; k < 20 && count > 0; ++k) {
      const RunTime at = segment->segment().start +
                         Nanos(random() % static_cast<uint64_t>(segment->segment().length.count()));
      const uint64_t first = segment->CountBefore(at);
      if (first > 0) {
        ASSERT_LT(segment->Due(first - 1), at);
      }
      if (first < count) {
        ASSERT_GE(segment->Due(first), at);
      }
    }
  }
}

TEST(CompiledSegmentTest, AMovedEndChangesNothingBeforeIt) {
  for (const ArrivalKind kind : {ArrivalKind::kRegular, ArrivalKind::kPoisson}) {
    Segment segment = Steady(777, seconds(3));
    segment.kind = kind;
    const auto made = CompiledSegment::Make(segment).value();
    segment.length = seconds(200);
    segment.knots.back().at = segment.length;
    const auto longer = CompiledSegment::Make(segment).value();
    ASSERT_EQ(longer->CountBefore(made->end()), made->Count());
    for (uint64_t i = 0; i < made->Count(); ++i) ASSERT_EQ(made->At(i), longer->At(i));
  }
}

/// Counts in 1 s windows must have the mean and variance of a Poisson process, gaps its CDF.
TEST(PoissonTest, CountsAndGapsFollowTheDistribution) {
  Segment segment = Steady(100, seconds(2000));
  segment.kind = ArrivalKind::kPoisson;
  segment.seed = 9;
  segment.start = RunStart();
  const auto made = CompiledSegment::Make(segment).value();
  const double windows = 2000;
  double sum = 0;
  double squares = 0;
  for (int64_t k = 0; k < 2000; ++k) {
    const double n = static_cast<double>(made->CountBefore(At(seconds(k + 1))) -
                                         made->CountBefore(At(seconds(k))));
    sum += n;
    squares += n * n;
  }
  const double mean = sum / windows;
  const double variance = squares / windows - mean * mean;
  EXPECT_NEAR(mean, 100, 5 * 10 / std::sqrt(windows));
  EXPECT_NEAR(variance, 100, 5 * 100 * std::sqrt(2 / windows));
  const Deal deal = MakeDeal(ShardEpoch(1), 0, {Incarnation(1), Incarnation(2)}, {1, 3});
  // The owner with a quarter sees a Poisson process of 25/s.
  Stripe stripe(made, deal, Incarnation(1), RunStart(), made->end());
  std::vector<double> gaps;
  for (RunTime last = RunStart(); stripe.Peek() != nullptr; stripe.Pop()) {
    gaps.push_back(static_cast<double>((stripe.Peek()->due - last).count()) * 1e-9);
    last = stripe.Peek()->due;
  }
  std::sort(gaps.begin(), gaps.end());
  double distance = 0;  // Kolmogorov and Smirnov
  for (size_t k = 0; k < gaps.size(); ++k) {
    const double expected = 1 - std::exp(-25 * gaps[k]);
    distance = std::max(
        distance, std::abs(expected - static_cast<double>(k) / static_cast<double>(gaps.size())));
  }
  EXPECT_NEAR(static_cast<double>(gaps.size()), 50'000, 5 * std::sqrt(50'000));
  EXPECT_LT(distance * std::sqrt(static_cast<double>(gaps.size())), 1.95);  // p = 0.001
}

TEST(ProfileTest, ConstantsAndRampsAreTwoKnots) {
  EXPECT_EQ(ConstantKnots(5, seconds(2)), (std::vector<Knot>{{Nanos(0), 5}, {seconds(2), 5}}));
  EXPECT_EQ(RampKnots(1, 9, seconds(2)), (std::vector<Knot>{{Nanos(0), 1}, {seconds(2), 9}}));
  EXPECT_EQ(RampKnots(-1, kMaxMicroRate + 1, seconds(2)),
            (std::vector<Knot>{{Nanos(0), 0}, {seconds(2), kMaxMicroRate}}));
}

TEST(ProfileTest, ASineKeepsItsMeanAndItsLimits) {
  const MicroRate mean = 1000 * kMicroPerUnit;
  const std::vector<Knot> knots = SineKnots(mean, 400 * kMicroPerUnit, seconds(60), seconds(600));
  ASSERT_EQ(knots.size(), 641u);
  EXPECT_EQ(knots.front(), (Knot{Nanos(0), mean}));
  EXPECT_EQ(knots.back(), (Knot{seconds(600), mean}));
  EXPECT_EQ(knots[16], (Knot{seconds(15), 1400 * kMicroPerUnit}));
  EXPECT_EQ(knots[48], (Knot{seconds(45), 600 * kMicroPerUnit}));
  Segment segment = Steady(1, seconds(600));
  segment.knots = knots;
  EXPECT_EQ(CompiledSegment::Make(segment).value()->Count(), 600'000u);
}

TEST(ProfileTest, SinesAreValidSegmentsWhateverTheirShape) {
  for (const int64_t period : {1, 1'000, 999'999'937}) {
    for (const int64_t length : {1, 63, 1'000'000'007}) {
      Segment segment = Steady(1, Nanos(length));
      segment.knots = SineKnots(10, 20, Nanos(period), Nanos(length));
      EXPECT_EQ(ErrorOf(segment), "") << period << " " << length;
      EXPECT_LE(segment.knots.size(), static_cast<size_t>(kMaxSineKnots) + 1);
    }
  }
}

}  // namespace
}  // namespace broadside::rate
