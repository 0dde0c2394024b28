#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "agent/control/agent_core.h"
#include "agent/pacer/pacer.h"
#include "common/breaker/outcome.h"
#include "common/stats/snapshot.h"
#include "tests/sim/scenario.h"

namespace broadside::sim {

/// Stands in for agent/engine: the real pacer, and around it what a Loop and the Encoder do with
/// it, without sockets, threads and histograms. Loops take batches of at most 64 and look at the
/// lease before each; a process may be stopped between the look and the sends.
class SimEngine {
 public:
  using Sink = std::function<void(stats::Snapshot)>;
  SimEngine(World& world, const HostTime& clock, const wire::Assignment& assignment,
            Incarnation owner, uint32_t loops, Sink sink);
  ~SimEngine();

  void AddSegment(const std::shared_ptr<const rate::CompiledSegment>& segment);
  void AddDeal(const rate::Deal& deal);
  void SetClock(const ClockFit& fit);
  void Grant(ShardEpoch epoch, IntervalIndex last, Instant lease_end);
  void Stop(RunTime end);
  void Finish(RunTime end);

  /// The process is stopped, or goes on.
  void Freeze();
  void Thaw();
  /// One loop alone stands still for a while.
  void Stall(Nanos length);

 private:
  class Loop;
  /// What one loop says about one interval; counters are cumulative.
  struct Part {
    IntervalIndex interval = 0;
    bool final = false;
    std::map<std::pair<PhaseIndex, TargetIndex>, stats::Counters> rows;
    std::map<std::pair<std::pair<PhaseIndex, TargetIndex>, breaker::Outcome>, uint64_t> outcomes;
  };
  struct Lane {
    std::deque<Part> parts;
    std::optional<Part> last;
    bool final = false;
  };
  void Submit(uint32_t loop, Part part);
  void Emit(IntervalIndex interval);
  void ToLoops(const std::function<void(Loop&)>& handle);

  World& world_;
  const HostTime clock_;
  RunId run_;
  Incarnation owner_;
  Nanos interval_{};
  Sink sink_;
  uint64_t sequence_ = 0;
  std::vector<Lane> lanes_;
  std::vector<std::unique_ptr<Loop>> loops_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace broadside::sim
