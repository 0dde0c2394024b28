#include <gtest/gtest.h>

#include <map>

#include "common/rate/hash.h"
#include "common/rate/philox.h"
#include "common/rate/poisson.h"
#include "common/rate/schedule.h"

namespace broadside::rate {
namespace {

struct ProfileCorner {
  uint32_t profile;
  int64_t at;
  MicroRate rate;
};
struct RegularDue {
  uint32_t profile;
  uint64_t index;
  int64_t due;
};
struct RegularCount {
  uint32_t profile;
  int64_t at;
  uint64_t count;
};
struct BlockCount {
  uint32_t segment;
  uint64_t block;
  uint64_t count;
};
struct BlockPoint {
  uint32_t segment;
  uint64_t block;
  uint64_t number;
  uint64_t femto;
};
struct PoissonDue {
  uint32_t profile;
  uint64_t count;
  uint64_t index;
  int64_t due;
  uint64_t slot_of_1000;
};
struct Choice {
  uint32_t segment;
  uint64_t index;
  uint32_t target;
  uint64_t payload_of_1000;
};
struct ReplayDue {
  int64_t speed_num;
  int64_t speed_den;
  int64_t instant;
  int64_t due;
};
#include "tests/common/rate/golden.inc"

constexpr uint64_t kSeed = 20261124;

Segment GoldenSegment(uint32_t profile, ArrivalKind kind) {
  Segment segment;
  segment.id = SegmentId(profile);
  segment.kind = kind;
  segment.seed = kSeed;
  segment.mix = {{TargetIndex(0), 1}};
  for (const ProfileCorner& corner : kProfileCorners) {
    if (corner.profile == profile) segment.knots.push_back({Nanos(corner.at), corner.rate});
  }
  segment.length = segment.knots.back().at;
  return segment;
}

/// Compiled once for each number, since rows come in groups.
const CompiledSegment& Golden(uint32_t profile, ArrivalKind kind) {
  static std::map<std::pair<uint32_t, ArrivalKind>, std::shared_ptr<const CompiledSegment>> made;
  auto& slot = made[{profile, kind}];
  if (slot == nullptr) slot = CompiledSegment::Make(GoldenSegment(profile, kind)).value();
  return *slot;
}

RunTime At(int64_t ns) { return RunTime(Nanos(ns)); }

TEST(GoldenTest, RegularDueTimes) {
  for (const RegularDue& row : kRegularDues) {
    EXPECT_EQ(Golden(row.profile, ArrivalKind::kRegular).Due(row.index), At(row.due))
        << "profile " << row.profile << " index " << row.index;
  }
}

TEST(GoldenTest, RegularCounts) {
  for (const RegularCount& row : kRegularCounts) {
    EXPECT_EQ(Golden(row.profile, ArrivalKind::kRegular).CountBefore(At(row.at)), row.count)
        << "profile " << row.profile << " at " << row.at;
  }
}

TEST(GoldenTest, PoissonBlocks) {
  using internal::PoissonProcess;
  const auto key = [](uint32_t segment) {
    return internal::KeyOf(kSeed, SegmentId(segment), internal::Use::kPoisson);
  };
  for (const BlockCount& row : kBlockCounts) {
    EXPECT_EQ(PoissonProcess::CountIn(key(row.segment), row.block), static_cast<int>(row.count));
  }
  for (const BlockPoint& row : kBlockPoints) {
    PoissonProcess::Buffer points;
    const int count = PoissonProcess::CountIn(key(row.segment), row.block);
    PoissonProcess::Positions(key(row.segment), row.block, count, points);
    EXPECT_EQ(points[row.number], row.femto) << "block " << row.block << " point " << row.number;
  }
}

TEST(GoldenTest, PoissonDueTimesAndOwners) {
  for (const PoissonDue& row : kPoissonDues) {
    const CompiledSegment& segment = Golden(row.profile, ArrivalKind::kPoisson);
    EXPECT_EQ(segment.Count(), row.count);
    EXPECT_EQ(segment.Due(row.index), At(row.due)) << row.profile << " index " << row.index;
    EXPECT_EQ(segment.SlotOf(row.index, 1000), row.slot_of_1000);
  }
}

TEST(GoldenTest, TargetsAndPayloads) {
  for (const Choice& row : kChoices) {
    Segment segment = GoldenSegment(0, ArrivalKind::kRegular);
    segment.id = SegmentId(row.segment);
    segment.mix = {
        {TargetIndex(0), 5}, {TargetIndex(1), 3}, {TargetIndex(2), 1}, {TargetIndex(3), 7}};
    const auto compiled = CompiledSegment::Make(segment).value();
    EXPECT_EQ(compiled->TargetOf(row.index), TargetIndex(row.target));
    EXPECT_EQ(compiled->PayloadOf(row.index, 1000), row.payload_of_1000);
  }
}

TEST(GoldenTest, ReplayDueTimes) {
  for (const ReplayDue& row : kReplayDues) {
    Segment segment;
    segment.kind = ArrivalKind::kList;
    segment.start = At(1000);
    segment.length = kMaxSegmentLength;
    segment.mix = {{TargetIndex(0), 1}};
    segment.replay.speed_num = row.speed_num;
    segment.replay.speed_den = row.speed_den;
    const auto list = std::make_shared<const std::vector<int64_t>>(1, row.instant);
    const auto compiled = CompiledSegment::Make(segment, list).value();
    if (row.due >= kMaxSegmentLength.count()) {
      EXPECT_EQ(compiled->Count(), 0u);
      continue;
    }
    ASSERT_EQ(compiled->Count(), 1u);
    EXPECT_EQ(compiled->Due(0), At(1000 + row.due));
  }
}

/// The known answers that the authors of Random123 publish with it.
TEST(PhiloxTest, PublishedAnswers) {
  using Answer = std::array<uint32_t, 4>;
  EXPECT_EQ(internal::Philox({0, 0, 0, 0}, {0, 0}),
            (Answer{0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8}));
  EXPECT_EQ(internal::Philox({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}),
            (Answer{0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD}));
  EXPECT_EQ(
      internal::Philox({0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344}, {0xA4093822, 0x299F31D0}),
      (Answer{0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1}));
}

}  // namespace
}  // namespace broadside::rate
