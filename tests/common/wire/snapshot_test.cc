#include "common/wire/snapshot.h"

#include <google/protobuf/stubs/logging.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "common/stats/codec.h"

namespace broadside::wire {
namespace {

/// A histogram of `n` log-normal latencies around `median_ns`, as a loop records them.
stats::IntervalHistogram LogNormal(int n, double median_ns, double sigma, std::mt19937_64& random) {
  stats::IntervalHistogram out;
  std::lognormal_distribution<double> draw(std::log(median_ns), sigma);
  for (int i = 0; i < n; ++i) out.Record(static_cast<int64_t>(draw(random)));
  return out;
}

stats::Cell CellOf(stats::Measure measure, const stats::IntervalHistogram& histogram) {
  return {.target = TargetIndex(0),
          .outcome = measure == stats::Measure::kLag ? std::string(stats::kAllSent) : "ok",
          .measure = measure,
          .exact = histogram.exact(),
          .counts = stats::EncodeCounts(histogram)};
}

/// What an agent sends for one target and one outcome after an interval with `n` requests.
stats::Snapshot OneInterval(int n) {
  std::mt19937_64 random(7);
  stats::Snapshot out{.run = RunId("7f3a2c"),
                      .incarnation = Incarnation(0x1234'5678'9abc'def0),
                      .sequence = 12,
                      .interval = 11,
                      .interval_length = std::chrono::seconds(1)};
  const auto count = static_cast<uint64_t>(n);
  out.counters.push_back({.counters = {.scheduled = count, .sent = count, .ok = count}});
  out.outcomes.push_back({.outcome = "ok",
                          .total = count,
                          .in_interval = count,
                          .first_due = RunTime(Nanos(11'000'000'000)),
                          .last_due = RunTime(Nanos(11'999'000'000)),
                          .longest_run = 900});
  out.cells.push_back(CellOf(stats::Measure::kLatency, LogNormal(n, 5e6, 0.5, random)));
  out.cells.push_back(CellOf(stats::Measure::kService, LogNormal(n, 5e6, 0.5, random)));
  out.cells.push_back(CellOf(stats::Measure::kFirstByte, LogNormal(n, 5e6, 0.5, random)));
  out.cells.push_back(CellOf(stats::Measure::kWait, LogNormal(n, 1, 0.1, random)));
  out.cells.push_back(CellOf(stats::Measure::kLag, LogNormal(n, 5e4, 0.3, random)));
  out.gauges.push_back({.in_flight_max = 9, .in_flight_ns = 5'000'000'000});
  out.health = {.loops = 2,
                .busiest_loop_ppm = 12'000,
                .cpu_ns = 1'000'000,
                .stale_resets = 3,
                .unvalidated = 4,
                .start_skew_ns = -5};
  return out;
}

TEST(PackSnapshot, ComesBackAsItWent) {
  const stats::Snapshot sent = OneInterval(1000);
  const StatusOr<stats::Snapshot> got = UnpackSnapshot(PackSnapshot(sent));
  ASSERT_TRUE(got.ok()) << MessageOf(got.status());
  EXPECT_EQ(got->run, sent.run);
  EXPECT_EQ(got->incarnation, sent.incarnation);
  EXPECT_EQ(got->sequence, sent.sequence);
  EXPECT_EQ(got->interval_length, sent.interval_length);
  EXPECT_EQ(got->counters.at(0).counters, sent.counters.at(0).counters);
  EXPECT_EQ(got->outcomes.at(0).last_due, sent.outcomes.at(0).last_due);
  EXPECT_EQ(got->outcomes.at(0).longest_run, 900u);
  ASSERT_EQ(got->cells.size(), sent.cells.size());
  for (size_t i = 0; i < sent.cells.size(); ++i) {
    EXPECT_EQ(got->cells[i].counts, sent.cells[i].counts);
    EXPECT_EQ(got->cells[i].exact, sent.cells[i].exact);
    EXPECT_EQ(got->cells[i].measure, sent.cells[i].measure);
  }
  EXPECT_EQ(got->gauges.at(0).in_flight_ns, 5'000'000'000u);
  EXPECT_EQ(got->health.stale_resets, 3u);
  EXPECT_EQ(got->health.unvalidated, 4u);
  EXPECT_EQ(got->health.start_skew_ns, -5);
}

// The budget: an agent, target and interval of 1,000 requests with one outcome, all measures.
TEST(PackSnapshot, StaysWithinFourKilobytesForAThousandRequests) {
  EXPECT_LE(PackSnapshot(OneInterval(1000)).body.size(), 4096u);
}

TEST(PackSnapshot, AHistogramOfTenThousandStaysWithinTwoKilobytes) {
  stats::Snapshot snapshot = OneInterval(10'000);
  snapshot.cells.resize(1);
  EXPECT_LE(PackSnapshot(snapshot).body.size(), 2048u);
}

TEST(PackSnapshot, ThinLeavesTheHistogramsBehindAndKeepsTheLedger) {
  const stats::Snapshot sent = OneInterval(1000);
  const SnapshotEnvelope thin = PackSnapshot(sent, /*thin=*/true);
  EXPECT_LT(thin.body.size(), 200u);
  const StatusOr<stats::Snapshot> got = UnpackSnapshot(thin);
  ASSERT_TRUE(got.ok());
  EXPECT_TRUE(got->cells.empty());
  EXPECT_EQ(got->counters.at(0).counters, sent.counters.at(0).counters);
}

TEST(UnpackSnapshot, SaysWhatIsWrongWithAHostileBody) {
  SnapshotEnvelope envelope = PackSnapshot(OneInterval(100));
  const std::string good = envelope.body;
  envelope.body = "no zstd at all";
  EXPECT_EQ(MessageOf(UnpackSnapshot(envelope).status()),
            "snapshot body is not a zstd frame of known size");
  // A frame that claims 2^31 bytes: single segment, 8-byte content size.
  envelope.body = std::string("\x28\xb5\x2f\xfd\xe0\x00\x00\x00\x80\x00\x00\x00\x00", 13);
  EXPECT_EQ(MessageOf(UnpackSnapshot(envelope).status()),
            "snapshot body unpacks to 2147483648 bytes; allowed are 67108864");
  envelope.body = good.substr(0, good.size() - 5);
  EXPECT_FALSE(UnpackSnapshot(envelope).ok());
}

TEST(UnpackSnapshot, SurvivesRandomDamage) {
  SnapshotEnvelope envelope = PackSnapshot(OneInterval(100));
  const std::string good = envelope.body;
  const google::protobuf::LogSilencer quiet;
  std::mt19937_64 random(3);
  int survived = 0;
  for (int i = 0; i < 3000; ++i) {
    envelope.body = good;
    for (int flips = 0; flips < 3; ++flips)
      envelope.body[random() % good.size()] ^= static_cast<char>(1 + random() % 255);
    survived += UnpackSnapshot(envelope).ok();
  }
  EXPECT_LT(survived, 3000);  // most damage is noticed; none of it crashes
}

}  // namespace
}  // namespace broadside::wire
