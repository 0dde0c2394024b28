#include "tests/target/station.h"

#include <algorithm>
#include <functional>

namespace broadside::target {

Station::Station(const StationOptions& options)
    : options_(options), free_at_(options.workers, Instant(Nanos(0))) {}

void Station::Forget(Instant now) {
  while (!starts_.empty() && starts_.front() <= now) starts_.pop_front();
}

Admission Station::Admit(Instant now, Nanos service) {
  std::lock_guard lock(mutex_);
  const Instant earliest = std::max(now, stalled_until_);
  if (options_.workers == 0) return {Admission::Kind::kServe, earliest + service};
  Forget(now);
  const Instant start = std::max(earliest, free_at_.front());
  const bool waits = start > now;
  if (waits && options_.queue && starts_.size() >= *options_.queue) {
    return {Admission::Kind::kQueueFull, earliest};
  }
  if (options_.queue_timeout && start - now > *options_.queue_timeout) {
    return {Admission::Kind::kQueueTimeout, std::max(now + *options_.queue_timeout, earliest)};
  }
  if (waits) starts_.push_back(start);
  std::pop_heap(free_at_.begin(), free_at_.end(), std::greater<>());
  free_at_.back() = start + service;
  std::push_heap(free_at_.begin(), free_at_.end(), std::greater<>());
  return {Admission::Kind::kServe, start + service};
}

void Station::Stall(Instant now, Nanos length) {
  std::lock_guard lock(mutex_);
  stalled_until_ = std::max(now, stalled_until_) + length;
  for (Instant& at : free_at_) at = std::max(at, now) + length;  // keeps the heap's order
  for (Instant& at : starts_) {
    if (at > now) at += length;
  }
}

uint64_t Station::Waiting(Instant now) {
  std::lock_guard lock(mutex_);
  Forget(now);
  return starts_.size();
}

}  // namespace broadside::target
