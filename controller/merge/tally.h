#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "common/base/ids.h"
#include "common/stats/packed.h"
#include "common/stats/snapshot.h"
#include "common/time/time.h"

/// What RunMerge keeps of the snapshots it has folded. Every figure is the same whatever order they
/// came in: sums, maxima, or the value of the highest sequence.
namespace broadside::merge {

/// Rise of a cumulative count; 0 where an agent's numbers contradict each other.
inline uint64_t Rise(uint64_t now, uint64_t before) { return now > before ? now - before : 0; }

/// A row of the ledger.
struct Row {
  PhaseIndex phase;
  TargetIndex target;
  friend auto operator<=>(const Row&, const Row&) = default;
};
/// The rows that a rule speaks about.
struct RuleScope {
  std::set<PhaseIndex> phases;
  std::set<TargetIndex> targets;
  bool Has(const Row& row) const {
    return phases.contains(row.phase) && targets.contains(row.target);
  }
};
struct RowOutcome {
  Row row;
  std::string outcome;
  friend auto operator<=>(const RowOutcome&, const RowOutcome&) = default;
};
struct CellKey {
  Row row;
  std::string outcome;
  stats::Measure measure = stats::Measure::kLatency;
  friend auto operator<=>(const CellKey&, const CellKey&) = default;
};

/// Sums over all rows of one snapshot: cumulative, so that an interval's share is a difference.
struct SequenceTotals {
  IntervalIndex interval = 0;
  uint64_t scheduled = 0, sent = 0, ok = 0, rejected = 0, failed = 0, in_flight = 0;
};

/// One incarnation of an agent.
struct AgentTally {
  AgentId id;
  std::map<uint64_t, SequenceTotals> sequences;
  std::set<IntervalIndex> intervals;  ///< of which a snapshot came
  /// The counters of the highest sequence that named the row.
  struct Latest {
    uint64_t sequence = 0;
    stats::Counters counters;
  };
  std::map<Row, Latest> counters;
  std::map<RowOutcome, uint64_t> outcomes;  ///< cumulative: the highest seen
  uint64_t latest_sequence = 0;
  stats::AgentHealth health;  ///< of the latest sequence
  uint32_t busiest_loop_ppm = 0;
  uint64_t clock_bound_ns = 0, clock_slew_ns = 0;  ///< the worst
  uint64_t unbalanced = 0;  ///< snapshots in which a row did not close by itself
  bool final_totals = false;
  /// Of the measured phases, over all targets.
  stats::PackedHistogram ok_latency, lag;
};

struct GaugeSum {
  uint64_t in_flight_max = 0;  ///< the agents' maxima added: an upper bound of the cluster's
  uint64_t in_flight_ns = 0;
};

/// A histogram of a snapshot, decoded: slots rise.
struct DecodedCell {
  const stats::Cell* cell = nullptr;
  std::vector<stats::SlotCount> slots;
};

/// One interval over all agents.
struct IntervalTally {
  uint32_t snapshots = 0;
  stats::PackedHistogram ok_latency, lag;  ///< all phases and targets
  std::map<TargetIndex, GaugeSum> gauges;
};

}  // namespace broadside::merge
