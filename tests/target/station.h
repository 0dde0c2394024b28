#pragma once

#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <queue>
#include <vector>

#include "common/time/time.h"

namespace broadside::target {

/// What happens to one request at a model's workers, known at its arrival: first come, first
/// served, with known service times, is decided by arithmetic alone.
struct Admission {
  enum class Kind : uint8_t { kServe, kQueueFull, kQueueTimeout };
  Kind kind = Kind::kServe;
  Instant done;  ///< when the reply leaves
};

struct StationOptions {
  uint32_t workers = 0;                ///< 0: no limit, every request is served at once
  std::optional<uint32_t> queue;       ///< requests that may wait; empty: any number
  std::optional<Nanos> queue_timeout;  ///< longest wait before a worker takes it
};

/// Finite capacity: `workers` servers behind one queue. Any thread. The calls' instants should not
/// fall; where they do by a little (several loops), the order of the calls decides.
class Station {
 public:
  explicit Station(const StationOptions& options);
  Admission Admit(Instant now, Nanos service);
  /// The whole server freezes for `length` from `now`: what runs or waits is moved by it.
  void Stall(Instant now, Nanos length);
  /// Waiting for a worker at `now`.
  uint64_t Waiting(Instant now);

 private:
  void Forget(Instant now);

  const StationOptions options_;
  std::mutex mutex_;
  std::vector<Instant> free_at_;  // a min-heap, one entry a worker
  std::deque<Instant> starts_;    // of admitted requests that wait, never falling
  Instant stalled_until_{Nanos(0)};
};

}  // namespace broadside::target
