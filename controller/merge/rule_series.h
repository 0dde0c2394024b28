#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/plan/plan.h"
#include "common/report/report.h"
#include "common/stats/packed.h"
#include "common/stats/snapshot.h"
#include "controller/merge/tally.h"

namespace broadside::merge {

struct RuleFigures;
struct PhaseSpan;

/// What one rule with a window, or one guard, needs of every interval. Folded like RunMerge: the
/// same snapshots give the same figures in any order; a caller folds each once. Pure; one thread.
///
/// An interval's figures are of what happened in it: replies by their end, arrivals by their due
/// time. Latency there counts, as slower than any bound, what ended otherwise than ok, what was
/// dropped or expired, and what was still unanswered at the interval's end though it was due more
/// than the rule's bound before it (at least: the oldest are taken to be the unanswered ones).
/// So a target that stops answering shows within the bound and one interval.
class RuleSeries {
 public:
  RuleSeries(const plan::Plan& plan, const plan::Rule& rule);

  void Fold(const stats::Snapshot& snapshot, const std::vector<DecodedCell>& cells);

  /// The whole intervals of the rule's phases, adjacent phases joined; first, last.
  using Stretch = std::pair<IntervalIndex, IntervalIndex>;
  std::vector<Stretch> Stretches(const std::vector<PhaseSpan>& spans) const;

  /// As an SLO: must hold over every window (`over`), or in every interval (`for`), of every
  /// stretch that is at least as long as the window. A window in which nothing was due and nothing
  /// ended is passed over.
  report::RuleResult Judge(const std::vector<PhaseSpan>& spans) const;

  /// As a guard, at the end of interval k: a result when the rule is true there – over the window
  /// that ends with k, or in each interval of it; without a window over the run so far. Looks at
  /// nothing before `not_before`. `reason` tells the evidence and its window.
  std::optional<report::RuleResult> FiresAt(IntervalIndex k, IntervalIndex not_before,
                                            const std::vector<PhaseSpan>& spans) const;

 private:
  struct Counts {
    uint64_t scheduled = 0, sent = 0, ok = 0, rejected = 0, failed = 0, unsent = 0, timeouts = 0;
  };
  struct Tally {
    Counts counts;
    uint64_t overdue = 0;
    stats::PackedHistogram histogram;
  };
  /// A snapshot's cumulative counts, kept until those of both neighbours are known.
  struct Known {
    IntervalIndex interval = 0;
    Counts total;
    bool told = false;  ///< its rise has been added to its interval
  };
  struct Agent {
    std::map<uint64_t, Known> known;
    std::deque<std::pair<IntervalIndex, uint64_t>> recent;  ///< scheduled, as far back as the bound
  };

  Counts TotalOf(const stats::Snapshot& snapshot) const;
  void Tell(Agent& agent, const Counts& before, Known& now);
  RuleFigures Figures(IntervalIndex first, IntervalIndex last) const;
  report::RuleResult JudgeSpan(IntervalIndex first, IntervalIndex last) const;
  bool IsIdle(IntervalIndex first, IntervalIndex last) const;
  std::string SpanText(IntervalIndex first, IntervalIndex last) const;

  plan::Rule rule_;
  RuleScope scope_;
  Nanos interval_;
  int64_t window_ = 0;  ///< intervals; 0: none
  int64_t bound_ = 0;   ///< the rule's bound in whole intervals, rounded up
  std::map<Incarnation, Agent> agents_;
  std::map<IntervalIndex, Tally> tallies_;
};

}  // namespace broadside::merge
