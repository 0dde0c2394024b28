#pragma once

#include <vector>

#include "common/report/report.h"
#include "controller/merge/ledger.h"
#include "controller/merge/phases.h"
#include "controller/merge/run_merge.h"

/// The plan's `slo:` rules, judged over the whole run. Pure.
namespace broadside::merge {

struct SloInput {
  const RunMerge* merge = nullptr;
  const Ledger* ledger = nullptr;
  const std::vector<PhaseSpan>* spans = nullptr;
  const std::map<RowOutcome, uint64_t>* outcomes = nullptr;  ///< all agents
};

/// Scope: the phases and targets that the rule names, else the measured phases and all targets.
/// - Percentiles, mean and max of latency, service and first_byte are over *scheduled* arrivals:
/// what
///   was not sent, not answered, rejected or failed is slower than any bound. Those of wait and lag
///   are over what was recorded.
/// - error_rate, reject_rate, timeout_rate (timeout_client, timeout_proxy) = failed, rejected,
/// timed
///   out ÷ ended. ok_rate and achieved: per second of the scope's planned length, or ÷ scheduled
///   where the value is a share.
/// - n = 0, a measure that was not recorded, a window, or steps of a phase (which counters do not
///   tell apart): "no data", with the reason.
report::RuleResult JudgeRule(const plan::Rule& rule, const SloInput& input);

/// "none" without rules, "pass" when every rule passes, else "fail".
std::string SloVerdict(const std::vector<report::RuleResult>& results);

}  // namespace broadside::merge
