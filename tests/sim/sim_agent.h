#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "agent/control/agent_core.h"
#include "tests/sim/network.h"
#include "tests/sim/sim_engine.h"

namespace broadside::sim {

/// A host that runs agent processes, one at a time: the real AgentCore in a shell like
/// agent/control/agent.cc, with the engine's stand-in. The clock belongs to the host.
class SimAgent {
 public:
  SimAgent(World& world, Network& network, size_t host, std::string id, rate::MicroRate ceiling);

  void Start();
  void Kill();
  void Pause(Nanos length);
  void StallLoop(Nanos length);
  void Drain();
  bool running() const { return process_ != nullptr; }
  bool draining() const { return draining_; }
  bool connected() const { return process_ != nullptr && process_->core.connected(); }
  const std::string& id() const { return id_; }
  size_t host() const { return host_; }
  /// "idle", "run 7f3a2c", "ended": what it does now.
  std::string status() const { return process_ ? process_->core.status() : "ended"; }
  bool holds_nothing() const { return !process_ || process_->core.outbox_bytes() == 0; }

  // From the network.
  void Up(ConnId conn);
  void Heard(ConnId conn, wire::ControllerMessage message);
  void Down(ConnId conn, const std::string& reason);

 private:
  struct Process {
    Process(Incarnation i, agent::AgentCoreOptions options)
        : incarnation(i), core(std::move(options)) {}
    Incarnation incarnation;
    agent::AgentCore core;
    std::unique_ptr<SimEngine> engine;
    std::optional<RunId> run;
    uint64_t preparation = 0;  ///< only the last one counts
    ConnId conn = 0;
    bool paused = false;
    std::deque<std::function<void(Process&)>> inbox;
    Instant next_tick = Instant::max();
    Instant mail_at{};     ///< control → loops is in order
    Instant encoded_at{};  ///< so is encoder → control
  };

  Instant Local() const { return clock_.Local(world_.queue.now()); }
  /// Runs `job` now, or when the process goes on.
  void Do(std::function<void(Process&)> job);
  /// The same later, if it is still the same process.
  void Later(Nanos delay, std::function<void(Process&)> job);
  void Settle(Process& process);
  void ToEngine(Process& process, std::function<void(SimEngine&)> job);

  void Perform(Process& process, agent::OpenStream& action);
  void Perform(Process& process, agent::CloseStream& action);
  void Perform(Process& process, agent::Say& action);
  void Perform(Process& process, agent::PrepareRun& action);
  void Perform(Process& process, agent::ApplyEntry& action);
  void Perform(Process& process, agent::SetRunClock& action);
  void Perform(Process& process, agent::GrantLease& action);
  void Perform(Process& process, agent::StopEngine& action);
  void Perform(Process& process, agent::FinishEngine& action);
  void Perform(Process& process, agent::DropRun& action);
  void Perform(Process& process, agent::Log& action);
  void Perform(Process& process, agent::Exit& action);

  World& world_;
  Network& network_;
  const size_t host_;
  const std::string id_;
  const rate::MicroRate ceiling_;
  const uint32_t loops_;
  HostTime clock_;
  std::shared_ptr<Process> process_;
  bool draining_ = false;
};

}  // namespace broadside::sim
