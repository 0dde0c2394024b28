#pragma once

#include "common/report/report.h"
#include "controller/merge/close_facts.h"
#include "controller/merge/run_merge.h"

namespace broadside::merge {

/// Which intervals of the schedule have a snapshot of every incarnation that was granted them.
/// Gaps are shown, never filled. One `missing` entry for each incarnation and unbroken span.
report::Coverage CoverageOf(const RunMerge& merge, const CloseFacts& facts);

/// True when every owner of interval k has reported it.
bool IsComplete(const RunMerge& merge, const CloseFacts& facts, IntervalIndex k);

}  // namespace broadside::merge
