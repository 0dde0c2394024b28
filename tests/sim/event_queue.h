#pragma once

#include <cstdint>
#include <functional>
#include <queue>
#include <utility>
#include <vector>

#include "common/time/time.h"

/// Virtual time: one queue of events ordered by (time, order of scheduling), one seeded generator.
namespace broadside::sim {

/// SplitMix64: small, fast, and the same everywhere. The only source of chance in a simulation.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t Next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
  }
  /// 0 … n − 1; n > 0. The bias of the remainder does not matter here.
  uint64_t Below(uint64_t n) { return Next() % n; }
  int64_t Between(int64_t low, int64_t high) {  ///< both ends included
    return low + static_cast<int64_t>(Below(static_cast<uint64_t>(high - low) + 1));
  }
  Nanos Between(Nanos low, Nanos high) { return Nanos(Between(low.count(), high.count())); }
  bool Chance(double p) { return static_cast<double>(Next() >> 11) * 0x1p-53 < p; }

 private:
  uint64_t state_;
};

/// The true time of the simulation, which is also the controller's CLOCK_BOOTTIME.
class EventQueue {
 public:
  using Job = std::function<void()>;
  explicit EventQueue(Instant start) : now_(start) {}
  Instant now() const { return now_; }
  uint64_t done() const { return done_; }
  bool empty() const { return events_.empty(); }
  Instant next() const { return events_.top().at; }  ///< requires !empty()
  void At(Instant at, Job job) { events_.push({at < now_ ? now_ : at, order_++, std::move(job)}); }
  void After(Nanos delay, Job job) { At(now_ + delay, std::move(job)); }
  void RunNext() {
    Event event = std::move(const_cast<Event&>(events_.top()));
    events_.pop();
    now_ = event.at;
    ++done_;
    event.job();
  }

 private:
  struct Event {
    Instant at{};
    uint64_t order = 0;
    Job job;
    bool operator<(const Event& other) const {  // the earliest on top
      return at != other.at ? at > other.at : order > other.order;
    }
  };
  Instant now_;
  uint64_t order_ = 0;
  uint64_t done_ = 0;
  std::priority_queue<Event> events_;
};

/// A host's CLOCK_BOOTTIME: an offset and a constant drift against the true time.
struct HostTime {
  Nanos offset{};
  int64_t drift_ppm = 0;
  Instant Local(Instant at) const {
    return at + offset + Nanos(at.time_since_epoch().count() / 1'000'000 * drift_ppm) +
           Nanos(at.time_since_epoch().count() % 1'000'000 * drift_ppm / 1'000'000);
  }
  /// Least true instant at which the host's clock shows `local` or later.
  Instant TrueAt(Instant local) const {
    const double guess = static_cast<double>((local - offset).time_since_epoch().count()) /
                         (1.0 + static_cast<double>(drift_ppm) * 1e-6);
    Instant at{Nanos(static_cast<int64_t>(guess))};
    while (Local(at) < local) at += std::max(Nanos(1), (local - Local(at)) / 2);
    while (Local(at - Nanos(1)) >= local) at -= std::max(Nanos(1), (Local(at) - local) / 2);
    return at;
  }
};

}  // namespace broadside::sim
