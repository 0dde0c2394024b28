#include "tests/target/world.h"

#include <algorithm>

namespace broadside::target {

const Model* World::Find(std::string_view name) const {
  const auto found = config_.models.find(name);
  return found == config_.models.end() ? nullptr : &found->second;
}

void World::Stall(Instant now, Nanos length) {
  std::lock_guard lock(stall_mutex_);
  const Instant until = std::max(now, StalledUntil()) + length;
  stalled_until_.store(until.time_since_epoch().count());
  for (auto& [name, model] : config_.models) model.station->Stall(now, length);
  config_.plain.station->Stall(now, length);
  stall_total_.fetch_add(length.count(), std::memory_order_release);
}

void World::NoteArrival(Instant now) {
  if (started_.load(std::memory_order_relaxed)) return;
  std::lock_guard lock(stall_mutex_);
  if (started_.exchange(true)) return;
  if (config_.stall.at) next_once_ = now + *config_.stall.at;
  if (config_.stall.every) next_repeated_ = now + *config_.stall.every;
}

std::optional<Instant> World::RunPlannedStalls(Instant now) {
  bool due = false;
  std::optional<Instant> next;
  {
    std::lock_guard lock(stall_mutex_);
    if (next_once_ && *next_once_ <= now) {
      due = true;
      next_once_.reset();
    }
    if (next_repeated_ && *next_repeated_ <= now) {
      due = true;
      *next_repeated_ += *config_.stall.every;
    }
    next = next_once_;
    if (next_repeated_ && (!next || *next_repeated_ < *next)) next = next_repeated_;
  }
  if (due) Stall(now, config_.stall.length);
  return next;
}

void World::Count(int status) {
  by_status_[static_cast<size_t>(std::clamp(status, 0, 599))].fetch_add(1,
                                                                        std::memory_order_relaxed);
}

std::string World::StatsJson(Instant now) {
  std::string statuses;
  uint64_t arrivals = 0;
  for (size_t status = 0; status < by_status_.size(); ++status) {
    const uint64_t count = by_status_[status].load();
    if (count == 0) continue;
    arrivals += count;
    statuses +=
        (statuses.empty() ? "\"" : ",\"") + std::to_string(status) + "\":" + std::to_string(count);
  }
  uint64_t waiting = config_.plain.station->Waiting(now);
  for (auto& [name, model] : config_.models) waiting += model.station->Waiting(now);
  return "{\"arrivals\":" + std::to_string(arrivals) + ",\"statuses\":{" + statuses +
         "},\"replies\":" + std::to_string(replies_.load()) +
         ",\"connections\":" + std::to_string(connections_.load()) +
         ",\"waiting\":" + std::to_string(waiting) +
         ",\"stalled_ns\":" + std::to_string(StallTotal().count()) + "}\n";
}

}  // namespace broadside::target
