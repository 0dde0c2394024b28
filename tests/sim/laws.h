#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/rate/schedule.h"
#include "common/time/clock_map.h"
#include "controller/core/dispatcher.h"
#include "controller/merge/run_merge.h"

/// The laws of the cluster, checked at every step of the simulation from what can be seen outside
/// of the parts under test: messages, writes, requests at the target. The checker keeps its own
/// books and believes nobody.
namespace broadside::sim {

/// What one store write makes durable.
struct StoreOp {
  RunId run;
  controller::StoreToken token = 0;
  std::variant<controller::StoreState, controller::StoreStart, controller::StoreStop,
               controller::StoreEntry, controller::StoreAgent, controller::StoreSnapshot,
               controller::CloseRun>
      what;
};

class Laws {
 public:
  explicit Laws(Nanos lease) : lease_(lease) {}

  /// The first broken law, or empty.
  const std::string& broken() const { return broken_; }
  void Break(std::string law) {
    if (broken_.empty()) broken_ = std::move(law);
  }

  // ---- The controller ----
  void Submitted(const controller::RunSpec& spec);
  /// A message leaves the controller. `pushed`: the controller spoke for itself, not for a test
  /// double.
  void Sent(Instant now, Incarnation agent, const wire::ControllerMessage& message);
  void Decided(const RunId& run, const wire::Entry& entry);
  void Durable(Instant now, const StoreOp& op);
  void Given(const RunId& run, Incarnation agent);
  void Freed(const RunId& run, Incarnation agent);
  /// The controller's process died: what was not durable was never decided.
  void Crashed();
  /// An agent says hello to a controller; what it was granted and never heard is void after a
  /// crash.
  void Met(const wire::Hello& hello);
  void StreamLost(Incarnation agent) { gone_.insert(agent); }
  void StreamBack(Incarnation agent) { gone_.erase(agent); }
  void AskReceived(Instant now, Incarnation agent, const RunId& run);
  void PreparedReceived(Incarnation agent, const RunId& run);
  void StopDecided(Instant now, const RunId& run);
  void SnapshotFolded(Incarnation agent, const RunId& run, uint64_t sequence);
  void Closing(const controller::CloseRun& close, const RunId& run);
  void Closed(Instant now, const RunId& run, const controller::CloseRun& close,
              const merge::RunMerge& live, const merge::RunMerge& stored);
  void Ended(const RunId& run, controller::RunState state);

  // ---- Agents ----
  void Hello(const wire::Hello& hello);
  void Asked(Incarnation agent, const RunId& run, Instant local);
  /// The agent's control read a message.
  void Heard(Instant now, Incarnation agent, const wire::ControllerMessage& message);
  void ClockSet(const ClockFit& before, const ClockFit& after);
  void LoopBorn(Incarnation agent, const RunId& run, uint32_t loop) {
    RunOf(run).agents[agent].loops[loop];
  }
  /// A loop took a grant up when its agent's clock showed `local` and the run clock `now`.
  void LoopGranted(Incarnation agent, const RunId& run, uint32_t loop, ShardEpoch epoch,
                   IntervalIndex last, Instant lease_end, Instant local, RunTime now);
  void LoopStopped(Incarnation agent, const RunId& run, uint32_t loop);
  /// The pacer handed an arrival out at `local`, when the run clock showed `at`.
  void Taken(Instant now, Incarnation agent, const RunId& run, uint32_t loop,
             const rate::Arrival& arrival, bool permitted, Instant local, RunTime at);
  enum class Fate : uint8_t { kSent, kDropped, kExpired };
  /// What became of a taken arrival. `checked`: the agent's clock at the lease check before it was
  /// sent.
  void Became(Incarnation agent, const RunId& run, const rate::Arrival& arrival, Fate fate,
              Instant checked);
  void SnapshotMade(const stats::Snapshot& snapshot);
  /// The agent lets its engine and all it knows of the run go.
  void Dropped(Incarnation agent, const RunId& run);
  /// The process was killed: what it had not delivered is lost.
  void Killed(Incarnation agent);

  uint64_t sent() const { return sent_; }
  uint64_t arrivals() const { return arrivals_; }

 private:
  struct Mark {
    bool taken = false, sent = false;
    Incarnation by;
  };
  struct Segment {
    std::shared_ptr<const rate::CompiledSegment> compiled;
    std::vector<rate::Arrival> arrivals;
    std::vector<Mark> marks;
  };
  struct Late {
    RunTime from, to, at;  ///< due in [from, to) was granted at `at`
  };
  struct LoopBook {
    std::map<ShardEpoch, std::vector<Late>> grants;
    std::optional<Instant> lease_end;
    RunTime lapsed_before = RunTime::min();  ///< what was due before had no lease at some time
    bool stopped = false;
  };
  struct AgentBook {  ///< one incarnation in one run
    std::optional<Instant> last_ask_local;
    std::optional<Instant> last_ask_received;  ///< true time
    std::optional<Instant> lease_end;          ///< its clock, from grants that it heard
    std::optional<RunTime> stop_heard;
    std::map<ShardEpoch, IntervalIndex> granted;  ///< by the controller
    std::map<ShardEpoch, IntervalIndex> heard;    ///< by the agent
    bool away = false;                            ///< since the controller's restart
    bool given_durable = false;
    std::map<uint32_t, LoopBook> loops;
    bool prepared = false, given = false, freed = false, final_made = false;
    uint64_t taken = 0, sent = 0, dropped = 0, expired_taken = 0;
    uint64_t last_sequence = 0;
    stats::Counters last;
    std::set<uint64_t> durable;
    bool killed = false;
  };
  struct RunBook {
    controller::RunSpec spec;
    std::vector<Segment> segments;
    RunTime end{};
    std::map<ShardEpoch, rate::Deal> deals;  ///< durable
    uint32_t entries = 0;                    ///< durable
    bool started = false;                    ///< T0 is durable
    bool gap = false;                        ///< an entry before the last one is not durable
    std::optional<Instant> t0;
    std::optional<Instant> stop_decided;
    std::optional<RunTime> stop_end;
    bool stop_durable = false;
    bool closing = false, closed = false, ended = false;
    std::set<std::pair<Incarnation, uint64_t>> folded;
    std::map<Incarnation, AgentBook> agents;
  };

  RunBook& RunOf(const RunId& run);
  static std::string Name(const RunId& run, Incarnation agent);
  void Entry(RunBook& run, const wire::Entry& entry);
  void GrantSent(Instant now, RunBook& run, Incarnation agent, const wire::Grant& grant);
  bool MaySend(const RunBook& run, Incarnation agent, const AgentBook& book,
               const rate::Arrival& arrival) const;
  void CheckAccounted(const RunBook& run, Incarnation agent, const AgentBook& book);
  void CheckGrantFacts(RunBook& run, const controller::CloseRun& close);

  Nanos lease_;
  std::string broken_;
  std::map<RunId, RunBook> runs_;
  std::map<Incarnation, uint64_t> highest_controller_;
  std::set<Incarnation> gone_;  ///< whose stream broke, as the controller knows
  uint64_t sent_ = 0, arrivals_ = 0;
};

}  // namespace broadside::sim
