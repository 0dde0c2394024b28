#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <variant>

#include "absl/synchronization/mutex.h"
#include "agent/control/agent_core.h"
#include "agent/control/fleet_stream.h"
#include "agent/control/prepare.h"

namespace broadside::agent {

struct AgentOptions {
  std::string controller;  ///< HOST:PORT
  AgentCoreOptions core;
  LocalPolicy policy;
};

/// The shell around AgentCore: one control thread (the caller of Run) with a mailbox, gRPC's
/// threads behind a FleetStream, one thread that prepares a run, and the engine's own.
class Agent {
 public:
  explicit Agent(AgentOptions options);
  ~Agent();
  /// Until drained (RequestDrain, then the runs end) or RequestExit.
  void Run();
  /// Any thread, also from a signal-handling thread: leave without a gap.
  void RequestDrain();
  /// Any thread: leave now. What the controller had granted goes silent with the process.
  void RequestExit();

  /// For /readyz and /metrics, any thread.
  struct Health {
    bool connected = false;
    std::string status;
    size_t outbox_bytes = 0;
    uint64_t outbox_dropped = 0;
    int64_t clock_bound_ns = 0;
  };
  Health health() const;

 private:
  /// What the prepare thread hands over.
  struct EngineReady {
    RunId run;
    uint64_t preparation = 0;
    StatusOr<PreparedRun> result;
  };
  struct LeaveNow {};
  using Mail = std::variant<CoreEvent, std::unique_ptr<EngineReady>, LeaveNow>;

  /// Outlives the agent in the hands of gRPC's last callbacks.
  struct Mailbox {
    absl::Mutex mutex;
    std::deque<Mail> mail ABSL_GUARDED_BY(mutex);
    void Post(Mail item);
  };

  std::deque<Mail> WaitForMail(std::optional<Instant> until);
  void Handle(Mail mail);
  void Perform(CoreAction action);
  void Do(OpenStream&);
  void Do(CloseStream& action);
  void Do(Say& action);
  void Do(PrepareRun& action);
  void Do(ApplyEntry& action);
  void Do(SetRunClock& action);
  void Do(GrantLease& action);
  void Do(StopEngine& action);
  void Do(FinishEngine& action);
  void Do(DropRun& action);
  void Do(Log& action);
  void Do(Exit&);
  Status ApplySegment(const rate::Segment& segment);
  void PublishHealth();

  AgentOptions options_;
  AgentCore core_;
  std::shared_ptr<FleetStream> stream_;
  std::thread preparing_;
  uint64_t preparation_ = 0;  ///< the last one; an engine of an earlier one comes too late
  std::optional<PreparedRun> run_;
  std::vector<rate::Segment> segments_;
  bool exit_ = false;

  const std::shared_ptr<Mailbox> mailbox_ = std::make_shared<Mailbox>();
  mutable absl::Mutex mutex_;
  Health health_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace broadside::agent
