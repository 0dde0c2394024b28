#pragma once

#include <map>

#include "common/report/report.h"
#include "controller/merge/close_facts.h"
#include "controller/merge/run_merge.h"

/// Closing the ledger: the schedule on one side, what agents accounted for on the other. Pure.
namespace broadside::merge {

struct Ledger {
  std::map<Row, report::LedgerTotals> rows;
  /// Arrivals each incarnation had permission for, and what no snapshot of it accounts for.
  struct Share {
    uint64_t granted = 0, unreported = 0;
  };
  std::map<Incarnation, Share> agents;
};

/// For each (phase, target):
/// - scheduled = arrivals of the segments due before the end (a stop's E), and what agents that had
///   not heard took up beyond E (excess over the grants before E, at most what was granted beyond),
///   and what one that was lost may have sent there;
/// - granted = arrivals that the deals gave to an incarnation within its granted intervals;
///   unowned = scheduled before E − the sum of granted;
/// - unreported = granted − what the incarnation's latest counters account for, and what they leave
///   waiting;
/// - mismatch: whatever then does not fit. Anything counted that was never granted, lost between
///   terms, or absent from the outcome counts is a mismatch; it is never smoothed away.
/// Closed-loop phases have no schedule: scheduled is what was made.
Ledger CloseLedger(const RunMerge& merge, const CloseFacts& facts);

/// Sums terms. A mismatch in one row is not cancelled by another's of opposite sign.
void AddTotals(report::LedgerTotals& into, const report::LedgerTotals& row);

}  // namespace broadside::merge
