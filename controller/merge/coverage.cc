#include "controller/merge/coverage.h"

#include <algorithm>
#include <set>

#include "controller/merge/phases.h"

namespace broadside::merge {
namespace {

bool Reported(const RunMerge& merge, Incarnation incarnation, IntervalIndex k) {
  const auto agent = merge.agents().find(incarnation);
  return agent != merge.agents().end() && agent->second.intervals.contains(k);
}

const AgentFact* FactOf(const CloseFacts& facts, Incarnation incarnation) {
  for (const AgentFact& agent : facts.agents) {
    if (agent.incarnation == incarnation) return &agent;
  }
  return nullptr;
}

report::Missing MissingOf(const CloseFacts& facts, Incarnation incarnation, IntervalIndex k) {
  const AgentFact* fact = FactOf(facts, incarnation);
  return {.from_k = k,
          .to_k = k,
          .agent = fact != nullptr ? fact->id.value() : std::to_string(incarnation.value()),
          .why = fact != nullptr && fact->state == "lost" ? "the agent was lost" : "no snapshot"};
}

}  // namespace

bool IsComplete(const RunMerge& merge, const CloseFacts& facts, IntervalIndex k) {
  return std::all_of(facts.grants.begin(), facts.grants.end(), [&](const GrantFact& grant) {
    return k < grant.first || k > grant.last || Reported(merge, grant.incarnation, k);
  });
}

report::Coverage CoverageOf(const RunMerge& merge, const CloseFacts& facts) {
  const Nanos length = merge.plan().interval;
  const RunTime end = ScheduleEnd(merge.segments(), facts.stopped_at);
  if (end <= RunStart()) return {};
  const IntervalIndex last = IntervalOf(end - Nanos(1), length);
  report::Coverage coverage;
  coverage.intervals = static_cast<uint64_t>(last + 1);
  std::set<IntervalIndex> gaps;
  for (const GrantFact& grant : facts.grants) {
    const IntervalIndex to = std::min(grant.last, last);
    bool open = false;  // the newest entry is this grant's and ends right before k
    for (IntervalIndex k = std::max<IntervalIndex>(0, grant.first); k <= to; ++k) {
      if (Reported(merge, grant.incarnation, k)) {
        open = false;
        continue;
      }
      gaps.insert(k);
      if (open) {
        coverage.missing.back().to_k = k;
      } else {
        coverage.missing.push_back(MissingOf(facts, grant.incarnation, k));
        open = true;
      }
    }
  }
  coverage.complete = coverage.intervals - gaps.size();
  std::sort(coverage.missing.begin(), coverage.missing.end(),
            [](const report::Missing& left, const report::Missing& right) {
              return std::pair(left.from_k, left.agent) < std::pair(right.from_k, right.agent);
            });
  return coverage;
}

}  // namespace broadside::merge
