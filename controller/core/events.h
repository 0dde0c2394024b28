#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/base/ids.h"
#include "common/plan/plan.h"
#include "common/rate/segment.h"
#include "common/time/time.h"
#include "common/wire/messages.h"

/// What goes into the controller's decision machines and what comes out: plain structs.
namespace broadside::controller {

/// Names a write until it is durable. 0: none.
using StoreToken = uint64_t;

enum class RunState : uint8_t {
  kWaiting,    ///< for agents
  kPreparing,  ///< agents fetch files, build requests, open connections
  kStarting,   ///< T0 and the schedule are being stored
  kRunning,
  kDraining,  ///< no new arrivals; replies are still counted
  kClosing,   ///< the report is being made and stored
  kCompleted,
  kAborted,  ///< a guard fired
  kCancelled,
  kFailed,
};
std::string_view RunStateName(RunState state);
/// Empty for a name that is none.
std::optional<RunState> RunStateFromName(std::string_view name);
constexpr bool IsEnded(RunState state) { return state >= RunState::kCompleted; }

/// What is known of an agent from its hello.
struct AgentFacts {
  AgentId id;
  Incarnation incarnation;
  uint32_t loops = 1;
  uint32_t cores = 1;
  rate::MicroRate ceiling = 0;  ///< 0: none
  std::map<std::string, std::string> labels;
  std::string version;
  std::string host;
};

/// A run before anything happened to it.
struct RunSpec {
  RunId run;
  std::shared_ptr<const plan::Plan> plan;
  std::string plan_json;
  uint64_t seed = 0;
  std::vector<rate::Segment> segments;
};

/// The intervals that one owner was permitted to send under one epoch.
struct GrantFact {
  Incarnation owner;
  ShardEpoch epoch;
  IntervalIndex first = 0;
  IntervalIndex last = 0;  ///< < first: nothing was granted
};

// ---- Events of one run -----------------------------------------------------------------------

/// The run may use these agents from now on.
struct AgentsGiven {
  std::vector<AgentFacts> agents;
};
struct AgentPrepared {
  Incarnation agent;
  std::string error;
  std::vector<std::string> warnings;
};
struct AgentAsked {
  Incarnation agent;
  Instant asked{};
  uint32_t entries = 0;
};
struct AgentLost {
  Incarnation agent;
  std::string reason;
};
/// The stream is back, the same incarnation.
struct AgentBack {
  Incarnation agent;
  wire::HeldRun held;
};
struct AgentDrains {
  Incarnation agent;
};
struct SnapshotTaken {
  std::shared_ptr<const wire::SnapshotEnvelope> snapshot;
};
struct StopWanted {
  RunState end_as = RunState::kCancelled;
  std::string reason;
};
struct Stored {
  StoreToken token = 0;
};
struct StoreFailed {
  StoreToken token = 0;
  std::string reason;
};

using RunEvent = std::variant<AgentsGiven, AgentPrepared, AgentAsked, AgentLost, AgentBack,
                              AgentDrains, SnapshotTaken, StopWanted, Stored, StoreFailed>;

// ---- Actions -----------------------------------------------------------------------------------

struct SendTo {
  Incarnation agent;
  wire::ControllerMessage message;
};
struct StoreState {
  RunState state;
  std::string reason;
};
struct StoreStart {
  Instant t0{};
};
/// A stop that was decided: how the run ends, and E. Stored once; a second one changes nothing.
struct StoreStop {
  RunState end_as = RunState::kCancelled;
  std::string reason;
  RunTime end{};
};
struct StoreEntry {
  wire::Entry entry;
};
struct StoreAgent {
  AgentFacts agent;
};
struct StoreSnapshot {
  std::shared_ptr<const wire::SnapshotEnvelope> snapshot;
};
/// Fold the stored set into the report, store it with the end state, then say Stored.
struct CloseRun {
  RunState end_as;
  std::string reason;
  std::vector<GrantFact> grants;
  std::vector<rate::Deal> deals;
  bool stopped = false;
  RunTime stop_end{};
  std::vector<Incarnation> lost;
};
/// The run needs this agent no longer.
struct FreeAgent {
  Incarnation agent;
};
/// Something a person following the run should read.
struct Notice {
  std::string text;
};

struct Action {
  RunId run;
  std::variant<SendTo, StoreState, StoreStart, StoreStop, StoreEntry, StoreAgent, StoreSnapshot,
               CloseRun, FreeAgent, Notice>
      what;
  StoreToken token = 0;  ///< of a write: comes back in Stored or StoreFailed
  StoreToken after = 0;  ///< do it when this write is durable; drop it when that write failed
};

// ---- A controller that starts again ------------------------------------------------------------

/// What the store holds of a run that has not ended, for RunCore::Restore.
struct StoredRun {
  struct Start {
    Instant t0{};  ///< of the clock of the boot `boot_id`
    std::string boot_id;
    Nanos by_wall{};  ///< time since T0 by the wall clock: only for when nothing better is left
  };
  std::optional<Start> start;          ///< empty: the run had not begun
  std::vector<wire::Entry> entries;    ///< by number, from 1
  std::vector<AgentFacts> agents;      ///< all that it was ever given
  std::set<Incarnation> final_totals;  ///< whose are stored
  IntervalIndex newest = -1;           ///< the greatest interval of a stored snapshot
  std::optional<StoreStop> stop;
};

}  // namespace broadside::controller
