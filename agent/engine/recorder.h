#pragma once

#include <array>
#include <memory>
#include <optional>
#include <vector>

#include "agent/engine/part.h"
#include "common/breaker/outcome.h"
#include "common/rate/schedule.h"
#include "common/stats/snapshot.h"
#include "common/time/clock_map.h"

namespace broadside::agent {

/// Everything one loop counts for one (phase, target).
struct Row {
  PhaseIndex phase;
  TargetIndex target;
  stats::Counters counters;
  struct Class {
    uint64_t total = 0;
    uint64_t in_interval = 0;
    RunTime first_due{}, last_due{};
    Instant first_end{}, last_end{};
    uint32_t longest_run = 0, alternations = 0;
    stats::IntervalHistogram* latency = nullptr;
  };
  std::array<Class, breaker::kOutcomeCount> classes;
  stats::IntervalHistogram* service = nullptr;
  stats::IntervalHistogram* wait = nullptr;
  stats::IntervalHistogram* first_byte = nullptr;
  stats::IntervalHistogram* lag = nullptr;
  int last_class = -1;
  uint32_t run = 0;  ///< length of the present run of last_class
  /// Sent arrivals by the interval of their due time, of the last kDueSlots intervals: a stop that
  /// comes late asks how many of them it should have prevented.
  static constexpr int kDueSlots = 128;
  struct DueSlot {
    IntervalIndex interval = -1;
    uint64_t sent = 0;
  };
  std::array<DueSlot, kDueSlots> sent_by_due;
};

/// The times of one request on the agent's clock. Empty instants never happened.
struct Times {
  Instant due{}, ready{}, sent{}, first_byte{}, completed{};
};

/// One loop's counters and histograms. The loop must close an interval before it records anything
/// that happened after its end. One thread; allocates only when a (phase, target) is new.
class Recorder {
 public:
  Recorder(size_t phases, size_t targets, Nanos interval, HistogramPool& pool);

  Row& RowOf(PhaseIndex phase, TargetIndex target);

  void Sent(Row& row, const rate::Arrival& arrival, const Times& times);
  void Ended(Row& row, breaker::Outcome outcome, RunTime due, const Times& times);
  /// Counts what was sent and due at or after `end` as after_stop, past and future.
  void StopAt(RunTime end);

  uint64_t in_flight(TargetIndex target) const { return gauges_[target.value()].now; }

  /// Fills `part` with interval `interval`, which ended at `end`, and starts the next.
  void Close(IntervalIndex interval, Instant end, const ClockFit& fit, IntervalPart& part);
  /// The interval clock starts: in-flight integrals count from here.
  void StartAt(Instant now);

 private:
  struct Gauge {
    uint64_t now = 0, max = 0, integral_ns = 0;
    Instant changed{};
    void Move(Instant at, int by);
  };
  stats::IntervalHistogram* Cell(Row& row, int outcome, stats::Measure measure);
  void Record(stats::IntervalHistogram*& cell, Row& row, int outcome, stats::Measure measure,
              Nanos value);
  void CloseRow(Row& row, const ClockFit& fit, RowPart& part);

  size_t targets_;
  Nanos interval_;
  HistogramPool& pool_;
  std::vector<std::unique_ptr<Row>> by_key_;  ///< phase · targets + target
  std::vector<Row*> rows_;                    ///< in order of first use
  std::vector<CellPart> cells_;               ///< taken in this interval
  std::vector<Gauge> gauges_;
  std::optional<RunTime> stop_;
  std::optional<Skew> first_send_;
  uint64_t folded_ = 0;
};

}  // namespace broadside::agent
