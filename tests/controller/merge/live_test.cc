#include <gtest/gtest.h>

#include "tests/controller/merge/fleet.h"

namespace broadside::merge {
namespace {

using testing::Fleet;
using testing::FoldAll;

std::vector<stats::Snapshot> UpTo(const std::vector<stats::Snapshot>& all, IntervalIndex last) {
  std::vector<stats::Snapshot> some;
  for (IntervalIndex k = 0; k <= last; ++k) {
    for (const stats::Snapshot& snapshot : all) {
      if (snapshot.interval == k) some.push_back(snapshot);
    }
  }
  return some;
}

TEST(Live, BeforeTheFirstSnapshotThereIsNothing) {
  const Fleet fleet;
  const View view = fleet.NewMerge().Live();
  EXPECT_EQ(view.rate_interval, -1);
  EXPECT_EQ(view.total.sent_rate, std::nullopt);
  EXPECT_EQ(view.total.p99, std::nullopt);
  ASSERT_EQ(view.targets.size(), 2U);
  EXPECT_EQ(view.targets[0].name, "alpha");
}

TEST(Live, RatesAreOfTheNewestIntervalThatAllReported) {
  Fleet fleet;
  const std::vector<stats::Snapshot> all = fleet.Snapshots();
  RunMerge merge = fleet.NewMerge();
  FoldAll(merge, fleet, UpTo(all, 6));
  View view = merge.Live();
  EXPECT_EQ(view.rate_interval, 6);
  EXPECT_EQ(view.agents_reported, 3U);
  EXPECT_DOUBLE_EQ(*view.total.sent_rate, 1000);
  EXPECT_NEAR(*view.targets[0].sent_rate, 1000.0 / 3, 2);
  // One agent is ahead of the others: its interval is not yet the one to show.
  for (const stats::Snapshot& snapshot : all) {
    if (snapshot.interval != 7 || snapshot.incarnation != fleet.owner(0)) continue;
    ASSERT_TRUE(merge.Fold(AgentId("agent-a"), snapshot).ok());
  }
  view = merge.Live();
  EXPECT_EQ(view.rate_interval, 6);
  EXPECT_DOUBLE_EQ(*view.total.sent_rate, 1000);
}

TEST(Live, PercentilesAreOfTheLastFiveSeconds) {
  Fleet fleet;
  fleet.fate = [](const rate::Arrival& arrival, std::mt19937_64&) {
    const bool early = arrival.due < RunTime(std::chrono::seconds(4));
    Fleet::Fate fate{.lag = 7'000, .service = early ? 900'000'000 : 1'000'000};
    if (arrival.due >= RunTime(std::chrono::seconds(8)) && arrival.index % 2 == 0) {
      fate.outcome = "timeout_client";
    }
    return fate;
  };
  RunMerge merge = fleet.NewMerge();
  const std::vector<stats::Snapshot> all = fleet.Snapshots();
  FoldAll(merge, fleet, UpTo(all, 5));
  EXPECT_GT(*merge.Live().total.p99, 900'000'000);
  RunMerge later = fleet.NewMerge();
  FoldAll(later, fleet, UpTo(all, 9));
  const View view = later.Live();
  EXPECT_EQ(view.total.n, 400U + 4000U);
  EXPECT_EQ(view.total.unanswered, 1000U);
  EXPECT_LT(*view.total.p50, 1'010'000);
  EXPECT_EQ(view.total.p99, std::nullopt) << "a quarter was not answered";
  EXPECT_EQ(view.lag_p99, 7'000);
  EXPECT_EQ(view.wait_p99, 0);
}

TEST(Live, CumulativeCountsAndHistograms) {
  Fleet fleet;
  RunMerge merge = fleet.NewMerge();
  FoldAll(merge, fleet, fleet.Snapshots());
  const View view = merge.Live();
  EXPECT_EQ(view.total.counters.scheduled, 5800U);
  EXPECT_TRUE(view.total.counters.Closes());
  std::map<std::string, uint64_t> outcomes;
  for (const auto& [key, count] : fleet.pool.outcomes) outcomes[key.outcome] += count;
  EXPECT_EQ(view.total.outcomes, outcomes);
  for (const auto& [key, histogram] : merge.latency()) {
    EXPECT_EQ(histogram.n(), view.targets[key.first.value()].outcomes.at(key.second));
  }
}

}  // namespace
}  // namespace broadside::merge
