#include "controller/merge/run_merge.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "common/report/json.h"
#include "tests/controller/merge/fleet.h"

namespace broadside::merge {
namespace {

using testing::Fleet;
using testing::FoldAll;

TEST(RunMerge, MergedEqualsPooledSlotForSlot) {
  Fleet fleet;
  RunMerge merge = fleet.NewMerge();
  FoldAll(merge, fleet, fleet.Snapshots());
  EXPECT_EQ(merge.cells().size(), fleet.pool.cells.size());
  for (const auto& [key, histogram] : fleet.pool.cells) {
    ASSERT_TRUE(merge.cells().contains(key));
    EXPECT_EQ(merge.cells().at(key), histogram) << key.outcome << stats::MeasureName(key.measure);
  }
}

TEST(RunMerge, AnyOrderAndDuplicatesGiveTheSameReport) {
  Fleet fleet;
  std::vector<stats::Snapshot> snapshots = fleet.Snapshots();
  RunMerge in_order = fleet.NewMerge();
  FoldAll(in_order, fleet, snapshots);
  const std::string expected = report::ReportJsonText(in_order.Finish(fleet.facts));
  std::mt19937_64 random(5);
  for (int round = 0; round < 5; ++round) {
    std::shuffle(snapshots.begin(), snapshots.end(), random);
    RunMerge shuffled = fleet.NewMerge();
    FoldAll(shuffled, fleet, snapshots);
    FoldAll(shuffled, fleet, {snapshots.begin(), snapshots.begin() + 9});
    EXPECT_EQ(report::ReportJsonText(shuffled.Finish(fleet.facts)), expected) << "round " << round;
    EXPECT_EQ(shuffled.Live().snapshots, snapshots.size());
  }
}

TEST(RunMerge, RefusesWhatDoesNotBelongAndChangesNothing) {
  Fleet fleet;
  const std::vector<stats::Snapshot> snapshots = fleet.Snapshots();
  RunMerge merge = fleet.NewMerge();
  const auto refuses = [&](auto change) {
    stats::Snapshot snapshot = snapshots[3];
    change(snapshot);
    return MessageOf(merge.Fold(AgentId("agent-a"), snapshot));
  };
  EXPECT_EQ(refuses([](auto& s) { s.run = RunId("ffffff"); }),
            "agent-a: snapshot 4 of run abc123: it belongs to run ffffff");
  EXPECT_EQ(refuses([](auto& s) { s.sequence = 0; }),
            "agent-a: snapshot 0 of run abc123: sequences start at 1");
  EXPECT_EQ(
      refuses([](auto& s) { s.interval_length = Nanos(5); }),
      "agent-a: snapshot 4 of run abc123: its interval is 5 ns long, the plan's 1000000000 ns");
  EXPECT_EQ(refuses([](auto& s) { s.interval = int64_t{1} << 60; }),
            "agent-a: snapshot 4 of run abc123: interval 1152921504606846976 is far outside the "
            "schedule");
  EXPECT_EQ(refuses([](auto& s) { s.counters[0].phase = PhaseIndex(3); }),
            "agent-a: snapshot 4 of run abc123: a counter of an unknown phase or target");
  EXPECT_EQ(refuses([](auto& s) { s.cells[0].target = TargetIndex(2); }),
            "agent-a: snapshot 4 of run abc123: a histogram of an unknown phase or target");
  EXPECT_EQ(refuses([](auto& s) { s.gauges[0].target = TargetIndex(9); }),
            "agent-a: snapshot 4 of run abc123: a gauge of an unknown target");
  EXPECT_EQ(refuses([](auto& s) { s.outcomes[0].outcome = std::string(65, 'x'); }),
            "agent-a: snapshot 4 of run abc123: an outcome's name has 65 characters; 1 to 64 are "
            "allowed");
  EXPECT_EQ(refuses([](auto& s) { s.cells.back().counts = "\x80"; }),
            "agent-a: snapshot 4 of run abc123: latency of outcome \"timeout_client\": histogram "
            "counts, byte 0: the data ends inside a number");
  EXPECT_EQ(refuses([](auto& s) { ++s.cells.back().exact.n; }).substr(0, 66),
            "agent-a: snapshot 4 of run abc123: latency of outcome \"timeout_cli");
  EXPECT_EQ(merge.Live().snapshots, 0U);
  EXPECT_TRUE(merge.cells().empty());
  EXPECT_TRUE(merge.agents().empty());
  EXPECT_TRUE(merge.Fold(AgentId("agent-a"), snapshots[3]).ok());
}

TEST(RunMerge, OutcomesOfOneTargetAreBounded) {
  Fleet fleet;
  stats::Snapshot snapshot = fleet.Snapshots().front();
  snapshot.cells.resize(1);
  snapshot.cells[0].measure = stats::Measure::kLatency;
  RunMerge merge = fleet.NewMerge();
  Status status;
  for (int i = 0; i < 200 && status.ok(); ++i) {
    snapshot.cells[0].outcome = "made_up_" + std::to_string(i);
    ++snapshot.sequence;
    status = merge.Fold(AgentId("agent-a"), snapshot);
  }
  EXPECT_FALSE(status.ok());
  EXPECT_EQ(merge.latency().size(), 128U);
}

}  // namespace
}  // namespace broadside::merge
