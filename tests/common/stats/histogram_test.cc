#include "common/stats/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace broadside::stats {
namespace {

/// Log-uniform over the whole range, so that every bucket is hit.
std::vector<int64_t> DrawValues(uint64_t seed, size_t count) {
  std::mt19937_64 random(seed);
  std::vector<int64_t> values(count);
  for (int64_t& value : values) {
    const auto bits = static_cast<int>(random() % 42);
    value = static_cast<int64_t>(random() % (uint64_t{1} << bits | 1));
    value = std::min(value, kHighest);
  }
  return values;
}

Histogram Of(const std::vector<int64_t>& values) {
  Histogram histogram;
  for (const int64_t value : values) histogram.Record(value);
  return histogram;
}

TEST(Slots, KnownIndices) {
  EXPECT_EQ(SlotOf(0), 0);
  EXPECT_EQ(SlotOf(1), 1);
  EXPECT_EQ(SlotOf(2047), 2047);
  EXPECT_EQ(SlotOf(2048), 2048);
  EXPECT_EQ(SlotOf(2049), 2048);
  EXPECT_EQ(SlotOf(1'000'000), 11'169);
  EXPECT_EQ(SlotHigh(SlotOf(1'000'000)), 1'000'447);
  EXPECT_EQ(SlotHigh(SlotOf(kHighest)), 3'601'330'077'695);
  EXPECT_EQ(SlotHigh(kSlots - 1), 4'398'046'511'103);
  EXPECT_EQ(SlotOf(kHighest + 1), kSlots - 1);
  EXPECT_EQ(SlotOf(INT64_MAX), kSlots - 1);
}

TEST(Slots, TileTheRangeWithoutGapsWithinOneInAThousandAndTwentyFour) {
  int64_t next = 0;
  for (int32_t slot = 0; slot < kSlots; ++slot) {
    ASSERT_EQ(SlotLow(slot), next) << slot;
    const int64_t high = SlotHigh(slot);
    ASSERT_EQ(SlotOfInRange(next), slot);
    ASSERT_EQ(SlotOfInRange(high), slot);
    if (next > 2048) {
      ASSERT_LT((high - next) * 1024, next);
    }
    next = high + 1;
  }
}

TEST(SlotsDeathTest, ANegativeValueIsABug) {
  EXPECT_DEATH(SlotOf(-1), "check failed");
  IntervalHistogram recorder;
  EXPECT_DEATH(recorder.Record(-5), "check failed");
}

TEST(RankOf, RoundsUpInIntegers) {
  EXPECT_EQ(RankOf(0, 990'000), 0U);
  EXPECT_EQ(RankOf(10, 0), 1U);
  EXPECT_EQ(RankOf(91, 990'000), 91U);    // 90.09: rounding half up would say 90
  EXPECT_EQ(RankOf(160, 990'000), 159U);  // 158.4
  EXPECT_EQ(RankOf(10, 910'000), 10U);    // 9.1
  EXPECT_EQ(RankOf(1000, 999'000), 999U);
  EXPECT_EQ(RankOf(100, 1'000'000), 100U);
  EXPECT_EQ(RankOf(UINT64_MAX, 1'000'000), UINT64_MAX);
  EXPECT_EQ(RankOf(5, 2'000'000), 5U) << "more than all is all";
}

TEST(Histogram, OfNothing) {
  const Histogram none;
  EXPECT_EQ(none.exact(), Exact{});
  EXPECT_EQ(none.Mean(), std::nullopt);
  EXPECT_EQ(none.Percentile(500'000), std::nullopt);
  EXPECT_EQ(none.ValueAtRank(0), std::nullopt);
  EXPECT_EQ(none.CountAtOrBelow(kHighest), 0U);
}

TEST(Histogram, RankRuleAgainstSortedValues) {
  for (const size_t n : {1, 2, 10, 91, 160, 299, 1000, 4097}) {
    std::vector<int64_t> values = DrawValues(n, n);
    const Histogram histogram = Of(values);
    std::sort(values.begin(), values.end());
    for (const Ppm ppm : {0, 1, 500'000, 900'000, 910'000, 950'000, 990'000, 999'000, 1'000'000}) {
      size_t rank = 1;  // brute force: the least rank that covers the share
      while (rank * 1'000'000 < n * static_cast<size_t>(ppm)) ++rank;
      const int64_t truth = values[rank - 1];
      const int64_t expected = std::min(SlotHigh(SlotOf(truth)), values.back());
      EXPECT_EQ(histogram.Percentile(ppm), expected) << "n " << n << " ppm " << ppm;
      EXPECT_GE(*histogram.Percentile(ppm), truth);
    }
  }
}

TEST(Histogram, KeepsExactFigures) {
  const std::vector<int64_t> values = DrawValues(3, 5000);
  const Histogram histogram = Of(values);
  uint128 sum = 0;
  for (const int64_t value : values) sum += static_cast<uint64_t>(value);
  EXPECT_EQ(histogram.n(), values.size());
  EXPECT_TRUE(histogram.exact().sum == sum);
  EXPECT_EQ(histogram.exact().min, *std::min_element(values.begin(), values.end()));
  EXPECT_EQ(histogram.exact().max, *std::max_element(values.begin(), values.end()));
  EXPECT_EQ(histogram.Mean(), static_cast<int64_t>((sum + values.size() / 2) / values.size()));
}

TEST(Histogram, CountAtOrBelowAgainstBruteForce) {
  const std::vector<int64_t> values = DrawValues(8, 2000);
  const Histogram histogram = Of(values);
  for (const int64_t bound :
       {int64_t{-1}, int64_t{0}, int64_t{1000}, int64_t{123'456'789}, kHighest}) {
    const auto below = std::count_if(values.begin(), values.end(), [bound](int64_t value) {
      return bound >= 0 && SlotOf(value) <= SlotOf(bound);
    });
    EXPECT_EQ(histogram.CountAtOrBelow(bound), static_cast<uint64_t>(below)) << bound;
  }
}

TEST(Histogram, UnansweredRankAsSlowerThanAnyBound) {
  Histogram histogram;
  for (int64_t i = 1; i <= 98; ++i) histogram.Record(i);
  EXPECT_EQ(histogram.Percentile(980'000, 2), 98);
  EXPECT_EQ(histogram.Percentile(990'000, 2), std::nullopt) << "rank 99 of 100 was not answered";
  EXPECT_EQ(histogram.Percentile(500'000, 2), 50);
  EXPECT_EQ(Histogram().Percentile(500'000, 7), std::nullopt);
}

TEST(Histogram, OverflowIsCountedAndNeverReadsTooLow) {
  Histogram histogram;
  histogram.Record(5);
  histogram.Record(kHighest * 5, 2);
  EXPECT_EQ(histogram.exact().overflow, 2U);
  EXPECT_EQ(histogram.CountAt(kSlots - 1), 2U);
  EXPECT_EQ(histogram.Percentile(990'000), kHighest * 5);
  EXPECT_EQ(histogram.n(), 3U);
}

TEST(Histogram, MergingIsCommutativeAssociativeAndEqualToTheUnion) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const std::vector<int64_t> all = DrawValues(seed, 300);
    const Histogram a = Of({all.begin(), all.begin() + 50});
    const Histogram b = Of({all.begin() + 50, all.begin() + 60});
    const Histogram c = Of({all.begin() + 60, all.end()});
    Histogram ab_c = a, bc = b, c_b_a = c;
    ab_c.Add(b);
    ab_c.Add(c);
    bc.Add(c);
    Histogram a_bc = a;
    a_bc.Add(bc);
    c_b_a.Add(b);
    c_b_a.Add(a);
    EXPECT_EQ(ab_c, a_bc);
    EXPECT_EQ(ab_c, c_b_a);
    EXPECT_EQ(ab_c, Of(all));
    Histogram with_nothing = ab_c;
    with_nothing.Add(Histogram());
    EXPECT_EQ(with_nothing, ab_c);
  }
}

TEST(Histogram, MergedPercentileIsNotTheMeanOfPercentiles) {
  Histogram a, b;
  for (int64_t ms = 1; ms <= 1000; ++ms) a.Record(ms * 1'000'000);
  for (int64_t ms = 1001; ms <= 2000; ++ms) b.Record(ms * 1'000'000);
  const int64_t mean = (*a.Percentile(990'000) + *b.Percentile(990'000)) / 2;
  a.Add(b);
  EXPECT_NEAR(static_cast<double>(mean), 1490.3e6, 0.3e6);
  EXPECT_NEAR(static_cast<double>(*a.Percentile(990'000)), 1980.8e6, 0.1e6);
}

TEST(IntervalHistogram, EqualsTheMergedFormAndClearsCompletely) {
  IntervalHistogram recorder;
  for (uint64_t round = 1; round <= 4; ++round) {
    std::vector<int64_t> values = DrawValues(round, 500);
    values.push_back(kHighest + static_cast<int64_t>(round));
    for (const int64_t value : values) recorder.Record(value);
    Histogram merged;
    recorder.AddTo(merged);
    EXPECT_EQ(merged, Of(values)) << "round " << round;
    EXPECT_EQ(recorder.first_slot(), SlotOf(*std::min_element(values.begin(), values.end())));
    EXPECT_EQ(recorder.end_slot(), kSlots);
    recorder.Clear();
    EXPECT_TRUE(recorder.empty());
    EXPECT_EQ(recorder.first_slot(), recorder.end_slot());
  }
  for (int32_t slot = 0; slot < kSlots; ++slot) ASSERT_EQ(recorder.CountAt(slot), 0U);
}

}  // namespace
}  // namespace broadside::stats
