#include "controller/merge/rule_series.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "common/plan/parse.h"
#include "tests/controller/merge/fleet.h"

namespace broadside::merge {
namespace {

using testing::Fleet;
using testing::FoldAll;

constexpr int64_t kMs = 1'000'000;

/// A run of `warm` (2 s, not measured), `low` (4 s, 400/s) and `high` (4 s, 1,000/s), judged by one
/// rule.
class Series : public ::testing::Test {
 protected:
  RunMerge MergeWith(const std::string& slo, const std::string& guard = "") {
    if (!slo.empty()) fleet_.plan->slo = {plan::ParseRule(slo).value()};
    if (!guard.empty()) fleet_.plan->guards = {plan::ParseRule(guard).value()};
    return fleet_.NewMerge();
  }
  report::RuleResult Judge(const std::string& slo, uint64_t shuffle = 0) {
    RunMerge merge = MergeWith(slo);
    std::vector<stats::Snapshot> snapshots = fleet_.Snapshots();
    std::mt19937_64 random(shuffle);
    if (shuffle > 0) std::shuffle(snapshots.begin(), snapshots.end(), random);
    FoldAll(merge, fleet_, snapshots);
    return merge.Finish(fleet_.facts).slo_results.at(0);
  }
  /// One slow second, the sixth of the run: the first of `high`.
  void SlowSixth() {
    fleet_.fate = [](const rate::Arrival& arrival, std::mt19937_64&) {
      const bool slow = IntervalOf(arrival.due, std::chrono::seconds(1)) == 6;
      return Fleet::Fate{.service = (slow ? 80 : 10) * kMs};
    };
  }
  Fleet fleet_;
};

TEST_F(Series, OverIsJudgedInEveryWindow) {
  SlowSixth();
  EXPECT_EQ(Judge("p99 < 50ms").verdict, "fail");
  EXPECT_EQ(Judge("p50 < 50ms over 2s in high").verdict, "pass");
  const report::RuleResult result = Judge("p80 < 50ms over 2s");
  EXPECT_EQ(result.verdict, "fail");
  // 400 and 1,000 arrivals in the fifth and sixth second.
  EXPECT_EQ(result.reason,
            "not true in 2 of 7 windows, first in interval 5–6 (00:05–00:07): over 1,400 ended or "
            "overdue");
  EXPECT_EQ(Judge("p80 < 50ms over 8s").verdict, "pass");
  EXPECT_EQ(Judge("p80 < 50ms over 8s").reason, "true in all of 1 windows");
}

TEST_F(Series, ForIsJudgedInEveryInterval) {
  SlowSixth();
  const report::RuleResult result = Judge("p50 < 50ms for 3s");
  EXPECT_EQ(result.verdict, "fail");
  EXPECT_EQ(result.reason,
            "not true in 1 of 8 intervals, first in interval 6 (00:06–00:07): over 1,000 ended or "
            "overdue");
  EXPECT_EQ(Judge("p50 < 50ms for 2 intervals in low").verdict, "pass");
  EXPECT_EQ(Judge("p50 < 50ms for 5s in low").verdict, "no data") << "low lasts 4 s";
}

TEST_F(Series, TheOrderOfSnapshotsChangesNothing) {
  const std::string rule = "error_rate < 0.9% over 3s";
  const report::RuleResult in_order = Judge(rule);
  EXPECT_FALSE(in_order.reason.empty());
  for (uint64_t seed = 1; seed < 10; ++seed) {
    fleet_ = Fleet();
    const report::RuleResult shuffled = Judge(rule, seed);
    EXPECT_EQ(shuffled.verdict, in_order.verdict);
    EXPECT_EQ(shuffled.reason, in_order.reason);
  }
}

TEST_F(Series, RatesAreOfTheWindow) {
  fleet_.fate = [](const rate::Arrival&, std::mt19937_64&) { return Fleet::Fate{}; };
  EXPECT_EQ(Judge("ok_rate >= 999/s over 2s in high").verdict, "pass");
  EXPECT_EQ(Judge("ok_rate >= 1001/s over 2s in high").verdict, "fail");
  EXPECT_EQ(Judge("achieved >= 99.9% of offered for 1s").verdict, "pass");
}

/// Folds the snapshots of interval after interval and gives the first that a guard ends.
std::optional<std::pair<IntervalIndex, report::RuleResult>> Watch(
    RunMerge& merge, Fleet& fleet, const std::vector<stats::Snapshot>& snapshots) {
  for (IntervalIndex k = 0; k <= 10; ++k) {
    for (const stats::Snapshot& snapshot : snapshots) {
      if (snapshot.interval != k) continue;
      EXPECT_TRUE(merge.Fold(fleet.IdOf(snapshot.incarnation), snapshot).ok());
    }
    if (const auto fired = merge.CheckGuards()) return std::pair(k, *fired);
  }
  return std::nullopt;
}

TEST_F(Series, AGuardFiresAtTheEndOfItsWindow) {
  fleet_.fate = [](const rate::Arrival& arrival, std::mt19937_64&) {
    const bool broken = arrival.due >= RunTime(std::chrono::seconds(4));
    return Fleet::Fate{.outcome = broken ? "timeout_client" : "ok"};
  };
  RunMerge merge = MergeWith("", "error_rate > 50% for 2s");
  const auto fired = Watch(merge, fleet_, fleet_.Snapshots());
  ASSERT_TRUE(fired);
  EXPECT_EQ(fired->first, 5);
  EXPECT_EQ(fired->second.verdict, "fired");
  EXPECT_EQ(fired->second.measured, "100 %");
  EXPECT_EQ(fired->second.reason, "800 of 800 ended in interval 4–5 (00:04–00:06)");
}

TEST_F(Series, AGuardLooksAtItsPhasesOnly) {
  fleet_.fate = [](const rate::Arrival& arrival, std::mt19937_64&) {
    return Fleet::Fate{.outcome = arrival.phase == PhaseIndex(0) ? "timeout_client" : "ok"};
  };
  RunMerge merge = MergeWith("", "error_rate > 50%");
  EXPECT_FALSE(Watch(merge, fleet_, fleet_.Snapshots()));
}

TEST_F(Series, AGuardDoesNotLookAcrossAGap) {
  fleet_.fate = [](const rate::Arrival&, std::mt19937_64&) {
    return Fleet::Fate{.outcome = "timeout_client"};
  };
  RunMerge merge = MergeWith("", "error_rate > 50% over 3s");
  merge.GuardFrom(5);
  const auto fired = Watch(merge, fleet_, fleet_.Snapshots());
  ASSERT_TRUE(fired);
  EXPECT_EQ(fired->first, 7);
}

TEST_F(Series, ATotalStallFiresALatencyGuardByAge) {
  fleet_.fate = [](const rate::Arrival&, std::mt19937_64&) { return Fleet::Fate{.service = kMs}; };
  RunMerge merge = MergeWith("", "p99 > 2s over 1s");
  std::vector<stats::Snapshot> snapshots = fleet_.Snapshots();
  // From the fourth second on nothing is answered any more: what was ok is in flight.
  std::map<Incarnation, std::map<Row, uint64_t>> ok;
  for (stats::Snapshot& snapshot : snapshots) {
    for (stats::PhaseCounters& row : snapshot.counters) {
      uint64_t& frozen = ok[snapshot.incarnation][{row.phase, row.target}];
      if (snapshot.interval < 4) frozen = row.counters.ok;
      row.counters.in_flight = row.counters.ok - frozen;
      row.counters.ok = frozen;
    }
    if (snapshot.interval >= 4) snapshot.cells.clear();
  }
  const auto fired = Watch(merge, fleet_, snapshots);
  ASSERT_TRUE(fired);
  // Due in interval 4 and unanswered at the end of interval 6: 2 s old.
  EXPECT_EQ(fired->first, 6);
  EXPECT_EQ(fired->second.measured, "beyond any bound");
}

}  // namespace
}  // namespace broadside::merge
