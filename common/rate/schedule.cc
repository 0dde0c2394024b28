#include "common/rate/schedule.h"

#include <algorithm>
#include <utility>

#include "common/base/check.h"
#include "common/rate/hash.h"
#include "common/rate/tables.h"

namespace broadside::rate {
namespace {

using internal::KeyOf;
using internal::kFemto;
using internal::ListDue;
using internal::Use;

/// floor(a / 2) for a ≥ 0, but −1 for a < 0.
int128 HalfDown(int128 doubled) { return doubled < 0 ? -1 : doubled / 2; }

Status Broken(const Segment& segment, const std::string& what) {
  return InvalidArgument("segment " + std::to_string(segment.id.value()) + ": " + what);
}

Status CheckKnots(const Segment& segment) {
  const std::vector<Knot>& knots = segment.knots;
  if (knots.size() < 2) return Broken(segment, "a rate profile needs at least two knots");
  if (knots.front().at != Nanos(0)) return Broken(segment, "the first knot must be at 0");
  if (knots.back().at != segment.length) {
    return Broken(segment, "the last knot must be at the segment's end");
  }
  for (size_t k = 0; k < knots.size(); ++k) {
    if (k > 0 && knots[k].at <= knots[k - 1].at) {
      return Broken(segment, "knot " + std::to_string(k) + " is not later than the one before");
    }
    if (knots[k].rate < 0 || knots[k].rate > kMaxMicroRate) {
      return Broken(segment, "knot " + std::to_string(k) + " has a rate of " +
                                 std::to_string(knots[k].rate) +
                                 " micro-requests/s; allowed is 0 to 10000000/s");
    }
  }
  return absl::OkStatus();
}

Status CheckList(const Segment& segment, const std::vector<int64_t>* list) {
  if (list == nullptr) return Broken(segment, "a replay needs its recorded instants");
  if (!segment.knots.empty()) return Broken(segment, "a replay has no rate profile");
  constexpr int64_t kMaxTerm = int64_t{1} << 40;
  for (int64_t term : {segment.replay.speed_num, segment.replay.speed_den}) {
    if (term <= 0 || term > kMaxTerm) {
      return Broken(segment, "a replay's speed must be a ratio of integers from 1 to 2^40");
    }
  }
  if (!list->empty() && list->front() < 0) {
    return Broken(segment, "the first recorded instant is before 0");
  }
  if (!std::is_sorted(list->begin(), list->end())) {
    return Broken(segment, "recorded instants must never fall");
  }
  return absl::OkStatus();
}

Status CheckMix(const Segment& segment) {
  int128 total = 0;
  for (const TargetShare& share : segment.mix) {
    if (share.weight == 0) return Broken(segment, "a target's weight must be above 0");
    total += share.weight;
  }
  if (total >= int128{1} << 63) return Broken(segment, "the targets' weights must sum below 2^63");
  return absl::OkStatus();
}

Status Check(const Segment& segment, const std::vector<int64_t>* list) {
  if (segment.length <= Nanos(0) || segment.length > kMaxSegmentLength) {
    return Broken(segment, "a length of " + std::to_string(segment.length.count()) +
                               " ns; allowed is above 0 and up to 24 h");
  }
  BROADSIDE_RETURN_IF_ERROR(CheckMix(segment));
  if (segment.kind == ArrivalKind::kList) return CheckList(segment, list);
  if (list != nullptr) return Broken(segment, "only a replay has recorded instants");
  return CheckKnots(segment);
}

}  // namespace

CompiledSegment::CompiledSegment(Segment segment, std::shared_ptr<const internal::Tables> tables)
    : segment_(std::move(segment)), tables_(std::move(tables)) {
  count_ = CountBefore(end());
}

StatusOr<std::shared_ptr<const CompiledSegment>> CompiledSegment::Make(
    Segment segment, std::shared_ptr<const std::vector<int64_t>> list) {
  BROADSIDE_RETURN_IF_ERROR(Check(segment, list.get()));
  auto tables = std::make_shared<internal::Tables>();
  const auto key = [&](Use use) { return KeyOf(segment.seed, segment.id, use); };
  tables->mix = internal::Mix64(segment.mix, key(Use::kTarget), key(Use::kPayload));
  tables->owner_key = key(Use::kOwner);
  tables->list = std::move(list);
  if (segment.kind != ArrivalKind::kList) tables->integral.emplace(segment.knots);
  if (segment.kind == ArrivalKind::kPoisson) {
    const int128 limit = HalfDown(tables->integral->DoubledTotal());
    if (limit / kFemto > int128{kMaxPoissonArrivals}) {
      return Broken(segment, "more than 10^11 Poisson arrivals; divide the phase");
    }
    tables->poisson.emplace(key(Use::kPoisson), limit);
  }
  std::shared_ptr<const CompiledSegment> made(
      new CompiledSegment(std::move(segment), std::move(tables)));
  if (made->Count() > 0 && made->segment().mix.empty()) {
    return Broken(made->segment(), "arrivals without a target: the mix is empty");
  }
  return made;
}

RunTime CompiledSegment::Due(uint64_t index) const {
  BROADSIDE_CHECK(index < count_);
  int64_t after_start = 0;
  switch (segment_.kind) {
    case ArrivalKind::kRegular:
      after_start = tables_->integral->Inverse(int128{2} * kFemto * index);
      break;
    case ArrivalKind::kPoisson:
      after_start = tables_->integral->Inverse(2 * tables_->poisson->PositionOf(index));
      break;
    case ArrivalKind::kList:
      after_start = ListDue((*tables_->list)[index], segment_.replay);
      break;
  }
  return segment_.start + Nanos(after_start);
}

uint64_t CompiledSegment::CountBefore(RunTime at) const {
  const int64_t x = (std::min(at, end()) - segment_.start).count();
  if (x <= 0) return 0;
  switch (segment_.kind) {
    case ArrivalKind::kRegular: {
      // due(i) < x, that is due(i) ≤ x − 1, means Λ(x − 1) ≥ i.
      if (tables_->integral->DoubledTotal() == 0) return 0;
      return static_cast<uint64_t>(tables_->integral->Doubled(x - 1) / (int128{2} * kFemto)) + 1;
    }
    case ArrivalKind::kPoisson:
      if (tables_->integral->DoubledTotal() == 0) return 0;
      return tables_->poisson->CountUpTo(HalfDown(tables_->integral->Doubled(x - 1)));
    case ArrivalKind::kList: {
      const auto past = std::partition_point(
          tables_->list->begin(), tables_->list->end(),
          [&](int64_t instant) { return ListDue(instant, segment_.replay) < x; });
      return static_cast<uint64_t>(past - tables_->list->begin());
    }
  }
  return 0;
}

TargetIndex CompiledSegment::TargetOf(uint64_t index) const { return tables_->mix.TargetOf(index); }

uint64_t CompiledSegment::PayloadOf(uint64_t index, uint64_t choices) const {
  return tables_->mix.PayloadOf(index, choices);
}

uint64_t CompiledSegment::SlotOf(uint64_t index, uint64_t slots) const {
  if (segment_.kind != ArrivalKind::kPoisson) return index % slots;
  return internal::MulHigh(internal::HashIndex(tables_->owner_key, index), slots);
}

Arrival CompiledSegment::At(uint64_t index) const {
  return {.segment = segment_.id,
          .index = index,
          .phase = segment_.phase,
          .target = TargetOf(index),
          .due = Due(index)};
}

}  // namespace broadside::rate
