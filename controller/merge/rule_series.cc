#include "controller/merge/rule_series.h"

#include <algorithm>

#include "common/report/format.h"
#include "controller/merge/slo.h"

namespace broadside::merge {
namespace {

using Kind = plan::Window::Kind;

int64_t CeilDiv(Nanos length, Nanos by) { return (length + by - Nanos(1)) / by; }

}  // namespace

RuleSeries::RuleSeries(const plan::Plan& plan, const plan::Rule& rule)
    : rule_(rule), scope_(ScopeOf(plan, rule)), interval_(plan.interval) {
  if (rule.window.kind == Kind::kForIntervals) {
    window_ = rule.window.intervals;
  } else if (rule.window.kind != Kind::kWhole) {
    window_ = CeilDiv(rule.window.length, interval_);
  }
  if (IsOverArrivals(rule)) bound_ = CeilDiv(std::get<Nanos>(rule.value), interval_);
}

RuleSeries::Counts RuleSeries::TotalOf(const stats::Snapshot& snapshot) const {
  Counts total;
  for (const stats::PhaseCounters& row : snapshot.counters) {
    if (!scope_.Has({row.phase, row.target})) continue;
    total.scheduled += row.counters.scheduled;
    total.sent += row.counters.sent;
    total.ok += row.counters.ok;
    total.rejected += row.counters.rejected;
    total.failed += row.counters.failed;
    total.unsent += row.counters.dropped + row.counters.expired;
  }
  for (const stats::OutcomeCount& outcome : snapshot.outcomes) {
    if (scope_.Has({outcome.phase, outcome.target}) && IsTimeout(outcome.outcome)) {
      total.timeouts += outcome.total;
    }
  }
  return total;
}

void RuleSeries::Fold(const stats::Snapshot& snapshot, const std::vector<DecodedCell>& cells) {
  if (const std::optional<RuleCells> wanted = CellsOf(rule_)) {
    for (const DecodedCell& decoded : cells) {
      const stats::Cell& cell = *decoded.cell;
      if (!wanted->Has(cell.measure, cell.outcome) || !scope_.Has({cell.phase, cell.target}))
        continue;
      tallies_[snapshot.interval].histogram.Add(decoded.slots, cell.exact);
    }
  }
  Agent& agent = agents_[snapshot.incarnation];
  agent.known[snapshot.sequence] = {snapshot.interval, TotalOf(snapshot), false};
  // Sequences come in order but for what is resent; a rise is told once both its ends are there.
  for (uint64_t sequence = snapshot.sequence; sequence <= snapshot.sequence + 1; ++sequence) {
    const auto now = agent.known.find(sequence);
    if (now == agent.known.end() || now->second.told) continue;
    const auto before = agent.known.find(sequence - 1);
    if (sequence != 1 && before == agent.known.end()) continue;
    Tell(agent, sequence == 1 ? Counts{} : before->second.total, now->second);
    if (sequence != 1 && before->second.told) agent.known.erase(before);
  }
}

void RuleSeries::Tell(Agent& agent, const Counts& before, Known& now) {
  const Counts& total = now.total;
  now.told = true;
  Tally& tally = tallies_[now.interval];
  const uint64_t due = Rise(total.scheduled, before.scheduled);
  tally.counts.scheduled += due;
  tally.counts.sent += Rise(total.sent, before.sent);
  tally.counts.ok += Rise(total.ok, before.ok);
  tally.counts.rejected += Rise(total.rejected, before.rejected);
  tally.counts.failed += Rise(total.failed, before.failed);
  tally.counts.unsent += Rise(total.unsent, before.unsent);
  tally.counts.timeouts += Rise(total.timeouts, before.timeouts);
  if (bound_ == 0) return;
  agent.recent.emplace_back(now.interval, due);
  while (agent.recent.front().first + bound_ <= now.interval) agent.recent.pop_front();
  uint64_t young = 0;
  for (const auto& [interval, count] : agent.recent) young += count;
  const uint64_t open =
      Rise(total.scheduled, total.ok + total.rejected + total.failed + total.unsent);
  tally.overdue += Rise(open, young);
}

std::vector<RuleSeries::Stretch> RuleSeries::Stretches(const std::vector<PhaseSpan>& spans) const {
  std::vector<std::pair<RunTime, RunTime>> joined;
  for (const PhaseIndex phase : scope_.phases) {
    const PhaseSpan& span = spans[phase.value()];
    if (span.length() <= Nanos(0)) continue;
    if (!joined.empty() && joined.back().second == span.start) {
      joined.back().second = span.end;
    } else {
      joined.emplace_back(span.start, span.end);
    }
  }
  std::vector<Stretch> stretches;
  for (const auto& [start, end] : joined) {
    const IntervalIndex first = CeilDiv(start - RunStart(), interval_);
    const IntervalIndex last = (end - RunStart()) / interval_ - 1;
    if (first <= last) stretches.emplace_back(first, last);
  }
  return stretches;
}

RuleFigures RuleSeries::Figures(IntervalIndex first, IntervalIndex last) const {
  RuleFigures figures;
  for (auto it = tallies_.lower_bound(first); it != tallies_.end() && it->first <= last; ++it) {
    const Tally& tally = it->second;
    tally.histogram.AddTo(figures.histogram);
    figures.scheduled += tally.counts.scheduled;
    figures.sent += tally.counts.sent;
    figures.ok += tally.counts.ok;
    figures.rejected += tally.counts.rejected;
    figures.failed += tally.counts.failed;
    figures.timeouts += tally.counts.timeouts;
    figures.beyond += tally.counts.rejected + tally.counts.failed + tally.counts.unsent;
    // Those overdue within the window stay so until they end, which counts them too: only the
    // last interval's are added.
    if (it->first == last) figures.beyond += tally.overdue;
  }
  figures.length = interval_ * (last - first + 1);
  figures.arrivals = "ended or overdue";
  figures.beyond_text = "beyond any bound";
  return figures;
}

bool RuleSeries::IsIdle(IntervalIndex first, IntervalIndex last) const {
  for (auto it = tallies_.lower_bound(first); it != tallies_.end() && it->first <= last; ++it) {
    const Counts& counts = it->second.counts;
    if (counts.scheduled + counts.ok + counts.rejected + counts.failed + counts.unsent > 0)
      return false;
  }
  return true;
}

std::string RuleSeries::SpanText(IntervalIndex first, IntervalIndex last) const {
  return "interval " + std::to_string(first) +
         (last > first ? "–" + std::to_string(last) : std::string()) + " (" +
         report::FormatClock((interval_ * first).count()) + "–" +
         report::FormatClock((interval_ * (last + 1)).count()) + ")";
}

report::RuleResult RuleSeries::JudgeSpan(IntervalIndex first, IntervalIndex last) const {
  return JudgeFigures(rule_, Figures(first, last));
}

report::RuleResult RuleSeries::Judge(const std::vector<PhaseSpan>& spans) const {
  const bool over = rule_.window.kind == Kind::kOver;
  const int64_t length = over ? window_ : 1;
  uint64_t judged = 0, failed = 0, unknown = 0;
  std::optional<std::pair<report::RuleResult, Stretch>> shown;  // the first that is not a pass
  for (const auto& [from, to] : Stretches(spans)) {
    if (to - from + 1 < window_) continue;
    for (IntervalIndex last = from + length - 1; last <= to; ++last) {
      const IntervalIndex first = last - length + 1;
      if (IsIdle(first, last)) continue;
      const report::RuleResult result = JudgeSpan(first, last);
      ++judged;
      if (result.verdict == "fail") ++failed;
      if (result.verdict == "no data") ++unknown;
      const bool fails_first =
          result.verdict == "fail" && (!shown || shown->first.verdict != "fail");
      if (fails_first || (result.verdict == "no data" && !shown)) shown = {result, {first, last}};
    }
  }
  report::RuleResult result{.rule = rule_.text, .verdict = "pass", .measured = "", .reason = ""};
  const std::string what = over ? " windows" : " intervals";
  if (judged == 0) {
    result.verdict = "no data";
    result.reason = "none of its phases held anything to judge for as long as the window";
    return result;
  }
  if (!shown) {
    result.reason = "true in all of " + report::FormatCount(judged) + what;
    return result;
  }
  result.verdict = failed > 0 ? "fail" : "no data";
  result.measured = shown->first.measured;
  result.reason = "not true in " + report::FormatCount(failed > 0 ? failed : unknown) + " of " +
                  report::FormatCount(judged) + what + ", first in " +
                  SpanText(shown->second.first, shown->second.second) + ": " + shown->first.reason;
  return result;
}

std::optional<report::RuleResult> RuleSeries::FiresAt(IntervalIndex k, IntervalIndex not_before,
                                                      const std::vector<PhaseSpan>& spans) const {
  for (const auto& [from, to] : Stretches(spans)) {
    if (k < from || k > to) continue;
    const IntervalIndex start = std::max(from, not_before);
    const IntervalIndex first = window_ == 0 ? start : k - window_ + 1;
    if (first < start) return std::nullopt;
    if (rule_.window.kind != Kind::kOver && window_ > 0) {
      for (IntervalIndex i = first; i <= k; ++i) {
        if (JudgeSpan(i, i).verdict != "pass") return std::nullopt;
      }
    }
    report::RuleResult result = JudgeSpan(first, k);
    if (rule_.window.kind == Kind::kOver || window_ == 0) {
      if (result.verdict != "pass") return std::nullopt;
    }
    result.verdict = "fired";
    result.reason += " in " + SpanText(first, k);
    return result;
  }
  return std::nullopt;
}

}  // namespace broadside::merge
