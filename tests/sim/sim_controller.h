#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "controller/core/dispatcher.h"
#include "controller/merge/run_merge.h"
#include "tests/sim/network.h"

namespace broadside::sim {

/// A disk with group commit: what was queued together becomes durable together, some time later; a
/// crash loses the rest.
class SimStore {
 public:
  struct Result {
    RunId run;
    controller::StoreToken token = 0;
    std::string error;
  };
  SimStore(World& world, std::function<void(std::vector<Result>)> on_stored)
      : world_(world), on_stored_(std::move(on_stored)) {}
  void Write(StoreOp op);
  /// False: the queue is full.
  bool TryWrite(StoreOp op);
  /// The process is gone. Returns how many writes were lost.
  size_t Crash();
  const std::map<RunId, std::vector<StoreOp>>& durable() const { return durable_; }

  Instant slow_until{}, failing_until{}, full_until{};

 private:
  void Commit();
  World& world_;
  std::function<void(std::vector<Result>)> on_stored_;
  std::deque<StoreOp> queue_;
  bool committing_ = false;
  uint64_t life_ = 0;  ///< of the process that writes
  std::map<RunId, std::vector<StoreOp>> durable_;
};

/// The controller: the real Dispatcher in a shell like controller/server/shell.cc.
class SimController {
 public:
  SimController(World& world, Network& network);

  void Submit(controller::RunSpec spec);
  void Stop(const RunId& run, controller::RunState end_as, const std::string& reason);
  void Pause(Nanos length);
  /// The process dies at the next chance of this kind, and starts again after `away`.
  void CrashAt(Fault point, Nanos away);
  void Lag(Nanos each, Nanos length);
  SimStore& store() { return store_; }
  const controller::Dispatcher& dispatcher() const { return *dispatcher_; }
  bool AllEnded() const;

  // From the network.
  void Received(ConnId conn, wire::AgentMessage message);
  void Closed(ConnId conn);

 private:
  struct LiveRun {
    std::map<Incarnation, AgentId> agents;
    std::unique_ptr<merge::RunMerge> merge;
  };
  void Post(std::function<void()> job);
  void RunJobs();
  void Settle();
  void ScheduleTick();
  void Perform(controller::Action action);
  void Connected(ConnId conn, const wire::Hello& hello);
  void Handle(ConnId conn, wire::AgentMessage message);
  void Finished(std::vector<SimStore::Result> results);
  void CloseRun(const StoreOp& op);
  merge::Segments SegmentsOf(const RunId& run) const;
  bool CrashesAt(Fault point);
  void Crash();
  void Start();
  void Restore(const RunId& run);

  World& world_;
  Network& network_;
  SimStore store_;
  std::unique_ptr<controller::Dispatcher> dispatcher_;
  std::map<RunId, LiveRun> runs_;
  std::map<ConnId, Incarnation> who_;
  std::map<Incarnation, ConnId> streams_;
  std::map<RunId, std::map<controller::StoreToken, std::vector<controller::Action>>> held_;
  std::set<std::tuple<RunId, Incarnation, uint64_t>> seen_;
  std::deque<std::function<void()>> jobs_;
  bool busy_ = false;
  Instant paused_until_{}, lag_until_{};
  Nanos lag_{};
  std::optional<Fault> crash_at_;
  Nanos away_{};
  bool up_ = true;
  uint64_t life_ = 0;  ///< of the process
  uint64_t incarnation_ = 0;
  Instant next_tick_ = Instant::max();
};

}  // namespace broadside::sim
