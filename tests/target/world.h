#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "common/time/time.h"
#include "tests/target/model.h"

namespace broadside::target {

/// What all loops of the server share: the models and their stations, the stalls, the counts.
/// Any thread.
class World {
 public:
  explicit World(Config config) : config_(std::move(config)) {}

  const Config& config() const { return config_; }
  /// Null for an unknown name. Stations lock themselves.
  const Model* Find(std::string_view name) const;

  /// The whole server freezes for `length` from `now`: nothing leaves, and what is under way takes
  /// that much longer.
  void Stall(Instant now, Nanos length);
  /// Sum of all stalls so far; a reply under way is moved by how much this grew since its arrival.
  Nanos StallTotal() const { return Nanos(stall_total_.load(std::memory_order_acquire)); }
  /// End of the present stall, if any: replies that need no model wait for it too.
  Instant StalledUntil() const { return Instant(Nanos(stalled_until_.load())); }

  /// The first inference request starts the clock of the planned stalls.
  void NoteArrival(Instant now);
  /// Starts the planned stalls that are due; the next one, if any.
  std::optional<Instant> RunPlannedStalls(Instant now);

  void Count(int status);
  void CountConnection() { connections_.fetch_add(1, std::memory_order_relaxed); }
  void CountReply() { replies_.fetch_add(1, std::memory_order_relaxed); }
  uint64_t NextConnection() { return next_connection_.fetch_add(1); }
  std::string StatsJson(Instant now);

 private:
  Config config_;
  std::mutex stall_mutex_;
  std::atomic<int64_t> stall_total_{0};
  std::atomic<int64_t> stalled_until_{0};
  std::atomic<bool> started_{false};
  std::optional<Instant> next_once_, next_repeated_;  // guarded by stall_mutex_
  std::array<std::atomic<uint64_t>, 600> by_status_{};
  std::atomic<uint64_t> connections_{0}, replies_{0}, next_connection_{1};
};

}  // namespace broadside::target
