#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "controller/core/run_core.h"

namespace broadside::controller {

/// What the operator may ask about an agent.
struct AgentView {
  AgentFacts facts;
  bool connected = false;
  std::string state;   ///< idle, running, draining, refused, lost
  std::string reason;  ///< why refused or lost
  RunId run;           ///< that it works for; or empty
  Instant heard{};
};

/// All decisions of a controller that are not inside one run: which agents there are, which run
/// gets them, and which run a message is for. As pure as RunCore: no clock, no I/O. One thread.
class Dispatcher {
 public:
  explicit Dispatcher(CoreOptions options) : options_(std::move(options)) {}

  /// A stream opened with this hello. The answer goes out as the first action. An agent id that is
  /// in use, or a schedule or layout number that is not ours, gets no shard but may deliver its
  /// outbox.
  void Connected(Instant now, const wire::Hello& hello);
  void Disconnected(Instant now, Incarnation agent, const std::string& reason);
  void Received(Instant now, Incarnation agent, wire::AgentMessage message);
  void Submit(Instant now, RunSpec spec, bool no_wait);
  /// A run that a controller before this one left unfinished (RunCore::Restore says what becomes of
  /// it). Call before agents connect. After an error the run is not there.
  Status Restore(Instant now, RunSpec spec, const StoredRun& stored);
  void StopRun(Instant now, const RunId& run, RunState end_as, const std::string& reason);
  void StoreResult(Instant now, const RunId& run, StoreToken token, const std::string& error);

  void Tick(Instant now);
  std::optional<Instant> NextDeadline() const;
  std::vector<Action> TakeActions();

  const RunCore* Find(const RunId& run) const;
  std::vector<const RunCore*> runs() const;
  /// Forgets an ended run; its late snapshots go to the store through `LateSnapshot` actions no
  /// more.
  void Forget(const RunId& run) { runs_.erase(run); }
  std::vector<AgentView> agents() const;
  /// "2 agents of the 3 that the plan needs are there (…)"; empty when the run does not wait.
  std::string WaitingFor(const RunId& run, Instant now) const;

 private:
  struct Agent {
    AgentFacts facts;
    bool connected = false;
    bool draining = false;
    std::string no_shard;
    std::optional<RunId> run;
    Instant heard{};
    std::string why_gone;
  };
  struct Run {
    std::unique_ptr<RunCore> core;
    Instant submitted{};
    bool no_wait = false;
  };

  void Assign(Instant now);
  std::vector<AgentFacts> IdleFor(const RunCore& core) const;
  void Collect(RunCore& core);
  void TakeLate(wire::SnapshotEnvelope snapshot);
  std::string WhyNoShard(Instant now, const wire::Hello& hello) const;

  CoreOptions options_;
  std::map<Incarnation, Agent> agents_;
  std::map<RunId, Run> runs_;
  std::deque<RunId> queue_;  ///< of runs that wait for agents, oldest first
  /// Tokens of writes for runs that are not here. RunCore's count up from 1 and never get there.
  StoreToken next_late_token_ = StoreToken{1} << 62;
  std::vector<Action> actions_;
};

}  // namespace broadside::controller
