#include "controller/merge/slo.h"

#include <algorithm>
#include <set>

#include "common/breaker/outcome.h"
#include "common/report/format.h"
#include "common/stats/snapshot.h"

namespace broadside::merge {
namespace {

using Kind = plan::Metric::Kind;

// Shares and rates are the same integer type: Rule::value is told apart by position.
constexpr size_t kShare = 1;
constexpr size_t kRate = 2;

template <class Number>
bool Compare(const Number& left, plan::Op op, const Number& right) {
  switch (op) {
    case plan::Op::kLess:
      return left < right;
    case plan::Op::kLessEqual:
      return left <= right;
    case plan::Op::kGreater:
      return left > right;
    case plan::Op::kGreaterEqual:
      return left >= right;
  }
  return false;
}

struct Scope {
  std::set<PhaseIndex> phases;
  std::set<TargetIndex> targets;
  report::LedgerTotals totals;
  Nanos length{};
  bool Has(const Row& row) const {
    return phases.contains(row.phase) && targets.contains(row.target);
  }
};

Scope ScopeOf(const plan::Rule& rule, const SloInput& input) {
  const plan::Plan& plan = input.merge->plan();
  Scope scope;
  for (uint32_t i = 0; i < plan.phases.size(); ++i) {
    const bool named =
        std::any_of(rule.phases.begin(), rule.phases.end(),
                    [&](const plan::PhaseRef& phase) { return phase.name == plan.phases[i].name; });
    if (named || (rule.phases.empty() && IsMeasured(plan.phases[i]))) {
      scope.phases.insert(PhaseIndex(i));
    }
  }
  for (uint32_t i = 0; i < plan.targets.size(); ++i) {
    if (rule.targets.empty() || std::find(rule.targets.begin(), rule.targets.end(),
                                          plan.targets[i].name) != rule.targets.end()) {
      scope.targets.insert(TargetIndex(i));
    }
  }
  std::set<PhaseIndex> loaded;
  for (const auto& [row, totals] : input.ledger->rows) {
    if (!scope.Has(row)) continue;
    AddTotals(scope.totals, totals);
    if (totals.scheduled > 0) loaded.insert(row.phase);
  }
  for (const PhaseIndex phase : loaded) scope.length += (*input.spans)[phase.value()].length();
  return scope;
}

class Judging {
 public:
  Judging(const plan::Rule& rule, const SloInput& input)
      : rule_(rule), input_(input), scope_(ScopeOf(rule, input)) {
    result_.rule = rule.text;
  }

  report::RuleResult Run() {
    if (rule_.window.kind != plan::Window::Kind::kWhole) {
      return NoData(
          "an slo rule with a window is not judged in this version; leave the window out");
    }
    for (const plan::PhaseRef& phase : rule_.phases) {
      if (phase.from || phase.to) {
        return NoData("steps of a phase are not told apart in this version; name the whole phase");
      }
    }
    if (scope_.totals.scheduled == 0) return NoData("nothing was scheduled in its scope");
    const uint64_t ended = scope_.totals.ok + scope_.totals.rejected + scope_.totals.failed;
    switch (rule_.metric.kind) {
      case Kind::kPercentile:
      case Kind::kMean:
      case Kind::kMax:
        return JudgeTime();
      case Kind::kErrorRate:
        return JudgeShare(scope_.totals.failed, ended, "ended");
      case Kind::kRejectRate:
        return JudgeShare(scope_.totals.rejected, ended, "ended");
      case Kind::kTimeoutRate:
        return JudgeShare(TimedOut(), ended, "ended");
      case Kind::kOkRate:
        return JudgeRate(scope_.totals.ok);
      case Kind::kAchieved:
        return JudgeRate(scope_.totals.sent);
      case Kind::kGoodShare:
      case Kind::kGoodRate:
      case Kind::kFirstRejection:
        return NoData("this metric is not recorded in this version");
    }
    return NoData("unknown metric");
  }

 private:
  report::RuleResult NoData(const std::string& reason) {
    result_.verdict = "no data";
    result_.reason = reason;
    return result_;
  }
  report::RuleResult Verdict(bool pass, std::string measured, std::string reason) {
    result_.verdict = pass ? "pass" : "fail";
    result_.measured = std::move(measured);
    result_.reason = std::move(reason);
    return result_;
  }

