#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/client/address.h"
#include "agent/workload/workload.h"
#include "common/base/ids.h"
#include "common/base/status.h"
#include "common/plan/plan.h"
#include "common/rate/schedule.h"
#include "common/stats/snapshot.h"
#include "common/time/clock_map.h"

/// The request engine: one thread per loop, each with its own epoll, pacer, connections and
/// recorders. The control thread talks to the loops through mailboxes only.
namespace broadside::agent {

/// How loops wait for the next due time.
enum class WaitMode : uint8_t {
  kEco,       ///< sleep until the deadline (timer slack 1 ns)
  kBalanced,  ///< sleep until a calibrated guard before it, then poll
  kSpin,      ///< always poll
};

struct EngineOptions {
  uint32_t loops = 1;
  WaitMode wait = WaitMode::kBalanced;
  std::string record_requests;  ///< file for raw records, or empty (format: ARCHITECTURE.md)
};

/// Everything the loops need for a run, immutable.
struct RunSetup {
  RunId run;
  Incarnation owner;
  uint64_t seed = 0;
  std::shared_ptr<const plan::Plan> plan;
  std::vector<std::shared_ptr<const Workload>> workloads;             ///< by TargetIndex
  std::shared_ptr<Resolver> resolver = std::make_shared<Resolver>();  ///< knows what was checked
  uint32_t in_flight = 1024;   ///< this agent's limits, over all its loops
  uint32_t connections = 256;  ///< over all endpoints of a target
  double share = 1.0;  ///< of the rate that this agent is expected to send, for warming pools
};

/// Called on the engine's encoder thread, in interval order; must not block for long.
using SnapshotSink = std::function<void(stats::Snapshot)>;

/// One run's load on this agent. The control thread creates it, calls it, and destroys it.
class Engine {
 public:
  static StatusOr<std::unique_ptr<Engine>> Create(const EngineOptions& options, RunSetup setup,
                                                  SnapshotSink sink);
  virtual ~Engine() = default;

  /// Resolves names and opens warm connections; `done` is called once, on an engine thread, with
  /// the first error or OK. Failing to connect is not an error: it is what the run will measure;
  /// the message then says what failed and `done` gets OK.
  virtual void Warm(Nanos deadline, std::function<void(Status)> done) = 0;

  virtual void AddSegment(std::shared_ptr<const rate::CompiledSegment> segment) = 0;
  virtual void AddDeal(const rate::Deal& deal) = 0;
  /// The clock map; the first call starts the interval clock.
  virtual void SetClock(const ClockFit& fit, Nanos bound, Nanos pending_slew) = 0;
  virtual void Grant(ShardEpoch epoch, IntervalIndex last, Instant lease_end) = 0;
  /// Nothing is sent any more: what is due before `end` expires when it is due, what waits expires
  /// now, and nothing is due at or after `end` (semantics §7). What was sent is still awaited.
  virtual void Stop(RunTime end) = 0;
  /// No further schedule will come after `end`: when the last request has ended, the final snapshot
  /// (final_totals) is given to the sink, once.
  virtual void Finish(RunTime end) = 0;
};

}  // namespace broadside::agent
