#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/ids.h"
#include "common/stats/histogram.h"
#include "common/time/time.h"

/// What one agent saw happen in one interval: *cumulative* counters and *delta* histograms.
/// Idempotent by (run, incarnation, sequence). Plain values; the wire form is in common/wire.
namespace broadside::stats {

/// Times of a request and what is derived from them, all on the agent's own clock.
enum class Measure : uint8_t {
  kLatency,    ///< completed − due, for every outcome
  kService,    ///< completed − sent, outcome ok
  kWait,       ///< sent − ready, outcome ok
  kFirstByte,  ///< first byte − sent, outcome ok
  kLag,        ///< ready − due, of every arrival sent (outcome key kAllSent)
};
constexpr Measure kMeasures[] = {Measure::kLatency, Measure::kService, Measure::kWait,
                                 Measure::kFirstByte, Measure::kLag};
std::string_view MeasureName(Measure measure);  // "latency", "service", "wait", "first_byte", "lag"
/// False for a name this version does not know.
bool MeasureFromName(std::string_view name, Measure& measure);

/// The outcome key of cells that hold all sent arrivals, whatever became of them.
constexpr std::string_view kAllSent = "*";

/// A histogram of one interval.
struct Cell {
  PhaseIndex phase;  ///< of the due time
  TargetIndex target;
  std::string outcome;
  Measure measure = Measure::kLatency;
  Exact exact;
  std::string counts;  ///< stats::EncodeCounts
};

/// The ledger of one (phase, target) on one agent since its incarnation joined the run. At every
/// snapshot: scheduled = sent + dropped + expired + waiting, sent = ok + rejected + failed +
/// in_flight.
struct Counters {
  uint64_t scheduled = 0;
  uint64_t sent = 0;
  uint64_t dropped = 0;
  uint64_t expired = 0;
  uint64_t waiting = 0;  ///< now: taken up, no connection yet
  uint64_t ok = 0;
  uint64_t rejected = 0;
  uint64_t failed = 0;
  uint64_t in_flight = 0;        ///< now: sent, not ended
  uint64_t after_stop = 0;       ///< part of sent
  uint64_t unsent_failures = 0;  ///< part of failed: no byte of the request left this host
  uint64_t own_fault = 0;  ///< part of dropped + expired that the plan's limits do not explain
  uint64_t limited = 0;    ///< arrivals that waited for, or were dropped at, a plan limit
  uint64_t bytes_out = 0;
  uint64_t bytes_in = 0;
  uint64_t inferences = 0;  ///< batch items of ok replies

  void Add(const Counters& other);
  bool Closes() const;
  friend bool operator==(const Counters&, const Counters&) = default;
};

struct PhaseCounters {
  PhaseIndex phase;
  TargetIndex target;
  Counters counters;
};

/// Cumulative count of an outcome class, and the edges of its appearances in this interval.
struct OutcomeCount {
  PhaseIndex phase;
  TargetIndex target;
  std::string outcome;
  uint64_t total = 0;        ///< cumulative
  uint64_t in_interval = 0;  ///< the rest is about these only, and absent when 0
  RunTime first_due{}, last_due{}, first_end{}, last_end{};
  uint32_t longest_run = 0;   ///< longest run of this class in order of completion, per loop
  uint32_t alternations = 0;  ///< how often the class changed to or from this one, per loop
};

struct TargetGauge {
  TargetIndex target;
  uint64_t in_flight_max = 0;
  /// Integral of requests in flight over the interval, in request·nanoseconds; mean = this ÷
  /// length.
  uint64_t in_flight_ns = 0;
};

/// How the agent itself fared in this interval.
struct AgentHealth {
  uint32_t loops = 0;
  uint32_t busiest_loop_ppm =
      0;                        ///< share of the interval the busiest loop was not asleep in epoll
  uint64_t cpu_ns = 0;          ///< process user + system time, cumulative
  uint64_t throttled_ns = 0;    ///< cgroup throttling, cumulative; 0 where it cannot be read
  uint64_t clock_bound_ns = 0;  ///< ε now
  uint64_t clock_slew_ns = 0;   ///< correction still to be slewed, absolute
  uint64_t folded_cells = 0;    ///< outcomes folded into "other" for want of cells, cumulative
  uint64_t stale_resets =
      0;  ///< sent on a kept connection that the peer had just closed, cumulative
  uint64_t unvalidated = 0;     ///< ok replies too large or compressed, so unread, cumulative
  uint64_t outbox_dropped = 0;  ///< snapshots whose histograms were dropped, cumulative
  int64_t start_skew_ns = 0;    ///< first send of the run − its due time; 0 before it
};

struct Snapshot {
  RunId run;
  Incarnation incarnation;
  uint64_t sequence = 0;  ///< 1, 2, 3 … per run and incarnation
  IntervalIndex interval = 0;
  Nanos interval_length{};
  bool final_totals = false;  ///< nothing waits or is in flight, and nothing more will be sent
  std::vector<PhaseCounters> counters;
  std::vector<OutcomeCount> outcomes;
  std::vector<Cell> cells;
  std::vector<TargetGauge> gauges;
  AgentHealth health;
};

}  // namespace broadside::stats
