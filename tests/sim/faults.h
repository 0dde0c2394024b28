#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

/// Everything that can go wrong in the simulation, by name, and how often it did.
namespace broadside::sim {

enum class Fault : uint8_t {
  kDelay,             ///< a message took far longer than usual
  kBreak,             ///< a stream broke, what was under way is lost
  kHalfOpen,          ///< a stream broke and only the agent noticed at first
  kLateOldStream,     ///< messages of a replaced stream arrived after the new one's hello
  kPartitionUp,       ///< agent → controller stood still
  kPartitionDown,     ///< controller → agent stood still
  kClog,              ///< several links stood still both ways, and were released one by one
  kEncoded,           ///< messages travelled as protobuf bytes
  kDuplicate,         ///< a snapshot came a second time
  kAgentKill,         ///< kill −9
  kAgentRestart,      ///< … and a new process with the same id
  kDuplicateId,       ///< a second process with an id that is in use
  kPause,             ///< SIGSTOP of an agent
  kPauseInBatch,      ///< … between the lease check and the sends
  kLoopStall,         ///< one loop stood still while the control thread went on
  kSlowMailbox,       ///< control → loop took its time
  kRefusal,           ///< an agent could not prepare
  kSlowPrepare,       ///< preparing took seconds
  kDrain,             ///< an agent left in good order
  kJoin,              ///< an agent came while the run was on
  kCancel,            ///< an operator cancelled
  kGuard,             ///< a guard fired
  kSlowTarget,        ///< the target stood still: arrivals waited, timed out
  kTargetErrors,      ///< the target refused connections or rejected
  kSlowStore,         ///< an fsync took seconds
  kStoreFailure,      ///< a write failed
  kStoreFull,         ///< snapshots were refused at the store's queue
  kSlowController,    ///< the core thread lagged
  kControllerPause,   ///< SIGSTOP of the controller
  kOldController,     ///< an agent met a controller older than the last
  kCrashBeforeStore,  ///< the controller died with a decision not yet handed to the store
  kCrashUnsynced,     ///< … with writes that were not durable
  kCrashAfterStore,   ///< … with a durable write that it had not heard of
  kCrashAfterSend,    ///< … right after a message left
  kCount,
};

constexpr std::array<std::string_view, static_cast<size_t>(Fault::kCount)> kFaultNames = {
    "delay",
    "break",
    "half-open",
    "late-old-stream",
    "partition-up",
    "partition-down",
    "clog",
    "encoded",
    "duplicate",
    "agent-kill",
    "agent-restart",
    "duplicate-id",
    "pause",
    "pause-in-batch",
    "loop-stall",
    "slow-mailbox",
    "refusal",
    "slow-prepare",
    "drain",
    "join",
    "cancel",
    "guard",
    "slow-target",
    "target-errors",
    "slow-store",
    "store-failure",
    "store-full",
    "slow-controller",
    "controller-pause",
    "old-controller",
    "crash-before-store",
    "crash-unsynced",
    "crash-after-store",
    "crash-after-send"};

using Coverage = std::array<uint64_t, static_cast<size_t>(Fault::kCount)>;

}  // namespace broadside::sim
