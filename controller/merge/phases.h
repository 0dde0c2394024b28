#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/plan/plan.h"
#include "controller/merge/run_merge.h"

/// What the schedule and the plan say about a run, without any snapshot. Pure.
namespace broadside::merge {

bool IsClosedLoop(const plan::Phase& phase);
/// What the plan asks of a phase or of one of its steps, for people: "1,500/s",
/// "50.0/s → 1,000/s", "150 % of capacity".
std::string AskedText(const plan::Phase& phase, std::optional<uint32_t> step = std::nullopt);

struct PhaseSpan {
  RunTime start{}, end{};
  Nanos length() const { return end - start; }
};
/// Start and end of each of `rows` phase rows, cut at `end`; one without segments is empty.
std::vector<PhaseSpan> PhaseSpans(size_t rows, const Segments& segments, RunTime end);
/// End of the last segment, or the stop before it.
RunTime ScheduleEnd(const Segments& segments, std::optional<RunTime> stopped_at);
/// Arrivals due before `end`, by phase row and target.
std::map<Row, uint64_t> CountScheduled(const Segments& segments, RunTime end);
/// Arrivals due in [from, to).
uint64_t CountDue(const Segments& segments, RunTime from, RunTime to);
/// Mean of the rate asked over a phase row up to `end`, per second; empty where no rate is asked.
std::optional<double> AskedMean(const Segments& segments, PhaseIndex phase, RunTime end);

}  // namespace broadside::merge
