#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

/// One Report value, rendered as text, JSON and more. Filled by the controller's fold over the
/// stored snapshots. Times are integer nanoseconds, rates are requests per second; what does not
/// exist is empty (JSON null), never 0. Keys of the JSON are in ARCHITECTURE.md: added, never
/// renamed.
namespace broadside::report {

struct Summary {          ///< of one measure of one class
  uint64_t n = 0;         ///< values recorded
  uint64_t censored = 0;  ///< unanswered ones that rank as slower than any bound
  std::optional<int64_t> min, mean, p50, p90, p95, p99, p999, max;
  /// True where the percentile's rank falls among the unanswered: reads "> timeout".
  bool p50_censored = false, p90_censored = false, p95_censored = false, p99_censored = false,
       p999_censored = false;
  /// Values at the ranks of the 95 % interval of P99, for independent samples; empty when n is
  /// small.
  std::optional<int64_t> p99_low, p99_high;
};

struct LedgerTotals {
  uint64_t scheduled = 0, sent = 0, dropped = 0, expired = 0, unowned = 0, unreported = 0;
  uint64_t ok = 0, rejected = 0, failed = 0, in_flight = 0, after_stop = 0;
  uint64_t unsent_failures = 0;
  /// scheduled − (sent + dropped + expired + unowned + unreported), and likewise for sent: 0 when
  /// it closes.
  int64_t mismatch = 0;
};

/// Slots of the ok-latency histogram, thinned for drawing: [low, high] ns and count.
struct Bar {
  int64_t low = 0, high = 0;
  uint64_t count = 0;
};

struct Section {  ///< a target, a phase, a (phase, target) or the total
  std::string name;
  std::string asked;  ///< as the plan wrote it: "1,000/s", "50/s → 1,000/s"
  std::map<std::string, uint64_t> outcomes;
  std::optional<double> offered, achieved, ok_rate, inference_rate, asked_mean;
  LedgerTotals ledger;
  uint64_t bytes_out = 0, bytes_in = 0, inferences = 0;
  uint64_t in_flight_max = 0;
  std::optional<double> in_flight_mean;  ///< measured
  std::optional<double> little;          ///< rate × mean time in service, to compare
  Summary latency, service, wait, lag, first_byte;
  std::map<std::string, Summary> by_outcome;  ///< latency of each class
  std::vector<Bar> bars;                      ///< latency of ok
  uint64_t limited = 0;
  bool measured = true;
  int64_t start_ns = 0, length_ns = 0;  ///< run clock; phases only
  std::vector<Section> targets;         ///< phases with several targets
};

struct IntervalRow {
  int64_t k = 0, start_ns = 0;
  std::string phase;
  std::optional<double> offered;
  uint64_t scheduled = 0, sent = 0, ok = 0, rejected = 0, failed = 0;
  uint64_t in_flight = 0;
  std::optional<int64_t> p50, p99, lag_p99;
  uint32_t agents = 0;  ///< that reported
  bool complete = true;
};

struct AgentRow {
  std::string id;
  std::string incarnation;  ///< 16 hex digits
  uint64_t sent = 0;
  std::optional<int64_t> p50, p99, lag_p50, lag_p99;
  std::optional<double> slow_share;  ///< its share of the slowest 1 % of ok replies
  std::optional<int64_t> clock_bound_ns, start_skew_ns;
  std::optional<double> busiest_loop;  ///< 0 … 1, the worst interval
  uint64_t cpu_ns = 0, throttled_ns = 0;
  uint32_t loops = 0;
  std::string state;  ///< "done", "lost" …
  std::vector<std::pair<std::string, std::string>> labels;
};

struct RuleResult {
  std::string rule;      ///< as written
  std::string verdict;   ///< "pass", "fail", "no data"
  std::string measured;  ///< "16.2 ms", "> timeout"
  std::string reason;
};

struct Validity {
  std::string verdict = "VALID";     ///< VALID, DEGRADED, INVALID
  std::vector<std::string> reasons;  ///< of DEGRADED and INVALID, worst first
  std::vector<std::string> notes;    ///< named but harmless: "client-limited by connections"
};

struct Missing {
  int64_t from_k = 0, to_k = 0;
  std::string agent, why;
};
struct Coverage {
  uint64_t intervals = 0, complete = 0;
  std::vector<Missing> missing;
};

struct Report {
  std::string run_id, name, state;  ///< state: completed, aborted, cancelled, failed
  std::string state_reason;
  int64_t started_wall_ns = 0, ended_wall_ns = 0;
  uint64_t seed = 0;
  std::string plan_sha256;
  std::string plan_yaml;  ///< resolved
  std::map<std::string, std::string>
      versions;  ///< "controller": "0.1.0", "agent": …, "schedule": "1"
  std::map<std::string, std::string> tags;
  int64_t timeout_ns = 0;
  bool closed_loop = false;
  Validity validity;
  std::string slo = "none";  ///< pass, fail, none
  std::vector<RuleResult> slo_results;
  std::string breaker = "none";  ///< pass, fail, inconclusive, none
  std::vector<RuleResult> breaker_results;
  LedgerTotals ledger;
  Coverage coverage;
  Section total;                 ///< measured phases
  std::vector<Section> targets;  ///< measured phases, by target
  std::vector<Section> phases;   ///< in order, all of them
  std::vector<IntervalRow> intervals;
  std::vector<AgentRow> agents;
  std::vector<std::string> warnings;  ///< sample sizes and the like
};

/// The exit code of `ctl run` and `ctl report` for a finished run: the first that applies of 130
/// cancelled, 3 failed, 8 aborted by a guard, 7 INVALID (DEGRADED too when `strict`), 5 breaker
/// failed, 4 SLO failed, 6 breaker inconclusive, 0. (1 and 2 are decided before there is a report.)
int ExitCode(const Report& report, bool strict);

}  // namespace broadside::report
