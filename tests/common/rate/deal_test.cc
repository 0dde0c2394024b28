#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <map>
#include <numeric>
#include <random>

#include "common/base/int128.h"
#include "common/rate/profile.h"
#include "common/rate/schedule.h"
#include "tests/common/rate/random_schedule.h"

namespace broadside::rate {
namespace {

std::vector<Incarnation> Owners(size_t n) {
  std::vector<Incarnation> owners;
  for (size_t k = 0; k < n; ++k) owners.push_back(Incarnation(1000 + k));
  return owners;
}

Deal EqualDeal(size_t n) {
  return MakeDeal(ShardEpoch(1), 0, Owners(n), std::vector<uint64_t>(n, 1));
}

std::map<int32_t, size_t> SlotsByOwner(const Deal& deal) {
  std::map<int32_t, size_t> slots;
  for (int32_t owner : deal.slots) ++slots[owner];
  return slots;
}

std::shared_ptr<const CompiledSegment> WithMix(const std::vector<uint64_t>& weights,
                                               uint64_t seed = 1) {
  Segment segment{.length = kMaxSegmentLength, .seed = seed};
  segment.knots = ConstantKnots(kMaxMicroRate, segment.length);
  for (uint32_t t = 0; t < weights.size(); ++t) {
    segment.mix.push_back({TargetIndex(t), weights[t]});
  }
  return CompiledSegment::Make(segment).value();
}

TEST(MakeDealTest, IsInterleavedByWeight) {
  EXPECT_EQ(EqualDeal(3).slots, (std::vector<int32_t>{0, 1, 2}));
  EXPECT_EQ(MakeDeal(ShardEpoch(1), 0, Owners(2), {20, 10}).slots, (std::vector<int32_t>{0, 1, 0}));
  const Deal deal = MakeDeal(ShardEpoch(7), 42, Owners(2), {5, 2}, 1);
  EXPECT_EQ(deal.epoch, ShardEpoch(7));
  EXPECT_EQ(deal.first, 42);
  EXPECT_EQ(deal.owners, Owners(2));
  EXPECT_EQ(deal.slots, (std::vector<int32_t>{0, 1, 0, 0, Deal::kNobody, 0, 1, 0}));
}

TEST(MakeDealTest, NobodyOwnsWhatHasNoWeight) {
  EXPECT_EQ(MakeDeal(ShardEpoch(1), 0, {}, {}).slots, std::vector<int32_t>{Deal::kNobody});
  EXPECT_EQ(MakeDeal(ShardEpoch(1), 0, Owners(2), {0, 0}).slots,
            std::vector<int32_t>{Deal::kNobody});
  EXPECT_EQ(MakeDeal(ShardEpoch(1), 0, Owners(2), {0, 3}).slots, std::vector<int32_t>{1});
  EXPECT_EQ(MakeDeal(ShardEpoch(1), 0, Owners(1), {1}, 1).slots,
            (std::vector<int32_t>{0, Deal::kNobody}));
}

TEST(MakeDealTest, SharesAreWithinAThousandthAndTablesBounded) {
  std::mt19937_64 random(11);
  for (int round = 0; round < 8; ++round) {
    const size_t n = 1 + Below(random, 30);
    std::vector<uint64_t> weights;
    for (size_t k = 0; k < n; ++k) weights.push_back(100'000 + Below(random, 900'000));
    const uint64_t nobody = round % 2 == 0 ? 0 : 50'000 + Below(random, 9'000'000);
    const Deal deal = MakeDeal(ShardEpoch(1), 0, Owners(n), weights, nobody);
    ASSERT_LE(deal.slots.size(), 65536u);
    const double total =
        static_cast<double>(std::accumulate(weights.begin(), weights.end(), nobody));
    auto slots = SlotsByOwner(deal);
    for (size_t k = 0; k < n; ++k) {
      const double share = static_cast<double>(slots[static_cast<int32_t>(k)]) /
                           static_cast<double>(deal.slots.size());
      const double wanted = static_cast<double>(weights[k]) / total;
      ASSERT_NEAR(share, wanted, wanted * 0.001) << "round " << round;
    }
  }
}

TEST(MakeDealTest, AVerySmallWeightStillGetsASlot) {
  const Deal deal = MakeDeal(ShardEpoch(1), 0, Owners(3), {1'000'000'000'000, 1, 999'999'999'999});
  auto slots = SlotsByOwner(deal);
  EXPECT_LE(deal.slots.size(), 65536u);
  EXPECT_EQ(slots[1], 1u);
  EXPECT_NEAR(static_cast<double>(slots[0]), static_cast<double>(slots[2]), 1);
}

/// Exactly the union: every index once, in order, in the hands of the owner that the deal names.
TEST(StripeTest, StripesOverAllDealsAreTheSchedule) {
  constexpr Nanos kInterval = std::chrono::seconds(1);
  std::mt19937_64 random(23);
  for (int round = 0; round < 50; ++round) {
    const RunTime start(Nanos(static_cast<int64_t>(Below(random, 3'000'000'000))));
    const auto segment = RandomSegment(random, SegmentId(4), start, 2500);
    std::vector<Deal> deals;
    IntervalIndex first = 0;
    for (uint32_t e = 1; first <= IntervalOf(segment->end(), kInterval); ++e) {
      const size_t n = 1 + Below(random, 7);
      std::vector<uint64_t> weights;
      for (size_t k = 0; k < n; ++k) weights.push_back(Below(random, 6));
      deals.push_back(MakeDeal(ShardEpoch(e), first, Owners(n), weights, Below(random, 2)));
      first += static_cast<IntervalIndex>(1 + Below(random, 5));
    }
    std::vector<int> seen(segment->Count());
    for (size_t d = 0; d < deals.size(); ++d) {
      const RunTime from = std::max(start, IntervalStart(deals[d].first, kInterval));
      const RunTime to =
          d + 1 < deals.size() ? IntervalStart(deals[d + 1].first, kInterval) : segment->end();
      const auto loops = static_cast<uint32_t>(1 + Below(random, 3));
      for (const Incarnation& owner : deals[d].owners) {
        for (uint32_t loop = 0; loop < loops; ++loop) {
          Stripe stripe(segment, deals[d], owner, from, to, {loop, loops});
          RunTime last = from;
          for (; stripe.Peek() != nullptr; stripe.Pop()) {
            const Arrival arrival = *stripe.Peek();
            ASSERT_EQ(arrival, segment->At(arrival.index));
            ASSERT_GE(arrival.due, last);
            ASSERT_LT(arrival.due, to);
            last = arrival.due;
            const int32_t slot =
                deals[d].slots[segment->SlotOf(arrival.index, deals[d].slots.size())];
            ASSERT_EQ(deals[d].owners[static_cast<size_t>(slot)], owner);
            ++seen[arrival.index];
          }
        }
      }
      for (uint64_t i = segment->CountBefore(from); i < segment->CountBefore(to); ++i) {
        const int32_t slot = deals[d].slots[segment->SlotOf(i, deals[d].slots.size())];
        ASSERT_EQ(seen[i], slot == Deal::kNobody ? 0 : 1) << "round " << round << " index " << i;
      }
    }
  }
}

TEST(StripeTest, ExtendGoesOnWhereItWas) {
  std::mt19937_64 random(31);
  for (int round = 0; round < 60; ++round) {
    Segment segment{.length = std::chrono::seconds(2), .seed = random()};
    segment.kind = round % 2 == 0 ? ArrivalKind::kRegular : ArrivalKind::kPoisson;
    segment.knots =
        ConstantKnots(static_cast<int64_t>(Below(random, 300)) * kMicroPerUnit, segment.length);
    segment.mix = {{TargetIndex(0), 1}};
    const auto made = CompiledSegment::Make(segment).value();
    segment.length = segment.knots.back().at = std::chrono::seconds(5);
    const auto longer = CompiledSegment::Make(segment).value();
    const Deal deal = MakeDeal(ShardEpoch(1), 0, Owners(4), {1, 2, 3, 4});
    const Stripe::Part part{1, 2};
    Stripe whole(longer, deal, Owners(4)[2], RunStart(), longer->end(), part);
    Stripe grown(made, deal, Owners(4)[2], RunStart(), made->end(), part);
    for (uint64_t pops = Below(random, 200); pops > 0 && grown.Peek() != nullptr; --pops) {
      ASSERT_EQ(*grown.Peek(), *whole.Peek());
      grown.Pop();
      whole.Pop();
    }
    grown.Extend(longer, longer->end());
    for (; whole.Peek() != nullptr; whole.Pop(), grown.Pop()) {
      ASSERT_NE(grown.Peek(), nullptr);
      ASSERT_EQ(*grown.Peek(), *whole.Peek());
    }
    ASSERT_EQ(grown.Peek(), nullptr);
  }
}

/// The sum of floor((a·k + b) / 2^64) over k < n, by the Euclidean algorithm.
uint128 FloorSum(uint64_t n, uint128 m, uint128 a, uint128 b) {
  uint128 sum = 0;
  while (n > 0) {
    sum += uint128{n} * (n - 1) / 2 * (a / m) + n * (b / m);
    a %= m;
    b %= m;
    const uint128 top = a * n + b;
    n = static_cast<uint64_t>(top / m);
    b = top % m;
    std::swap(a, m);
  }
  return sum;
}

TEST(MixTest, PrefixesAreExactWithinEightArrivals) {
  for (const std::vector<uint64_t>& weights :
       {std::vector<uint64_t>{1, 1}, {1, 1, 1}, {1, 9}, {5, 3, 1, 7}, {1, 999}}) {
    const double total =
        static_cast<double>(std::accumulate(weights.begin(), weights.end(), uint64_t{0}));
    for (uint64_t seed : {1, 2, 3}) {
      const auto segment = WithMix(weights, seed);
      std::vector<double> seen(weights.size());
      for (uint64_t i = 0; i < 150'000; ++i) {
        ++seen[segment->TargetOf(i).value()];
        for (size_t t = 0; t < weights.size(); ++t) {
          const double wanted =
              static_cast<double>(weights[t]) / total * static_cast<double>(i + 1);
          ASSERT_NEAR(seen[t], wanted, 8) << "prefix " << i + 1;
        }
      }
    }
  }
}

/// Far beyond what can be walked: #{i < n: i·α + β mod 2^64 < w} as a difference of floor sums.
TEST(MixTest, PrefixesUpToABillionAreExactWithinEightArrivals) {
  constexpr uint64_t kGolden = 0x9E3779B97F4A7C15u;
  const uint128 one = uint128{1} << 64;
  std::mt19937_64 random(17);
  for (int round = 0; round < 20'000; ++round) {
    const uint64_t n = 1 + Below(random, 1'000'000'000);
    const uint64_t beta = random();
    const uint64_t width = random();
    // x mod 2^64 < width ⇔ floor((x + 2^64 − width) / 2^64) differs from floor(x / 2^64) by 0.
    const uint128 wrapped =
        FloorSum(n, one, kGolden, beta + (one - width)) - FloorSum(n, one, kGolden, beta);
    const double inside = static_cast<double>(n - static_cast<uint64_t>(wrapped));
    const double wanted = static_cast<double>(width) / std::pow(2.0, 64) * static_cast<double>(n);
    ASSERT_NEAR(inside, wanted, 8);
  }
}

TEST(MixTest, ThreeTargetsOverThreeAgentsAreMixedOnEach) {
  const auto segment = WithMix({1, 1, 1});
  const Deal deal = EqualDeal(3);
  for (uint64_t agent = 0; agent < 3; ++agent) {
    std::array<int, 3> seen{};
    for (uint64_t j = 0; j < 300; ++j) ++seen[segment->TargetOf(3 * j + agent).value()];
    for (int n : seen) EXPECT_NEAR(n, 100, 4);
  }
}

/// Largest distance, over some owners, between a target's own share after 10⁵ own arrivals and what
/// it should be.
double OwnMixError(const Deal& deal, const CompiledSegment& segment) {
  constexpr int kArrivals = 100'000;
  double total = 0;
  for (const TargetShare& share : segment.segment().mix) total += static_cast<double>(share.weight);
  double worst = 0;
  const auto last = static_cast<int32_t>(deal.owners.size()) - 1;
  for (int32_t owner : {0, last / 2, last}) {
    std::vector<uint64_t> own;
    for (uint64_t slot = 0; slot < deal.slots.size(); ++slot) {
      if (deal.slots[slot] == owner) own.push_back(slot);
    }
    std::vector<int> seen(segment.segment().mix.size());
    for (size_t j = 0; j < kArrivals; ++j) {
      ++seen[segment.TargetOf(j / own.size() * deal.slots.size() + own[j % own.size()]).value()];
    }
    for (size_t t = 0; t < seen.size(); ++t) {
      const double share = static_cast<double>(segment.segment().mix[t].weight) / total;
      worst = std::max(worst, std::abs(seen[t] / double{kArrivals} - share));
    }
  }
  return worst;
}

/// Fibonacci and Lucas numbers, their multiples, and what an exhaustive search found to be worst:
/// there one slot in n follows the target sequence with a step close to a simple fraction.
TEST(MixTest, EachOwnersOwnMixIsExactWithinAThousandth) {
  const auto even = WithMix({1, 1});
  const auto uneven = WithMix({3, 2, 5});
  for (size_t n : {1,   2,   3,   5,   8,   13,  21,  55,  89,  123, 128,  144,  199, 233,
                   288, 322, 377, 466, 521, 610, 644, 843, 966, 987, 1000, 1008, 1042}) {
    const Deal deal = EqualDeal(n);
    ASSERT_LE(deal.slots.size(), 65536u);
    EXPECT_LE(OwnMixError(deal, *even), 0.001) << n << " owners";
    EXPECT_LE(OwnMixError(deal, *uneven), 0.001) << n << " owners";
  }
}

TEST(MixTest, OwnMixHoldsForWeightsToo) {
  std::mt19937_64 random(41);
  const auto segment = WithMix({1, 4, 2});
  for (int round = 0; round < 20; ++round) {
    const size_t n = 2 + Below(random, 200);
    std::vector<uint64_t> weights;
    for (size_t k = 0; k < n; ++k) weights.push_back(1 + Below(random, 8));
    const Deal deal = MakeDeal(ShardEpoch(1), 0, Owners(n), weights);
    EXPECT_LE(OwnMixError(deal, *segment), 0.001) << n << " owners";
  }
}

TEST(MixTest, PayloadsAreEvenAndIndependentOfTargets) {
  const auto segment = WithMix({1, 1});
  std::map<std::pair<uint32_t, uint64_t>, int> seen;
  for (uint64_t i = 0; i < 100'000; ++i) {
    ++seen[{segment->TargetOf(i).value(), segment->PayloadOf(i, 5)}];
  }
  ASSERT_EQ(seen.size(), 10u);
  for (const auto& [pair, n] : seen) EXPECT_NEAR(n, 10'000, 40);
}

}  // namespace
}  // namespace broadside::rate
