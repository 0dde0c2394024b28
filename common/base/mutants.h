#pragma once

#include <array>
#include <cstddef>
#include <string_view>

/// Deliberately broken variants, for tests of the tests. A build with -DBROADSIDE_MUTANTS=ON can
/// switch one of them on at run time; in every other build the question is constantly false and
/// costs nothing. The simulator must catch each (tests/sim).
namespace broadside {

enum class Mutant : int {
  kNone,
  kLeaseFromReceipt,     ///< a lease counts from the answer's receipt, not from the ask
  kCutInsideGrant,       ///< a new epoch starts at an interval that was granted
  kNoDedup,              ///< a snapshot that comes twice is folded twice
  kAckBeforeStore,       ///< a snapshot is acknowledged before it is durable
  kStepClock,            ///< the run clock steps to a better sample instead of slewing
  kGrantPastSchedule,    ///< intervals past the last stored segment are granted
  kStopForgotten,        ///< hello does not repeat a stop
  kWaitingKeptAtLapse,   ///< what came due while the lease was lapsed is sent when it is renewed
  kJoinerBeforeReady,    ///< a joiner is dealt a share before it is ready
  kNobodyIsMe,           ///< the first owner sends the slots that nobody owns
  kOldControllerObeyed,  ///< any controller incarnation is obeyed
  kFreedTwice,           ///< an agent that left is freed again at the end of the run
  kLateSent,             ///< what was due before its grant came is sent all the same
  kLeaseUnchecked,       ///< the lease's clock part is not checked before a batch
  kGrantTooFar,          ///< intervals up to r + 2 D are granted
  kDealBeforeStore,      ///< an epoch is announced before it is durable
  kOutboxForgotten,      ///< a released run takes its undelivered snapshots with it
  kStopGrantsOn,         ///< grants go past the end of a stop
  kStaleDealKept,        ///< an owner that was lost keeps its slots in the next epoch
  kCount,
};

constexpr std::array<std::string_view, static_cast<size_t>(Mutant::kCount)> kMutantNames = {
    "none",
    "lease-from-receipt",
    "cut-inside-grant",
    "no-dedup",
    "ack-before-store",
    "step-clock",
    "grant-past-schedule",
    "stop-forgotten",
    "waiting-kept-at-lapse",
    "joiner-before-ready",
    "nobody-is-me",
    "old-controller-obeyed",
    "freed-twice",
    "late-sent",
    "lease-unchecked",
    "grant-too-far",
    "deal-before-store",
    "outbox-forgotten",
    "stop-grants-on",
    "stale-deal-kept",
};

#ifdef BROADSIDE_MUTANTS
/// The mutant that is on; set once at start, before any thread.
inline Mutant g_mutant = Mutant::kNone;
inline bool MutantIs(Mutant mutant) { return g_mutant == mutant; }
#else
constexpr bool MutantIs(Mutant) { return false; }
#endif

}  // namespace broadside