  uint64_t TimedOut() const {
    uint64_t count = 0;
    for (const auto& [key, total] : *input_.outcomes) {
      if (!scope_.Has(key.row)) continue;
      const bool timeout = key.outcome == breaker::OutcomeName(breaker::Outcome::kTimeoutClient) ||
                           key.outcome == breaker::OutcomeName(breaker::Outcome::kTimeoutProxy);
      if (timeout) count += total;
    }
    return count;
  }

  report::RuleResult JudgeTime() {
    stats::Measure measure{};
    const auto* bound = std::get_if<Nanos>(&rule_.value);
    if (!stats::MeasureFromName(rule_.metric.measure, measure) || bound == nullptr) {
      return NoData("\"" + rule_.metric.measure + "\" is not recorded in this version");
    }
    const bool of_arrivals = measure != stats::Measure::kWait && measure != stats::Measure::kLag;
    const std::string outcome(measure == stats::Measure::kLag
                                  ? stats::kAllSent
                                  : breaker::OutcomeName(breaker::Outcome::kOk));
    stats::Histogram histogram;
    for (const auto& [key, cell] : input_.merge->cells()) {
      if (key.measure == measure && key.outcome == outcome && scope_.Has(key.row)) {
        histogram.Add(cell);
      }
    }
    const uint64_t n =
        of_arrivals ? std::max(scope_.totals.scheduled, histogram.n()) : histogram.n();
    if (n == 0) return NoData("nothing was recorded in its scope");
    const uint64_t beyond = n - histogram.n();
    std::optional<int64_t> value;
    if (rule_.metric.kind == Kind::kPercentile) {
      value = histogram.Percentile(rule_.metric.percentile, beyond);
    } else if (beyond == 0) {
      value = rule_.metric.kind == Kind::kMax ? histogram.exact().max : *histogram.Mean();
    }
    std::string reason =
        "over " + report::FormatCount(n) + (of_arrivals ? " scheduled" : " recorded");
    if (beyond > 0) {
      reason += ", of which " + report::FormatCount(beyond) +
                " were not answered ok and rank as slower than any bound";
    }
    if (value) {
      return Verdict(Compare(*value, rule_.op, bound->count()), report::FormatDuration(*value),
                     reason);
    }
    const bool wants_more = rule_.op == plan::Op::kGreater || rule_.op == plan::Op::kGreaterEqual;
    return Verdict(wants_more, "> timeout", reason);
  }

  report::RuleResult JudgeShare(uint64_t part, uint64_t whole, const std::string& of) {
    const auto* bound = std::get_if<kShare>(&rule_.value);
    if (bound == nullptr) return NoData("the rule's value is not a share");
    if (whole == 0) return NoData("nothing " + of + " in its scope");
    const bool pass = Compare(static_cast<uint128>(part) * 1'000'000, rule_.op,
                              static_cast<uint128>(*bound) * whole);
    return Verdict(pass,
                   report::FormatPercent(static_cast<double>(part) / static_cast<double>(whole)),
                   report::FormatCount(part) + " of " + report::FormatCount(whole) + " " + of);
  }

  report::RuleResult JudgeRate(uint64_t count) {
    if (rule_.value.index() == kShare) {
      return JudgeShare(count, scope_.totals.scheduled, "scheduled");
    }
    const auto* bound = std::get_if<kRate>(&rule_.value);
    if (bound == nullptr || scope_.length <= Nanos(0)) return NoData("there is no rate to compare");
    // count ÷ length against micro-requests per second, multiplied out.
    const auto length = static_cast<uint64_t>(scope_.length.count());
    const bool pass = Compare(static_cast<uint128>(count) * 1'000'000'000 * 1'000'000, rule_.op,
                              static_cast<uint128>(*bound) * length);
    const double per_second = static_cast<double>(count) / (static_cast<double>(length) / 1e9);
    return Verdict(
        pass, report::FormatRate(per_second),
        report::FormatCount(count) + " in " + report::FormatDurationShort(scope_.length.count()));
  }

  const plan::Rule& rule_;
  const SloInput& input_;
  Scope scope_;
  report::RuleResult result_;
};

}  // namespace

report::RuleResult JudgeRule(const plan::Rule& rule, const SloInput& input) {
  return Judging(rule, input).Run();
}

std::string SloVerdict(const std::vector<report::RuleResult>& results) {
  if (results.empty()) return "none";
  const bool pass =
      std::all_of(results.begin(), results.end(),
                  [](const report::RuleResult& result) { return result.verdict == "pass"; });
  return pass ? "pass" : "fail";
}

}  // namespace broadside::merge
