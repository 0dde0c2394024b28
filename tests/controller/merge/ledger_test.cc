#include "controller/merge/ledger.h"

#include <gtest/gtest.h>

#include "tests/controller/merge/fleet.h"

namespace broadside::merge {
namespace {

using testing::Fleet;
using testing::FoldAll;

report::LedgerTotals Totals(const Fleet& fleet, const std::vector<stats::Snapshot>& snapshots) {
  RunMerge merge = fleet.NewMerge();
  FoldAll(merge, fleet, snapshots);
  report::LedgerTotals totals;
  for (const auto& [row, each] : CloseLedger(merge, fleet.facts).rows) AddTotals(totals, each);
  return totals;
}

TEST(Ledger, ClosesWhenEveryArrivalIsAccountedFor) {
  Fleet fleet;
  const report::LedgerTotals totals = Totals(fleet, fleet.Snapshots());
  EXPECT_EQ(totals.scheduled, 200U + 1600U + 4000U);
  EXPECT_EQ(totals.sent, totals.scheduled);
  EXPECT_EQ(totals.unowned, 0U);
  EXPECT_EQ(totals.unreported, 0U);
  EXPECT_EQ(totals.mismatch, 0);
  EXPECT_EQ(totals.ok + totals.rejected + totals.failed, totals.sent);
}

/// Every counter of the last snapshot of an agent, changed by one.
TEST(Ledger, ATamperedCounterIsAMismatch) {
  Fleet fleet;
  const std::vector<stats::Snapshot> good = fleet.Snapshots();
  using Term = uint64_t stats::Counters::*;
  for (const Term term :
       {Term(&stats::Counters::sent), &stats::Counters::dropped, &stats::Counters::expired,
        &stats::Counters::ok, &stats::Counters::rejected, &stats::Counters::failed,
        &stats::Counters::in_flight}) {
    std::vector<stats::Snapshot> snapshots = good;
    ++(snapshots[10].counters[4].counters.*term);
    EXPECT_NE(Totals(fleet, snapshots).mismatch, 0);
  }
  // A row that closes by itself and still claims an arrival that the schedule never had.
  std::vector<stats::Snapshot> snapshots = good;
  stats::Counters& counters = snapshots[10].counters[4].counters;
  ++counters.scheduled;
  ++counters.sent;
  ++counters.ok;
  EXPECT_EQ(Totals(fleet, snapshots).mismatch, -1);
  // Outcome counts that do not add up to what ended.
  snapshots = good;
  ++snapshots[10].outcomes[0].total;
  EXPECT_NE(Totals(fleet, snapshots).mismatch, 0);
}

TEST(Ledger, MismatchesOfOppositeSignDoNotCancel) {
  report::LedgerTotals sum;
  report::LedgerTotals row;
  row.mismatch = 2;
  AddTotals(sum, row);
  row.mismatch = -2;
  AddTotals(sum, row);
  EXPECT_NE(sum.mismatch, 0);
}

TEST(Ledger, WhatALostAgentDidNotTellIsUnreported) {
  Fleet fleet;
  std::vector<stats::Snapshot> snapshots = fleet.Snapshots();
  // agent-a's snapshots from interval 6 on never came; the last one left two waiting.
  const stats::Snapshot last = snapshots[5];
  snapshots.erase(snapshots.begin() + 6, snapshots.begin() + 11);
  stats::Counters& counters = snapshots[5].counters[3].counters;
  counters.sent -= 3;
  counters.ok -= 3;
  counters.waiting = 2;
  ++counters.expired;
  for (auto& outcome : snapshots[5].outcomes) {
    if (outcome.phase == PhaseIndex(1) && outcome.target == TargetIndex(1) &&
        outcome.outcome == "ok") {
      outcome.total -= 3;
    }
  }
  snapshots.erase(snapshots.begin() + 4);  // cumulative counters do not need it
  const report::LedgerTotals totals = Totals(fleet, snapshots);
  uint64_t counted = 0;
  for (const auto& row : last.counters) counted += row.counters.scheduled;
  EXPECT_EQ(totals.mismatch, 0);
  EXPECT_EQ(totals.expired, 1U);
  const uint64_t share = 5800 / 3;
  EXPECT_NEAR(static_cast<double>(totals.unreported), static_cast<double>(share - counted + 2), 2);
  EXPECT_EQ(totals.unowned, 0U);
}

TEST(Ledger, AnAgentNeverHeardOfIsAllUnreported) {
  Fleet fleet;
  std::vector<stats::Snapshot> snapshots = fleet.Snapshots();
  snapshots.erase(snapshots.begin(), snapshots.begin() + 11);
  RunMerge merge = fleet.NewMerge();
  FoldAll(merge, fleet, snapshots);
  const Ledger ledger = CloseLedger(merge, fleet.facts);
  const Ledger::Share& share = ledger.agents.at(fleet.owner(0));
  EXPECT_EQ(share.unreported, share.granted);
  EXPECT_NEAR(static_cast<double>(share.granted), 5800.0 / 3, 3);
}

TEST(Ledger, WhatNobodyWasGrantedIsUnowned) {
  Fleet fleet;
  fleet.facts.grants[2].last = 7;  // the fleet's agents follow their grants
  const report::LedgerTotals totals = Totals(fleet, fleet.Snapshots());
  EXPECT_EQ(totals.mismatch, 0);
  EXPECT_EQ(totals.unreported, 0U);
  EXPECT_NEAR(static_cast<double>(totals.unowned), 2000.0 / 3, 2);
}

TEST(Ledger, TheSameArrivalGrantedTwiceIsAMismatch) {
  Fleet fleet;
  const std::vector<stats::Snapshot> snapshots = fleet.Snapshots();
  const auto everything =
      std::make_shared<rate::Deal>(rate::MakeDeal(ShardEpoch(2), 9, {fleet.owner(0)}, {1}));
  fleet.facts.grants.push_back({fleet.owner(0), everything, 9, 9});
  EXPECT_NE(Totals(fleet, snapshots).mismatch, 0);
}

TEST(Ledger, AStopCutsTheScheduleAndAddsWhatWasTakenUpBeyond) {
  Fleet fleet;
  fleet.facts.stopped_at = RunTime(std::chrono::seconds(8));
  // agent-c had been granted one more interval, and had not heard of the stop while it lasted.
  fleet.facts.grants[0].last = fleet.facts.grants[1].last = 7;
  fleet.facts.grants[2].last = 8;
  std::vector<stats::Snapshot> snapshots = fleet.Snapshots();
  fleet.facts.grants[2].last = 7;
  EXPECT_NE(Totals(fleet, snapshots).mismatch, 0) << "taken up beyond the end without a grant";
  fleet.facts.grants[2].last = 8;
  const report::LedgerTotals totals = Totals(fleet, snapshots);
  EXPECT_EQ(totals.mismatch, 0);
  EXPECT_NEAR(static_cast<double>(totals.scheduled), 200 + 1600 + 2000 + 1000.0 / 3, 2);
  EXPECT_EQ(totals.sent, totals.scheduled);

  // What it could not send there has expired: counted by it, so part of the schedule too.
  for (stats::Snapshot& snapshot : snapshots) {
    if (snapshot.incarnation != fleet.owner(2) || snapshot.interval < 8) continue;
    for (stats::PhaseCounters& row : snapshot.counters) {
      if (row.phase != PhaseIndex(2) || row.target != TargetIndex(0)) continue;
      row.counters.sent -= 10;
      row.counters.ok -= 10;
      row.counters.expired += 10;
    }
    for (stats::OutcomeCount& outcome : snapshot.outcomes)
      if (outcome.phase == PhaseIndex(2) && outcome.target == TargetIndex(0) &&
          outcome.outcome == "ok")
        outcome.total -= 10;
  }
  const report::LedgerTotals expired = Totals(fleet, snapshots);
  EXPECT_EQ(expired.scheduled, totals.scheduled);
  EXPECT_EQ(expired.expired, 10u);
  EXPECT_EQ(expired.mismatch, 0);
}

TEST(Ledger, ALostAgentMayHaveSentWhatItWasGrantedBeyondAStop) {
  Fleet fleet;
  fleet.facts.stopped_at = RunTime(std::chrono::seconds(8));
  fleet.facts.grants[0].last = fleet.facts.grants[1].last = 7;
  fleet.facts.grants[2].last = 8;
  std::vector<stats::Snapshot> snapshots = fleet.Snapshots();
  std::erase_if(snapshots, [&](const stats::Snapshot& snapshot) {
    return snapshot.incarnation == fleet.owner(2) && snapshot.interval >= 8;
  });
  const report::LedgerTotals totals = Totals(fleet, snapshots);
  EXPECT_EQ(totals.mismatch, 0);
  EXPECT_NEAR(static_cast<double>(totals.unreported), 1000.0 / 3, 2);
  EXPECT_NEAR(static_cast<double>(totals.scheduled), 200 + 1600 + 2000 + 1000.0 / 3, 2);
}

TEST(Ledger, WhatWasTakenUpBeyondAStopAndNotSentIsScheduledToo) {
  Fleet fleet;
  fleet.facts.stopped_at = RunTime(std::chrono::seconds(8));
  for (GrantFact& grant : fleet.facts.grants) grant.last = 7;
  std::vector<stats::Snapshot> snapshots = fleet.Snapshots();
  const uint64_t before = Totals(fleet, snapshots).scheduled;
  for (stats::Snapshot& snapshot : snapshots) {
    if (snapshot.incarnation != fleet.owner(2) || snapshot.interval < 8) continue;
    // One waited for a connection when the stop came.
    snapshot.final_totals = true;
    ++snapshot.counters.back().counters.scheduled;
    ++snapshot.counters.back().counters.expired;
  }
  EXPECT_NE(Totals(fleet, snapshots).mismatch, 0) << "it was not granted";
  fleet.facts.grants[2].last = 8;
  EXPECT_EQ(Totals(fleet, snapshots).mismatch, 0);
  EXPECT_EQ(Totals(fleet, snapshots).scheduled, before + 1);
}

}  // namespace
}  // namespace broadside::merge
