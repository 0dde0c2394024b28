#include "controller/merge/summary.h"

#include <gtest/gtest.h>

namespace broadside::merge {
namespace {

TEST(RankInterval95, KnownRanks) {
  const RankInterval ranks = RankInterval95(10'000, 990'000);
  EXPECT_EQ(ranks.low, 9880U);
  EXPECT_EQ(ranks.high, 9921U);
}

TEST(Summarise, TheIntervalOfP99IsEmptyForSmallSamples) {
  stats::Histogram small, large;
  for (int64_t i = 1; i <= 100; ++i) small.Record(i * 1000);
  for (int64_t i = 1; i <= 10'000; ++i) large.Record(i);
  EXPECT_EQ(Summarise(small).p99_low, std::nullopt);
  EXPECT_EQ(Summarise(small).p99_high, std::nullopt);
  const report::Summary summary = Summarise(large);
  EXPECT_EQ(summary.p99_low, stats::SlotHigh(stats::SlotOf(9880)));
  EXPECT_EQ(summary.p99_high, stats::SlotHigh(stats::SlotOf(9921)));
  EXPECT_EQ(summary.mean, 5001);
  EXPECT_EQ(summary.min, 1);
  EXPECT_EQ(summary.max, 10'000);
  const report::Summary censored = Summarise(large, 100);
  EXPECT_TRUE(censored.p99_low.has_value());
  EXPECT_EQ(censored.p99_high, std::nullopt) << "the upper end was not answered";
}

TEST(MakeBars, HoldEveryValueOnceWithoutGaps) {
  EXPECT_TRUE(MakeBars(stats::Histogram()).empty());
  for (const int64_t spread : {1, 2, 10, 5'000, 1'000'000'000}) {
    stats::Histogram histogram;
    for (int64_t i = 0; i < 1000; ++i) histogram.Record(10'000'000 + i * spread / 1000);
    const std::vector<report::Bar> bars = MakeBars(histogram);
    ASSERT_FALSE(bars.empty());
    EXPECT_LE(bars.size(), 12U);
    EXPECT_EQ(bars.front().low, histogram.exact().min);
    EXPECT_EQ(bars.back().high, histogram.exact().max);
    uint64_t sum = 0;
    for (size_t i = 0; i < bars.size(); ++i) {
      sum += bars[i].count;
      if (i > 0) {
        EXPECT_EQ(bars[i].low, bars[i - 1].high + 1);
      }
    }
    EXPECT_EQ(sum, histogram.n()) << spread;
  }
  stats::Histogram zero;
  zero.Record(0, 5);
  ASSERT_EQ(MakeBars(zero).size(), 1U);
  EXPECT_EQ(MakeBars(zero)[0].count, 5U);
}

}  // namespace
}  // namespace broadside::merge
