#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "controller/core/events.h"

namespace broadside::controller {

/// Times of the lease protocol (semantics §4–§7).
struct CoreOptions {
  Nanos lease = wire::kLease;                    ///< D; agents ask every D/3
  Nanos start_lead = std::chrono::seconds(1);    ///< from "all ready" to T0
  Nanos close_grace = std::chrono::seconds(10);  ///< beyond end + timeout + D
  uint64_t controller_incarnation = 1;
  std::string boot_id;
};

/// Decides everything about one run; never acts. No clock, sockets, threads or logging; the same
/// inputs give the same outputs. Times are the controller's CLOCK_BOOTTIME.
///
/// The order of things: agents are given → prepare → T0 and the schedule are stored → they are
/// announced and leases granted → intervals pass → final totals are stored → the run closes.
class RunCore {
 public:
  RunCore(const CoreOptions& options, RunSpec spec, Instant now);
  /// The run as a controller that died left it. Nothing says what that one granted, so each owner
  /// of the last epoch is taken to have been granted all up to the interval of now + D (one more
  /// when the host was booted anew and r comes from the agents' clocks); what its hello says stands
  /// instead. From there on it is like any run whose owners have not asked yet: who asks in time
  /// goes on, the others lose their shard. A run without T0 waits for agents again. Away for longer
  /// than 10 D, or past the end, it fires no more and closes. An error says which part of the
  /// stored schedule is missing.
  static StatusOr<std::unique_ptr<RunCore>> Restore(const CoreOptions& options, RunSpec spec,
                                                    const StoredRun& stored, Instant now);

  void Step(Instant now, const RunEvent& event);
  void Tick(Instant now);
  /// When Tick is next wanted.
  std::optional<Instant> NextDeadline() const;
  /// What must be done now, in order.
  std::vector<Action> TakeActions();

  const RunSpec& spec() const { return spec_; }
  RunState state() const { return state_; }
  const std::string& reason() const { return reason_; }
  bool ended() const { return IsEnded(state_); }
  /// Empty before T0 is fixed, and after a restart on a host booted anew until it is found again.
  std::optional<Instant> t0() const { return t0_; }
  RunTime RunNow(Instant now) const;  ///< requires t0
  /// End of the schedule: of the plan, or earlier once stopped.
  RunTime end() const { return end_; }
  size_t live_agents() const;
  /// Was this agent ever given to the run, even if it refused or left?
  bool HasMember(Incarnation agent) const { return members_.contains(agent); }
  /// May still take joiners.
  bool WantsJoiners() const;

 private:
  enum class Readiness : uint8_t { kAssigned, kReady, kRefused };
  struct Member {
    AgentFacts facts;
    Readiness readiness = Readiness::kAssigned;
    bool lost = false;
    bool draining = false;
    bool freed = false;       ///< the run needs it no longer; said once
    bool announced = false;   ///< has been sent the entries and T0
    bool catches_up = false;  ///< its stream was broken: grants may have been lost with it
    bool away = false;        ///< not back since the controller's restart: its grants are assumed
    uint32_t entries_sent = 0;
    Instant heard{};               ///< our clock at its last ask
    std::optional<Instant> asked;  ///< its clock then
    std::map<ShardEpoch, IntervalIndex> granted;
    bool final_stored = false;
    std::string why_lost;
  };
  struct PendingDeal {
    rate::Deal deal;
    StoreToken token = 0;
  };

  void On(Instant now, const AgentsGiven& event);
  void On(Instant now, const AgentPrepared& event);
  void On(Instant now, const AgentAsked& event);
  void On(Instant now, const AgentLost& event);
  void On(Instant now, const AgentBack& event);
  void On(Instant now, const AgentDrains& event);
  void On(Instant now, const SnapshotTaken& event);
  void On(Instant now, const StopWanted& event);
  void On(Instant now, const Stored& event);
  void On(Instant now, const StoreFailed& event);

  void BeginPreparing(Instant now);
  void CheckPrepared(Instant now);
  void BeginStarting(Instant now);
  void Announce(Instant now, Incarnation agent, Member& member);
  void SendEntries(Incarnation agent, Member& member);
  void Grant(Instant now, Incarnation agent, Member& member);
  void CheckShards(Instant now);
  void ProposeDeal(Instant now, bool wanted);
  void AdoptDeal(Instant now);
  void CheckEnd(Instant now);
  void BeginStop(Instant now, RunState end_as, std::string reason);
  void StopAt(RunTime end, RunState end_as, std::string reason);
  void BeginClosing();
  void EndEarly(RunState end_as, std::string reason);
  void Close(RunState end_as, std::string reason);

  // After a restart (run_core_restart.cc).
  Status TakeStored(const StoredRun& stored, Instant now);
  void TakeHeld(Instant now, Member& member, const wire::HeldRun& held);
  void CheckMaps(Instant now);
  void Resume(Instant now, Instant t0, IntervalIndex margin);
  bool Covered() const;

  void Free(Incarnation agent, Member& member);
  Member* Find(Incarnation agent);
  bool Silent(const Member& member, Instant now) const;
  bool Owns(Incarnation agent) const;
  IntervalIndex LastInterval() const;  ///< of the schedule, or of the stop
  IntervalIndex GreatestGranted() const;
  Instant LocalOf(RunTime at) const { return *t0_ + at.time_since_epoch(); }
  uint64_t WeightOf(const Member& member) const;
  uint64_t NobodyWeight(const std::vector<uint64_t>& weights) const;
  wire::Assignment MakeAssignment(const Member& member) const;
  wire::Stop MakeStop() const;
  void Emit(Action action);
  void Send(Incarnation agent, wire::ControllerMessage message, StoreToken after = 0);

  CoreOptions options_;
  RunSpec spec_;
  RunState state_ = RunState::kWaiting;
  std::string reason_;
  Instant since_{};  ///< when the present state began
  Instant last_tick_{};
  std::map<Incarnation, Member> members_;
  std::vector<Incarnation> order_;  ///< of joining
  std::optional<Instant> t0_;
  RunTime end_{};
  rate::MicroRate peak_rate_ = 0;
  std::vector<wire::Entry> entries_;
  std::vector<rate::Deal> deals_;
  mutable std::set<Incarnation> owners_;  ///< of the deal of epoch `owners_of_`; see Owns
  mutable ShardEpoch owners_of_;
  std::optional<PendingDeal> pending_;
  StoreToken start_token_ = 0;
  StoreToken close_token_ = 0;
  StoreToken next_token_ = 1;
  std::map<StoreToken, Incarnation> final_tokens_;
  bool holding_ = false;  ///< the present epoch is not extended
  std::optional<Instant> last_wanted_cut_;
  bool stopping_ = false;
  RunState end_as_ = RunState::kCompleted;
  std::string end_reason_;
  std::optional<Instant> nobody_since_;
  /// Restarted on a host that was booted anew: T0 is not known on its clock yet.
  struct Unmapped {
    Instant by_wall{};          ///< T0 as the wall clock has it
    std::vector<Instant> maps;  ///< T0 as each agent that came back has it
    std::optional<StopWanted> stop;
  };
  std::optional<Unmapped> unmapped_;
  IntervalIndex newest_stored_ = -1;
  bool past_end_ = false;  ///< restarted after the schedule's end: grants nothing
  std::vector<Action> actions_;
};

}  // namespace broadside::controller
