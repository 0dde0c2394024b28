#include "tests/target/latency.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace broadside::target {
namespace {

using std::chrono::milliseconds;

std::vector<Nanos> DrawSorted(const std::string& text, int count) {
  const StatusOr<Latency> latency = Latency::Parse(text);
  EXPECT_TRUE(latency.ok()) << text;
  Random random(7);
  std::vector<Nanos> values;
  for (int i = 0; i < count; ++i) values.push_back(latency->Draw(random));
  std::sort(values.begin(), values.end());
  return values;
}

TEST(Latency, DrawsEachDistribution) {
  EXPECT_EQ(DrawSorted("40ms", 3).back(), milliseconds(40));
  EXPECT_EQ(DrawSorted("fixed:1.5s", 3).front(), milliseconds(1500));

  const auto uniform = DrawSorted("uniform:10ms..20ms", 10'000);
  EXPECT_GE(uniform.front(), milliseconds(10));
  EXPECT_LE(uniform.back(), milliseconds(20));
  EXPECT_NEAR(static_cast<double>(uniform[5'000].count()), 15e6, 0.3e6);

  // A lognormal's P84.13 is its median times e^sigma.
  const auto lognormal = DrawSorted("lognormal:40ms,0.5", 20'000);
  EXPECT_NEAR(static_cast<double>(lognormal[10'000].count()), 40e6, 1.2e6);
  EXPECT_NEAR(static_cast<double>(lognormal[16'827].count()), 40e6 * 1.6487, 3e6);

  const auto exponential = DrawSorted("exponential:10ms", 20'000);
  EXPECT_NEAR(static_cast<double>(exponential[10'000].count()), 10e6 * 0.6931, 0.4e6);

  const auto bimodal = DrawSorted("bimodal:5ms,80ms,0.1", 10'000);
  EXPECT_EQ(bimodal.front(), milliseconds(5));
  const auto slow = std::count(bimodal.begin(), bimodal.end(), Nanos(milliseconds(80)));
  EXPECT_NEAR(static_cast<double>(slow), 1'000, 120);
}

TEST(Latency, SameSeedSameSequence) {
  EXPECT_EQ(DrawSorted("lognormal:40ms,0.5", 100), DrawSorted("lognormal:40ms,0.5", 100));
}

TEST(Latency, RefusesNonsense) {
  for (const char* text :
       {"", "40", "fast", "uniform:20ms..10ms", "uniform:1ms", "lognormal:1ms", "lognormal:1ms,-1",
        "bimodal:1ms,2ms", "bimodal:1ms,2ms,2", "x:1ms", "-1ms", "2h"}) {
    EXPECT_FALSE(Latency::Parse(text).ok()) << text;
  }
}

}  // namespace
}  // namespace broadside::target
