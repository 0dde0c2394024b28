#include "common/time/clock_map.h"

#include <algorithm>

#include "common/base/check.h"
#include "common/base/int128.h"
#include "common/base/mutants.h"

namespace broadside {
namespace {

constexpr int32_t kSlewPpm = 500;
constexpr int64_t kMillion = 1'000'000;
constexpr Nanos kSampleLife = std::chrono::seconds(60);
constexpr int64_t kDriftDivisor = 1000;  ///< 1000 ppm = 1/1000

/// How much of its correction `fit` has made `elapsed` after it began.
Nanos Corrected(const ClockFit& fit, Nanos elapsed) {
  if (elapsed <= Nanos(0) || fit.slew_ppm == 0) return Nanos(0);
  const int128 size = fit.slew_ppm < 0 ? -fit.slew_ppm : fit.slew_ppm;
  const int64_t total =
      fit.slew_total.count() < 0 ? -fit.slew_total.count() : fit.slew_total.count();
  const auto done =
      static_cast<int64_t>(std::min<int128>(total, int128{elapsed.count()} * size / kMillion));
  return Nanos(fit.slew_ppm < 0 ? -done : done);
}

}  // namespace

RunTime ClockFit::RunAt(Instant local) const {
  const Nanos elapsed = local - local_at;
  return run_at + elapsed + Corrected(*this, elapsed);
}

Instant ClockFit::LocalAt(RunTime run) const {
  const Nanos ahead = run - run_at;
  if (ahead <= Nanos(0)) return local_at + ahead;
  // Where the slew would have brought it, or where it comes out when the slew is done; rounding
  // puts both at most a few ns from the answer.
  const auto slewing =
      static_cast<int64_t>(int128{ahead.count()} * kMillion / (kMillion + slew_ppm));
  const Nanos done = ahead - slew_total;
  Nanos elapsed =
      slew_total < Nanos(0) ? std::min(Nanos(slewing), done) : std::max(Nanos(slewing), done);
  while (RunAt(local_at + elapsed) < run) ++elapsed;
  while (RunAt(local_at + elapsed - Nanos(1)) >= run) --elapsed;
  return local_at + elapsed;
}

Nanos ClockMap::BoundOf(const Sample& sample, Instant now) {
  const int64_t age = std::max<int64_t>(0, (now - sample.sent).count());
  return Nanos((sample.round_trip.count() + 1) / 2 + (age + kDriftDivisor - 1) / kDriftDivisor);
}

void ClockMap::AddSample(Instant sent, Instant remote_received, Instant remote_answered,
                         Instant received) {
  const Nanos round_trip = (received - sent) - (remote_answered - remote_received);
  if (round_trip < Nanos(0) || received < sent) return;
  const Nanos there = remote_received.time_since_epoch() - sent.time_since_epoch();
  const Nanos back = remote_answered.time_since_epoch() - received.time_since_epoch();
  const Sample sample{.sent = sent, .offset = there + (back - there) / 2, .round_trip = round_trip};
  // All bounds grow alike, so an older sample that is no better now never will be.
  while (!samples_.empty() && BoundOf(samples_.back(), received) >= BoundOf(sample, received)) {
    samples_.pop_back();
  }
  samples_.push_back(sample);
  while (samples_.size() > 1 && received - samples_.front().sent > kSampleLife) {
    samples_.pop_front();
  }
}

void ClockMap::SetStart(Instant remote_t0) {
  if (t0_ != remote_t0) fitted_ = false;
  t0_ = remote_t0;
}

void ClockMap::ChangeRemote(Instant remote_t0) {
  samples_.clear();
  t0_ = remote_t0;
}

RunTime ClockMap::WantedRunAt(Instant now) const {
  return RunTime(now - t0_ + samples_.front().offset);
}

ClockFit ClockMap::Fit(Instant now) {
  BROADSIDE_CHECK(ready() || fitted_);
  if (!fitted_ || MutantIs(Mutant::kStepClock)) {
    fit_ = {.local_at = now, .run_at = WantedRunAt(now)};
    fitted_ = true;
    return fit_;
  }
  const Nanos pending = PendingSlew(now);
  fit_ = {.local_at = now, .run_at = fit_.RunAt(now), .slew_total = pending};
  if (pending != Nanos(0)) fit_.slew_ppm = pending < Nanos(0) ? -kSlewPpm : kSlewPpm;
  return fit_;
}

Nanos ClockMap::Bound(Instant now) const {
  return samples_.empty() ? Nanos::max() : BoundOf(samples_.front(), now);
}

Nanos ClockMap::PendingSlew(Instant now) const {
  if (!fitted_) return Nanos(0);
  if (samples_.empty()) return fit_.slew_total - Corrected(fit_, now - fit_.local_at);
  return WantedRunAt(now) - fit_.RunAt(now);
}

}  // namespace broadside
