#include "controller/merge/phases.h"

#include <gtest/gtest.h>

#include "tests/controller/merge/fleet.h"

namespace broadside::merge {
namespace {

constexpr plan::MicroRate Rate(int64_t per_second) { return per_second * rate::kMicroPerUnit; }

TEST(IsMeasured, FollowsTheDefaultScope) {
  const auto measured = [](plan::Load load, bool measure = true) {
    plan::Phase phase;
    phase.load = std::move(load);
    phase.measure = measure;
    return plan::IsMeasured(phase);
  };
  EXPECT_TRUE(measured(plan::ConstantLoad{Rate(5)}));
  EXPECT_FALSE(measured(plan::ConstantLoad{Rate(5)}, false));
  EXPECT_FALSE(measured(plan::IdleLoad{}));
  EXPECT_FALSE(measured(plan::SearchLoad{}));
  EXPECT_TRUE(measured(plan::ConstantLoad{plan::RateOfSearch{1'000'000, "g", "", "held"}}));
  EXPECT_FALSE(measured(plan::ConstantLoad{plan::RateOfSearch{1'500'000, "g", "", "held"}}));
  EXPECT_FALSE(measured(
      plan::RatesLoad{{{"x", Rate(1)}, {"y", plan::RateOfSearch{1'100'000, "g", "", "held"}}}}));
}

TEST(AskedText, OfEveryKindOfLoad) {
  const auto text = [](plan::Load load) {
    plan::Phase phase;
    phase.load = std::move(load);
    return AskedText(phase);
  };
  EXPECT_EQ(text(plan::ConstantLoad{Rate(1500)}), "1,500/s");
  EXPECT_EQ(text(plan::ConstantLoad{plan::RateOfSearch{1'500'000, "cap", "y", "peak"}}),
            "150 % of cap.y.peak");
  EXPECT_EQ(text(plan::RampLoad{Rate(50), Rate(1000)}), "50.0/s → 1,000/s");
  EXPECT_EQ(text(plan::StepsLoad{Rate(100), Rate(500), Rate(100), Nanos(1)}),
            "100/s … 500/s by 100/s");
  plan::Phase steps;
  steps.load = plan::StepsLoad{Rate(500), Rate(100), Rate(100), Nanos(1)};
  EXPECT_EQ(AskedText(steps, 1), "400/s");
  EXPECT_EQ(text(plan::SineLoad{Rate(500), Rate(200), Nanos(1)}), "500/s ± 200/s");
  EXPECT_EQ(text(plan::RatesLoad{{{"x", Rate(300)}, {"y", Rate(500)}}}), "x 300/s, y 500/s");
  EXPECT_EQ(text(plan::ReplayLoad{"a.csv", "csv", 1, 1}), "replay of a.csv");
  EXPECT_EQ(text(plan::ConcurrencyLoad{32}), "32 at once");
  EXPECT_EQ(text(plan::IdleLoad{}), "idle");
}

TEST(Phases, SpansAreCutAtAStop) {
  const auto plan = testing::MakePlan();
  const Segments segments = testing::MakeSegments(*plan);
  EXPECT_EQ(ScheduleEnd(segments, std::nullopt), RunTime(std::chrono::seconds(10)));
  const RunTime end = ScheduleEnd(segments, RunTime(std::chrono::seconds(4)));
  const std::vector<PhaseSpan> spans = PhaseSpans(plan->phases.size(), segments, end);
  EXPECT_EQ(spans[0].length(), Nanos(std::chrono::seconds(2)));
  EXPECT_EQ(spans[1].length(), Nanos(std::chrono::seconds(2)));
  EXPECT_EQ(spans[2].length(), Nanos(0));
  EXPECT_EQ(*AskedMean(segments, PhaseIndex(1), end), 400);
  EXPECT_EQ(AskedMean(segments, PhaseIndex(2), end), std::nullopt);
}

TEST(Phases, AskedMeanOfARampCutHalfWay) {
  rate::Segment segment;
  segment.length = std::chrono::seconds(10);
  segment.knots = rate::RampKnots(0, Rate(1000), segment.length);
  segment.mix = {{TargetIndex(0), 1}};
  const Segments segments = {*rate::CompiledSegment::Make(segment)};
  EXPECT_NEAR(*AskedMean(segments, PhaseIndex(0), RunTime(std::chrono::seconds(10))), 500, 1e-6);
  EXPECT_NEAR(*AskedMean(segments, PhaseIndex(0), RunTime(std::chrono::seconds(5))), 250, 1e-6);
}

TEST(Phases, CountsComeFromTheSchedule) {
  for (const bool poisson : {false, true}) {
    const auto plan = testing::MakePlan();
    const Segments segments = testing::MakeSegments(*plan, poisson);
    const RunTime end(std::chrono::milliseconds(5500));
    std::map<Row, uint64_t> brute;
    uint64_t due = 0;
    for (const auto& segment : segments) {
      for (uint64_t i = 0; i < segment->Count(); ++i) {
        const rate::Arrival arrival = segment->At(i);
        if (arrival.due < end) ++brute[{arrival.phase, arrival.target}];
        if (arrival.due >= RunTime(std::chrono::seconds(1)) && arrival.due < end) ++due;
      }
    }
    EXPECT_EQ(CountScheduled(segments, end), brute);
    EXPECT_EQ(CountDue(segments, RunTime(std::chrono::seconds(1)), end), due);
  }
}

}  // namespace
}  // namespace broadside::merge
