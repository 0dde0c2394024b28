#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/plan/plan.h"
#include "common/report/report.h"

/// The validity verdict: did the generator do its job? Apart from the SLO; never about the target.
namespace broadside::merge {

/// Bounds beyond which a sign makes the run DEGRADED or INVALID. A plan sets them under `validity:`
/// by the names given here; where a sign has two, NAME is the bound of INVALID and NAME_degraded
/// the other; setting one leaves the other. "off" takes a bound away. Durations as in the plan
/// ("10ms"), shares as "1%".
struct Thresholds {
  /// lag_p99, lag_p99_degraded: lag P99 of any agent over the measured phases. Defaults: DEGRADED
  /// above max(1 ms, 10 % of the P50 of ok service time), INVALID above max(10 ms, 50 % of it). A
  /// bound from the plan stands as it is, without the share of the service time.
  std::optional<int64_t> lag_degraded_ns = 1'000'000, lag_invalid_ns = 10'000'000;
  bool lag_degraded_relative = true, lag_invalid_relative = true;
  /// own_fault, own_fault_degraded: arrivals not sent for the agent's own reasons (dropped or
  /// expired, and the plan's limits do not explain it) ÷ scheduled, measured phases.
  std::optional<double> own_fault_degraded = 0.0, own_fault_invalid = 0.01;
  /// missing, missing_degraded: (unowned + unreported) ÷ scheduled of any measured phase.
  std::optional<double> missing_degraded = 0.0, missing_invalid = 0.10;
  /// achieved, achieved_degraded: (sent + what the plan's limits held back) ÷ (scheduled − unowned
  /// − unreported), measured phases. What the plan's own limits hold back is named, not a fault, so
  /// it counts as achieved here (the report's achieved rate does not count it).
  std::optional<double> achieved_degraded = 0.999, achieved_invalid = 0.99;
  /// clock_bound: worst ε, or pending slew, of any agent.
  std::optional<int64_t> clock_bound_ns = 10'000'000;
  /// start_skew: |first send of the run − its due time| of any agent.
  std::optional<int64_t> start_skew_ns = 10'000'000;
  /// throttled: time the agent's cgroup was throttled ÷ run length.
  std::optional<double> throttled = 0.01;
  /// coverage: intervals with every owner's snapshot ÷ intervals.
  std::optional<double> coverage = 1.0;
  /// little: |mean in flight measured ÷ rate × mean time in service − 1|, whole run, when the mean
  /// is at least 1 and at least 1,000 requests ended.
  std::optional<double> little = 0.05;
  /// loop_busy: off by default, because a loop that polls is always busy; the lag tells.
  std::optional<double> loop_busy;
  /// limited: share of the scheduled from which being held back by a plan limit is named in a note.
  double limited_note = 0.001;
};
/// Unknown names, and values that are no bound, are errors ("validity.lag_p98: unknown; known are
/// …").
StatusOr<Thresholds> ParseThresholds(const std::map<std::string, std::string>& overrides);

struct AgentSigns {
  std::string id;
  std::optional<int64_t> lag_p99;
  uint64_t scheduled = 0, own_fault = 0;
  uint32_t loops = 0;
  double busiest_loop = 0;
  uint64_t throttled_ns = 0, clock_bound_ns = 0, clock_slew_ns = 0;
  int64_t start_skew_ns = 0;
  uint64_t unbalanced = 0;  ///< snapshots whose ledger did not close
  uint64_t outbox_dropped = 0, folded_cells = 0, stale_resets = 0, unvalidated = 0;
};
struct PhaseSigns {
  std::string name;
  uint64_t scheduled = 0, unowned = 0, unreported = 0;
};
/// Requests in flight: measured, and what rate × time gives when the time of failed requests counts
/// without and with their lag and wait.
struct LittleSign {
  double measured = 0, low = 0, high = 0;
  uint64_t ended = 0;
};

struct ValidityFacts {
  std::optional<int64_t> ok_service_p50;
  int64_t run_length_ns = 0;
  std::vector<AgentSigns> agents;
  std::vector<PhaseSigns> measured_phases;
  report::LedgerTotals measured, run;
  uint64_t own_fault = 0, limited = 0;  ///< measured phases
  std::optional<int64_t> wait_p99;
  report::Coverage coverage;
  std::optional<LittleSign> little;  ///< empty when it cannot be judged
  plan::Limits limits;
};

/// DEGRADED and INVALID reasons are full sentences that name the agent and the number; worst first.
report::Validity Judge(const ValidityFacts& facts, const Thresholds& thresholds);

}  // namespace broadside::merge
