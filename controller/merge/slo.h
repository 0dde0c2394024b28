#pragma once

#include <map>
#include <optional>
#include <string_view>
#include <vector>

#include "common/report/report.h"
#include "common/stats/histogram.h"
#include "controller/merge/ledger.h"
#include "controller/merge/phases.h"
#include "controller/merge/run_merge.h"

/// One grammar of rules, judged: over the whole run here, over windows of it in rule_series.h.
/// Pure.
namespace broadside::merge {

/// The phases, steps and targets that a rule names, else the measured phases and all targets.
RuleScope ScopeOf(const plan::Plan& plan, const plan::Rule& rule);

/// The histograms that a rule about time reads; empty for other rules.
struct RuleCells {
  stats::Measure measure{};
  std::string_view outcome;
  bool Has(stats::Measure of, std::string_view name) const;
};
std::optional<RuleCells> CellsOf(const plan::Rule& rule);
/// True for latency, service and first_byte: what was not answered ok is slower than any bound.
/// False for wait and lag, which are over what was recorded.
bool IsOverArrivals(const plan::Rule& rule);
bool IsTimeout(std::string_view outcome);

/// What a rule is judged on.
struct RuleFigures {
  stats::Histogram histogram;  ///< of CellsOf(rule)
  uint64_t scheduled = 0, sent = 0, ok = 0, rejected = 0, failed = 0;
  uint64_t timeouts = 0;  ///< part of failed
  uint64_t beyond = 0;    ///< arrivals that are slower than any bound, see IsOverArrivals
  Nanos length{};         ///< what rates are per second of
  std::string_view arrivals = "scheduled";     ///< what histogram and `beyond` add up to
  std::string_view beyond_text = "> timeout";  ///< of a percentile that lies among `beyond`
};

/// "pass" when the rule's comparison is true, "fail" when it is not, "no data" when n = 0 or the
/// measure was not recorded.
/// - error_rate, reject_rate, timeout_rate (timeout_client, timeout_proxy) = failed, rejected,
///   timed out ÷ ended.
/// - ok_rate and achieved: per second of `length`, or ÷ scheduled where the value is a share.
report::RuleResult JudgeFigures(const plan::Rule& rule, const RuleFigures& figures);

struct SloInput {
  const RunMerge* merge = nullptr;
  const Ledger* ledger = nullptr;
  const std::vector<PhaseSpan>* spans = nullptr;             ///< by PhaseIndex
  const std::map<RowOutcome, uint64_t>* outcomes = nullptr;  ///< all agents
};

/// A rule without a window. Latency is judged over *scheduled* arrivals: what was not sent, not
/// answered, rejected or failed is slower than any bound. Rates are per second of the planned
/// length of its phases.
report::RuleResult JudgeRule(const plan::Rule& rule, const SloInput& input);

/// "none" without rules, "pass" when every rule passes, else "fail".
std::string SloVerdict(const std::vector<report::RuleResult>& results);

}  // namespace broadside::merge
