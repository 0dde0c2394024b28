#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/plan/plan.h"
#include "common/rate/schedule.h"
#include "common/rate/segment.h"

/// From phases to the resolved schedule. Pure; done once, by the controller (and by --dry-run).
namespace broadside::plan {

/// The plan's phases as segments, one after another from run time 0; a steps phase gives one
/// segment a step. `seed` is the run's.
StatusOr<std::vector<rate::Segment>> ResolveSchedule(const Plan& plan, uint64_t seed);

/// What a PhaseIndex stands for: a phase or one step of a steps phase.
struct PhaseRow {
  size_t phase = 0;              ///< position in Plan::phases
  std::optional<uint32_t> step;  ///< of a steps phase
  std::string name;              ///< "ramp", "c[0]", "c[1]" …
};
/// By PhaseIndex. Every resolved segment belongs to one row.
std::vector<PhaseRow> PhaseRows(const Plan& plan);

/// The rate of a step, from 0.
MicroRate StepRate(const StepsLoad& steps, uint32_t step);

/// True unless the phase is `measure: false`, a search, idle, or a rate above 100 % of a search.
bool IsMeasured(const Phase& phase);

/// Positions of the phases that `rule` speaks about: those it names, else the measured ones.
std::vector<size_t> PhasesOfRule(const Plan& plan, const Rule& rule);
/// The same as rows, where the rule may name single steps.
std::set<PhaseIndex> RowsOfRule(const Plan& plan, const Rule& rule);

/// Rows of a replay file in ns from the phase's start, never falling. Errors name the line.
StatusOr<std::vector<int64_t>> ReadReplay(std::string_view text, std::string_view format,
                                          const std::string& file_name);

/// The content of a plan's file by its SHA-256.
using FileBySha = std::function<StatusOr<std::string>(const std::string& sha256)>;
/// A segment that can give its arrivals. A replay's rows come out of its file; errors call that
/// `name`.
StatusOr<std::shared_ptr<const rate::CompiledSegment>> CompileSegment(const rate::Segment& segment,
                                                                      const FileBySha& file,
                                                                      const std::string& name);

}  // namespace broadside::plan
