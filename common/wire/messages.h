#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/base/ids.h"
#include "common/rate/segment.h"
#include "common/time/time.h"

/// What controller and agents say to one another, as plain values: the decision cores on both sides
/// and the simulator use these; common/wire/convert.h turns them into protobuf and back. The
/// meaning of each message is in proto/broadside/v1/fleet.proto.
namespace broadside::wire {

/// Rises when messages change incompatibly. Outboxes are taken from any version.
constexpr uint32_t kProtocolVersion = 1;
/// D of the lease protocol; agents ask every D/3.
constexpr Nanos kLease = std::chrono::seconds(3);

// ---- Agent → controller ----------------------------------------------------------------------

struct HeldRun {
  RunId run;
  uint32_t entries = 0;
  uint64_t last_sequence = 0;
  bool stopped = false;
  RunTime stop_end{};
  std::string stop_reason, stop_as;  ///< as the stop said
  struct HeldGrant {
    ShardEpoch epoch;
    IntervalIndex last = 0;
  };
  /// The greatest interval granted under each epoch that was granted anything. Meaningful only with
  /// `grants_known`: agents of older versions do not say.
  std::vector<HeldGrant> grants;
  bool grants_known = false;
  std::optional<RunTime> run_now;  ///< r by the agent's map when it said hello; empty before T0
};

struct Hello {
  uint32_t protocol_version = kProtocolVersion;
  uint32_t schedule_version = 0;
  uint32_t histogram_layout = 0;
  AgentId agent;
  Incarnation incarnation;
  uint32_t loops = 1;
  uint32_t cores = 1;
  rate::MicroRate rate_ceiling = 0;  ///< 0: none
  std::map<std::string, std::string> labels;
  std::string version;
  std::string host;
  std::vector<HeldRun> held;
};

struct Heartbeat {
  Instant sent{};  ///< the agent's clock
  RunId run;       ///< empty: asks for the time only
  uint32_t entries = 0;
};

struct Prepared {
  RunId run;
  std::string error;  ///< empty: ready
  std::vector<std::string> warnings;
};

struct SnapshotEnvelope {
  RunId run;
  Incarnation incarnation;
  uint64_t sequence = 0;
  IntervalIndex interval = 0;
  bool final_totals = false;
  Instant asked{};  ///< the agent's clock; the epoch's zero: does not ask
  uint32_t entries = 0;
  std::string body;  ///< packed, see common/wire/snapshot.h
};

struct Drain {};

using AgentMessage = std::variant<Hello, Heartbeat, Prepared, SnapshotEnvelope, Drain>;

// ---- Controller → agent ----------------------------------------------------------------------

struct Welcome {
  uint32_t protocol_version = kProtocolVersion;
  uint64_t controller_incarnation = 0;
  std::string version;
  std::string no_shard;  ///< why this agent gets no share of any run; empty: it may
};

struct HeartbeatReply {
  Instant sent{};      ///< the agent's clock, echoed
  Instant received{};  ///< the controller's clock
  Instant answered{};
  std::string boot_id;  ///< of the controller's host: another one means another clock
};

struct Assignment {
  RunId run;
  std::string plan_json;
  uint64_t seed = 0;
  uint32_t in_flight = 0;
  uint32_t connections = 0;
  double share = 1;
  uint64_t controller_incarnation = 0;
};

struct Entry {
  RunId run;
  uint32_t number = 0;  ///< from 1
  std::variant<rate::Segment, rate::Deal> what;
};

struct Start {
  RunId run;
  Instant t0{};  ///< the controller's clock
  std::string boot_id;
};

struct Grant {
  uint64_t controller_incarnation = 0;
  RunId run;
  ShardEpoch epoch;
  IntervalIndex last = 0;
  uint32_t entries = 0;
  Instant asked{};  ///< the agent's clock
};

struct SnapshotAck {
  RunId run;
  Incarnation incarnation;
  std::vector<uint64_t> sequences;
};

struct Stop {
  RunId run;
  RunTime end{};
  std::string reason;
  uint64_t controller_incarnation = 0;
  std::string end_as;  ///< the state that the run will end in
};

struct Finish {
  RunId run;
  RunTime end{};
};

struct Release {
  RunId run;
};

using ControllerMessage = std::variant<Welcome, HeartbeatReply, Assignment, Entry, Start, Grant,
                                       SnapshotAck, Stop, Finish, Release>;

}  // namespace broadside::wire
