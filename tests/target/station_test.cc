#include "tests/target/station.h"

#include <gtest/gtest.h>

namespace broadside::target {
namespace {

using std::chrono::milliseconds;
using Kind = Admission::Kind;

Instant At(int64_t ms) { return Instant(milliseconds(1'000 + ms)); }

TEST(Station, WithoutWorkersServesEverythingAtOnce) {
  Station station({});
  for (int i = 0; i < 100; ++i) EXPECT_EQ(station.Admit(At(0), milliseconds(5)).done, At(5));
}

TEST(Station, QueuesBehindItsWorkers) {
  Station station({.workers = 2});
  EXPECT_EQ(station.Admit(At(0), milliseconds(10)).done, At(10));
  EXPECT_EQ(station.Admit(At(1), milliseconds(10)).done, At(11));
  EXPECT_EQ(station.Admit(At(2), milliseconds(10)).done, At(20));  // first worker, from 10
  EXPECT_EQ(station.Admit(At(3), milliseconds(10)).done, At(21));
  EXPECT_EQ(station.Waiting(At(3)), 2u);
  EXPECT_EQ(station.Waiting(At(10)), 1u);
  EXPECT_EQ(station.Admit(At(50), milliseconds(10)).done, At(60));
}

TEST(Station, AFullQueueRefusesAtOnceAndTakesNoWorker) {
  Station station({.workers = 1, .queue = 1});
  EXPECT_EQ(station.Admit(At(0), milliseconds(10)).kind, Kind::kServe);
  EXPECT_EQ(station.Admit(At(0), milliseconds(10)).done, At(20));
  const Admission refused = station.Admit(At(1), milliseconds(10));
  EXPECT_EQ(refused.kind, Kind::kQueueFull);
  EXPECT_EQ(refused.done, At(1));
  EXPECT_EQ(station.Admit(At(10), milliseconds(10)).done, At(30));  // the waiting one has begun
}

TEST(Station, WaitingTooLongEndsAtTheTimeout) {
  Station station({.workers = 1, .queue_timeout = milliseconds(15)});
  station.Admit(At(0), milliseconds(20));
  const Admission late = station.Admit(At(1), milliseconds(20));
  EXPECT_EQ(late.kind, Kind::kQueueTimeout);
  EXPECT_EQ(late.done, At(16));
  EXPECT_EQ(station.Admit(At(10), milliseconds(20)).done, At(40));
}

TEST(Station, AStallMovesWhatRunsAndWaits) {
  Station station({.workers = 1, .queue = 10});
  station.Admit(At(0), milliseconds(10));
  station.Admit(At(0), milliseconds(10));
  station.Stall(At(5), milliseconds(500));
  EXPECT_EQ(station.Waiting(At(400)), 1u);
  EXPECT_EQ(station.Admit(At(400), milliseconds(10)).done, At(530));

  Station unlimited({});
  unlimited.Stall(At(0), milliseconds(500));
  EXPECT_EQ(unlimited.Admit(At(100), milliseconds(2)).done, At(502));
  EXPECT_EQ(unlimited.Admit(At(600), milliseconds(2)).done, At(602));
}

}  // namespace
}  // namespace broadside::target
