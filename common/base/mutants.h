#pragma once

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
  kReleaseBeforeStored,  ///< the end of a run frees its agents before it is durable
  kCount,
};

#ifdef BROADSIDE_MUTANTS
/// The mutant that is on; set once at start, before any thread.
inline Mutant g_mutant = Mutant::kNone;
inline bool MutantIs(Mutant mutant) { return g_mutant == mutant; }
#else
constexpr bool MutantIs(Mutant) { return false; }
#endif

}  // namespace broadside
