#include "common/stats/snapshot.h"

#include <gtest/gtest.h>

namespace broadside::stats {
namespace {

TEST(MeasureName, EveryMeasureReadsBack) {
  for (const Measure measure : kMeasures) {
    Measure read{};
    EXPECT_TRUE(MeasureFromName(MeasureName(measure), read));
    EXPECT_EQ(read, measure);
  }
  Measure untouched = Measure::kWait;
  EXPECT_FALSE(MeasureFromName("ttft", untouched));
  EXPECT_FALSE(MeasureFromName("", untouched));
  EXPECT_EQ(untouched, Measure::kWait);
}

Counters Sample() {
  return {.scheduled = 20,
          .sent = 14,
          .dropped = 3,
          .expired = 2,
          .waiting = 1,
          .ok = 8,
          .rejected = 3,
          .failed = 2,
          .in_flight = 1,
          .after_stop = 1,
          .unsent_failures = 1,
          .own_fault = 1,
          .limited = 4,
          .bytes_out = 100,
          .bytes_in = 200,
          .inferences = 16};
}

TEST(Counters, CloseOnlyWhenEveryTermFits) {
  EXPECT_TRUE(Counters{}.Closes());
  EXPECT_TRUE(Sample().Closes());
  for (uint64_t Counters::*term : {&Counters::scheduled, &Counters::sent, &Counters::dropped,
                                   &Counters::expired, &Counters::waiting, &Counters::ok,
                                   &Counters::rejected, &Counters::failed, &Counters::in_flight}) {
    Counters counters = Sample();
    ++(counters.*term);
    EXPECT_FALSE(counters.Closes());
  }
}

TEST(Counters, AddTakesEveryField) {
  Counters sum = Sample();
  sum.Add(Sample());
  const auto* fields = reinterpret_cast<const uint64_t*>(&sum);
  const Counters once = Sample();
  const auto* singles = reinterpret_cast<const uint64_t*>(&once);
  for (size_t i = 0; i < sizeof(Counters) / sizeof(uint64_t); ++i) {
    EXPECT_EQ(fields[i], 2 * singles[i]) << "field " << i;
    EXPECT_GT(singles[i], 0U) << "field " << i;
  }
  EXPECT_TRUE(sum.Closes());
}

}  // namespace
}  // namespace broadside::stats
