#include "agent/pacer/pacer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>

#include "common/rate/profile.h"

namespace broadside::agent {
namespace {

using rate::ArrivalKind;
using rate::kMicroPerUnit;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Incarnation kMe(11);
constexpr Incarnation kOther(22);
constexpr Instant kForever = Instant(std::chrono::hours(1000));

RunTime At(Nanos since_start) { return RunTime(since_start); }
Instant Local(Nanos since_boot) { return Instant(since_boot); }

std::shared_ptr<const rate::CompiledSegment> Constant(uint32_t id, int64_t per_second, Nanos start,
                                                      Nanos length,
                                                      ArrivalKind kind = ArrivalKind::kRegular) {
  rate::Segment segment{.id = SegmentId(id), .start = At(start), .length = length, .kind = kind};
  segment.seed = 42;
  segment.knots = rate::ConstantKnots(per_second * kMicroPerUnit, length);
  segment.mix = {{TargetIndex(0), 1}};
  return rate::CompiledSegment::Make(segment).value();
}

rate::Deal Alone(uint32_t epoch = 1, IntervalIndex first = 0) {
  return rate::MakeDeal(ShardEpoch(epoch), first, {kMe}, {1});
}

struct Taken {
  std::vector<rate::Arrival> permitted;
  std::vector<rate::Arrival> expired;
  size_t all() const { return permitted.size() + expired.size(); }
};

Taken TakeAll(Pacer& pacer, RunTime now, Instant now_local) {
  Taken taken;
  std::array<DueArrival, 64> batch;
  size_t n = batch.size();
  while (n == batch.size()) {
    n = pacer.Take(now, now_local, batch);
    for (size_t k = 0; k < n; ++k) {
      (batch[k].permitted ? taken.permitted : taken.expired).push_back(batch[k].arrival);
    }
  }
  return taken;
}

/// Alone in the cluster, 1000/s for 10 s, local clock = run clock + 5 s.
class PacerTest : public testing::Test {
 protected:
  PacerTest() {
    pacer_.AddSegment(Constant(0, 1000, Nanos(0), seconds(10)));
    pacer_.AddDeal(Alone());
  }
  Taken TakeAt(Nanos now) { return TakeAll(pacer_, At(now), Local(now + seconds(5))); }
  void GrantAt(Nanos now, IntervalIndex last, uint32_t epoch = 1) {
    pacer_.Grant(ShardEpoch(epoch), last, At(now));
  }
  void LeaseAt(Nanos now, Nanos length = seconds(3)) {
    pacer_.ExtendLease(Local(now + seconds(5) + length), Local(now + seconds(5)), At(now));
  }
  Pacer pacer_{{.owner = kMe}};
};

TEST_F(PacerTest, OwesNothingBeforeTheFirstGrant) {
  LeaseAt(seconds(0));
  EXPECT_EQ(TakeAt(seconds(5)).all(), 0u);
  EXPECT_EQ(pacer_.NextDue(), std::nullopt);
}

TEST_F(PacerTest, HandsOutWhatIsDueWithinGrantedIntervals) {
  LeaseAt(-seconds(1));
  GrantAt(-seconds(1), 1);
  EXPECT_EQ(pacer_.NextDue(), At(Nanos(0)));
  EXPECT_EQ(TakeAt(-milliseconds(1)).all(), 0u);
  EXPECT_EQ(TakeAt(Nanos(0)).permitted.size(), 1u);
  EXPECT_EQ(pacer_.NextDue(), At(milliseconds(1)));
  EXPECT_EQ(TakeAt(milliseconds(1) - Nanos(1)).all(), 0u);
  EXPECT_EQ(TakeAt(milliseconds(1)).permitted.size(), 1u);
  EXPECT_EQ(TakeAt(milliseconds(500)).permitted.size(), 499u);
  LeaseAt(milliseconds(500), seconds(5));
  EXPECT_EQ(TakeAt(seconds(4)).permitted.size(), 1499u);  // up to 1999: intervals 0 and 1
  EXPECT_EQ(pacer_.NextDue(), std::nullopt);
}

TEST_F(PacerTest, ArrivalsComeInOrderWithTheirIndices) {
  LeaseAt(Nanos(0), seconds(100));
  GrantAt(Nanos(0), 9);
  const Taken taken = TakeAt(seconds(20));
  ASSERT_EQ(taken.permitted.size(), 10'000u);
  for (uint64_t i = 0; i < 10'000; ++i) {
    ASSERT_EQ(taken.permitted[i].index, i);
    ASSERT_EQ(taken.permitted[i].due, At(milliseconds(i)));
  }
}

TEST_F(PacerTest, WhatWasDueBeforeItsGrantExpires) {
  LeaseAt(Nanos(0), seconds(100));
  GrantAt(milliseconds(250), 0);
  const Taken taken = TakeAt(milliseconds(250));
  EXPECT_EQ(taken.expired.size(), 250u);  // due 0 … 249 ms
  ASSERT_EQ(taken.permitted.size(), 1u);  // due in the instant of the grant
  EXPECT_EQ(taken.permitted[0].due, At(milliseconds(250)));
}

TEST_F(PacerTest, ALateGrantDoesNotTouchWhatWasGrantedInTime) {
  LeaseAt(Nanos(0), seconds(100));
  GrantAt(Nanos(0), 0);
  // The loop was slow: nothing taken until 1.5 s, when intervals 1 and 2 come, late.
  GrantAt(milliseconds(1500), 2);
  const Taken taken = TakeAt(milliseconds(1600));
  EXPECT_EQ(taken.permitted.size(), 1000u + 101u);
  EXPECT_EQ(taken.expired.size(), 500u);
  EXPECT_EQ(taken.expired.front().due, At(seconds(1)));
  EXPECT_EQ(taken.expired.back().due, At(milliseconds(1499)));
}

TEST_F(PacerTest, AWhollyLateGrantExpiresAllOfIt) {
  LeaseAt(Nanos(0), seconds(100));
  GrantAt(seconds(7), 3);
  EXPECT_EQ(TakeAt(seconds(7)).expired.size(), 4000u);
  GrantAt(milliseconds(7500), 7);
  const Taken taken = TakeAt(seconds(8));
  EXPECT_EQ(taken.expired.size(), 3500u);
  EXPECT_EQ(taken.permitted.size(), 500u);
}

TEST_F(PacerTest, GrantsNeverShrink) {
  LeaseAt(Nanos(0), seconds(100));
  GrantAt(Nanos(0), 3);
  GrantAt(Nanos(0), 1);
  EXPECT_EQ(TakeAt(seconds(9)).permitted.size(), 4000u);
}

TEST_F(PacerTest, NothingIsPermittedOnceTheLeaseLapsed) {
  LeaseAt(Nanos(0));
  GrantAt(Nanos(0), 9);
  EXPECT_EQ(TakeAt(seconds(2)).permitted.size(), 2001u);
  EXPECT_TRUE(pacer_.LeaseHolds(Local(seconds(8) - Nanos(1))));
  EXPECT_FALSE(pacer_.LeaseHolds(Local(seconds(8))));
  EXPECT_EQ(TakeAt(seconds(3)).expired.size(), 1000u);
  EXPECT_EQ(TakeAt(milliseconds(3500)).expired.size(), 500u);
  LeaseAt(seconds(4));
  const Taken taken = TakeAt(milliseconds(4200));
  EXPECT_EQ(taken.expired.size(), 499u);  // came due while the lease was lapsed
  EXPECT_EQ(taken.permitted.size(), 201u);
}

TEST_F(PacerTest, RenewalInTimeExpiresNothing) {
  LeaseAt(Nanos(0));
  GrantAt(Nanos(0), 9);
  LeaseAt(milliseconds(2999));
  EXPECT_EQ(TakeAt(milliseconds(5998)).permitted.size(), 5999u);
  pacer_.ExtendLease(Local(seconds(1)));  // an old answer changes nothing
  EXPECT_EQ(pacer_.lease_end(), Local(milliseconds(2999) + seconds(8)));
}

TEST_F(PacerTest, ANewEpochTakesOverAtItsFirstInterval) {
  LeaseAt(Nanos(0), seconds(100));
  GrantAt(Nanos(0), 3);
  pacer_.AddDeal(rate::MakeDeal(ShardEpoch(2), 4, {kOther, kMe}, {1, 1}));
  GrantAt(seconds(1), 5, 2);
  GrantAt(seconds(1), 9, 1);  // never past where the next epoch begins
  const Taken taken = TakeAt(seconds(9));
  ASSERT_EQ(taken.permitted.size(), 4000u + 1000u);
  for (size_t k = 0; k < 4000; ++k) ASSERT_EQ(taken.permitted[k].index, k);
  for (size_t k = 0; k < 1000; ++k) ASSERT_EQ(taken.permitted[4000 + k].index, 4001 + 2 * k);
  EXPECT_EQ(pacer_.NextDue(), std::nullopt);
}

TEST_F(PacerTest, AnOldEpochIsFinishedEvenIfTheNewOneCameFirst) {
  LeaseAt(Nanos(0), seconds(100));
  GrantAt(Nanos(0), 0);
  pacer_.AddDeal(Alone(2, 3));
  GrantAt(milliseconds(500), 4, 2);
  GrantAt(milliseconds(900), 2, 1);
  const Taken taken = TakeAt(milliseconds(4999));
  EXPECT_EQ(taken.permitted.size(), 5000u);
  EXPECT_TRUE(std::is_sorted(taken.permitted.begin(), taken.permitted.end(),
                             [](const auto& a, const auto& b) { return a.due < b.due; }));
}

TEST_F(PacerTest, AFinishedEpochIsNotHandedOutAgainWhenEntriesAreRepeated) {
  LeaseAt(Nanos(0), seconds(100));
  GrantAt(Nanos(0), 3);
  EXPECT_EQ(TakeAt(milliseconds(3999)).permitted.size(), 4000u);
  pacer_.AddDeal(Alone(2, 4));
  GrantAt(milliseconds(3999), 5, 2);
  pacer_.AddSegment(Constant(0, 1000, Nanos(0), seconds(10)));
  pacer_.AddDeal(Alone(1, 0));
  GrantAt(milliseconds(3999), 3, 1);
  GrantAt(milliseconds(3999), 5, 2);
  EXPECT_EQ(TakeAt(seconds(9)).all(), 2000u);
}

TEST_F(PacerTest, AnEpochThatOwnsNothingHereOwesNothing) {
  LeaseAt(Nanos(0), seconds(100));
  pacer_.AddDeal(rate::MakeDeal(ShardEpoch(2), 0, {kOther}, {1}));
  GrantAt(Nanos(0), 9, 2);
  GrantAt(Nanos(0), 9, 7);  // nobody told us about epoch 7
  EXPECT_EQ(TakeAt(seconds(9)).all(), 0u);
}

TEST_F(PacerTest, StopEndsTheScheduleAndAllPermission) {
  LeaseAt(Nanos(0), seconds(100));
  GrantAt(Nanos(0), 9);
  EXPECT_EQ(TakeAt(milliseconds(1400)).permitted.size(), 1401u);
  pacer_.Stop(At(seconds(2)));
  pacer_.Stop(At(seconds(3)));  // a later one changes nothing
  EXPECT_EQ(TakeAt(milliseconds(1500)).expired.size(), 100u);
  EXPECT_EQ(pacer_.NextDue(), At(milliseconds(1501)));
  const Taken rest = TakeAt(seconds(9));
  EXPECT_EQ(rest.permitted.size(), 0u);
  EXPECT_EQ(rest.expired.size(), 499u);
  EXPECT_EQ(pacer_.NextDue(), std::nullopt);
}

TEST_F(PacerTest, ASegmentWhoseEndIsMovedOnGoesOn) {
  LeaseAt(Nanos(0), seconds(100));
  GrantAt(Nanos(0), 11);
  EXPECT_EQ(TakeAt(seconds(11)).permitted.size(), 10'000u);
  pacer_.AddSegment(Constant(0, 1000, Nanos(0), seconds(13)));
  GrantAt(milliseconds(11'500), 14);
  const Taken taken = TakeAt(seconds(20));
  ASSERT_EQ(taken.all(), 3000u);
  EXPECT_EQ(taken.permitted.front().index, 10'000u);
}

TEST_F(PacerTest, SegmentsThatFollowOrOverlapComeMergedByDueTime) {
  pacer_.AddSegment(Constant(1, 500, seconds(9), seconds(2)));
  pacer_.AddSegment(Constant(2, 10, seconds(11), seconds(1)));
  LeaseAt(Nanos(0), seconds(100));
  GrantAt(Nanos(0), 11);
  const Taken taken = TakeAt(seconds(20));
  EXPECT_EQ(taken.permitted.size(), 11'010u);
  EXPECT_TRUE(std::is_sorted(taken.permitted.begin(), taken.permitted.end(),
                             [](const auto& a, const auto& b) { return a.due < b.due; }));
}

/// Every loop of every agent, over three epochs with different owners: together the schedule.
void CheckUnion(ArrivalKind kind) {
  const std::vector<std::shared_ptr<const rate::CompiledSegment>> segments = {
      Constant(0, 700, Nanos(0), milliseconds(4300), kind),
      Constant(1, 1900, milliseconds(4300), milliseconds(3900), kind)};
  const std::vector<Incarnation> agents = {Incarnation(1), Incarnation(2), Incarnation(3)};
  const std::vector<rate::Deal> deals = {
      rate::MakeDeal(ShardEpoch(1), 0, {agents[0], agents[1]}, {1, 2}),
      rate::MakeDeal(ShardEpoch(2), 3, agents, {3, 5, 7}),
      rate::MakeDeal(ShardEpoch(3), 6, {agents[2], agents[0]}, {1, 1})};
  const std::vector<IntervalIndex> last = {2, 5, 8};
  std::map<std::pair<uint32_t, uint64_t>, RunTime> seen;
  std::mt19937 random(5);
  for (const Incarnation& agent : agents) {
    for (uint32_t loop = 0; loop < 3; ++loop) {
      Pacer pacer({.owner = agent, .loops = 3, .loop = loop});
      for (const auto& segment : segments) pacer.AddSegment(segment);
      for (const auto& deal : deals) pacer.AddDeal(deal);
      pacer.ExtendLease(kForever);
      // Grants come in steps of any size and takes in between: the split must not depend on it.
      for (Nanos now(0); now < seconds(10); now += milliseconds(1 + random() % 700)) {
        for (size_t e = 0; e < deals.size(); ++e) {
          const IntervalIndex wanted = IntervalOf(At(now), seconds(1)) + 1 + random() % 2;
          if (wanted < deals[e].first) continue;
          pacer.Grant(deals[e].epoch, std::min(last[e], wanted), At(now));
        }
        for (const auto& arrival : TakeAll(pacer, At(now), Instant(now)).permitted) {
          ASSERT_TRUE(seen.insert({{arrival.segment.value(), arrival.index}, arrival.due}).second)
              << "segment " << arrival.segment << " index " << arrival.index << " came twice";
        }
      }
    }
  }
  size_t wanted = 0;
  for (const auto& segment : segments) {
    wanted += segment->Count();
    for (uint64_t i = 0; i < segment->Count(); ++i) {
      const auto found = seen.find({segment->segment().id.value(), i});
      ASSERT_NE(found, seen.end()) << "index " << i << " never came";
      ASSERT_EQ(found->second, segment->Due(i));
    }
  }
  EXPECT_EQ(seen.size(), wanted);
}

TEST(PacerUnionTest, Regular) { CheckUnion(ArrivalKind::kRegular); }
TEST(PacerUnionTest, Poisson) { CheckUnion(ArrivalKind::kPoisson); }

TEST(PacerLoopsTest, TheJthOwnArrivalGoesToLoopJModLoops) {
  const auto segment = Constant(0, 1000, Nanos(0), seconds(10));
  for (uint32_t loop = 0; loop < 4; ++loop) {
    Pacer pacer({.owner = kMe, .loops = 4, .loop = loop});
    pacer.AddSegment(segment);
    pacer.AddDeal(rate::MakeDeal(ShardEpoch(1), 2, {kMe, kOther, Incarnation(3)}, {1, 1, 1}));
    pacer.ExtendLease(kForever);
    pacer.Grant(ShardEpoch(1), 9, At(seconds(0)));
    const Taken taken = TakeAll(pacer, At(seconds(10)), Local(seconds(1)));
    // Own indices from 2000 on are 2001, 2004, …: j = 0, 1, ….
    ASSERT_EQ(taken.permitted.size(), loop < 3 ? 667u : 666u);
    for (size_t k = 0; k < taken.permitted.size(); ++k) {
      ASSERT_EQ(taken.permitted[k].index, 2001 + 3 * (4 * k + loop));
    }
  }
}

}  // namespace
}  // namespace broadside::agent
