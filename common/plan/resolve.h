#pragma once

#include <functional>
#include <memory>
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

/// "ramp", "c[0]", "c[1]" …: what people call each segment of a schedule.
std::vector<std::string> SegmentNames(const Plan& plan);

/// Positions of the phases that `rule` speaks about: those it names, else its default scope
/// (measured phases that are neither search, idle, nor a rate above 100 % of a search). Steps
/// within a phase are the rule's own `from` and `to`.
std::vector<size_t> PhasesOfRule(const Plan& plan, const Rule& rule);

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
