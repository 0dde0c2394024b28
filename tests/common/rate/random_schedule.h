#pragma once

#include <algorithm>
#include <memory>
#include <random>
#include <vector>

#include "common/rate/schedule.h"

/// Random segments for property tests, the same for the same generator state.
namespace broadside::rate {

inline uint64_t Below(std::mt19937_64& random, uint64_t n) { return random() % n; }

/// A profile of up to six pieces, steep, flat and silent ones among them, with at most about
/// `arrivals` arrivals.
inline std::vector<Knot> RandomKnots(std::mt19937_64& random, Nanos length, uint64_t arrivals) {
  const double seconds = static_cast<double>(length.count()) * 1e-9;
  const auto most = static_cast<MicroRate>(
      std::min(static_cast<double>(kMaxMicroRate), static_cast<double>(arrivals) / seconds * 1e6));
  std::vector<int64_t> corners = {0, length.count()};
  for (uint64_t k = Below(random, 6); k > 0; --k) {
    corners.push_back(static_cast<int64_t>(Below(random, static_cast<uint64_t>(length.count()))));
  }
  std::sort(corners.begin(), corners.end());
  corners.erase(std::unique(corners.begin(), corners.end()), corners.end());
  std::vector<Knot> knots;
  for (int64_t at : corners) {
    MicroRate rate = static_cast<MicroRate>(Below(random, static_cast<uint64_t>(most) + 1));
    if (!knots.empty() && Below(random, 3) == 0) rate = knots.back().rate;
    if (Below(random, 5) == 0) rate = 0;
    knots.push_back({Nanos(at), rate});
  }
  return knots;
}

inline std::shared_ptr<const CompiledSegment> RandomSegment(std::mt19937_64& random, SegmentId id,
                                                            RunTime start, uint64_t arrivals) {
  Segment segment{.id = id, .phase = PhaseIndex(id.value()), .start = start};
  segment.length = Nanos(static_cast<int64_t>(1 + Below(random, 12'000'000'000)));
  segment.seed = random();
  for (uint32_t t = 0; t <= Below(random, 4); ++t) {
    segment.mix.push_back({TargetIndex(t), 1 + Below(random, 9)});
  }
  std::shared_ptr<std::vector<int64_t>> list;
  switch (Below(random, 3)) {
    case 0:
      segment.kind = ArrivalKind::kList;
      segment.replay.speed_num = static_cast<int64_t>(1 + Below(random, 9));
      segment.replay.speed_den = static_cast<int64_t>(1 + Below(random, 9));
      list = std::make_shared<std::vector<int64_t>>(Below(random, arrivals));
      for (int64_t& t : *list) t = static_cast<int64_t>(Below(random, 13'000'000'000));
      std::sort(list->begin(), list->end());
      break;
    case 1:
      segment.kind = ArrivalKind::kPoisson;
      [[fallthrough]];
    default:
      segment.knots = RandomKnots(random, segment.length, arrivals);
  }
  return CompiledSegment::Make(segment, list).value();
}

}  // namespace broadside::rate
