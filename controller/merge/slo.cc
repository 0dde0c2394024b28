#include "controller/merge/slo.h"

#include <algorithm>
#include <set>
#include <string>

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

/// One rule over one set of figures.
class Judging {
 public:
  Judging(const plan::Rule& rule, const RuleFigures& figures) : rule_(rule), figures_(figures) {
    result_.rule = rule.text;
  }

  report::RuleResult Run() {
    const uint64_t ended = figures_.ok + figures_.rejected + figures_.failed;
    switch (rule_.metric.kind) {
      case Kind::kPercentile:
      case Kind::kMean:
      case Kind::kMax:
        return JudgeTime();
      case Kind::kErrorRate:
        return JudgeShare(figures_.failed, ended, "ended");
      case Kind::kRejectRate:
        return JudgeShare(figures_.rejected, ended, "ended");
      case Kind::kTimeoutRate:
        return JudgeShare(figures_.timeouts, ended, "ended");
      case Kind::kOkRate:
        return JudgeRate(figures_.ok);
      case Kind::kAchieved:
        return JudgeRate(figures_.sent);
      case Kind::kFirstRejection:
        return Verdict(figures_.rejected > 0, report::FormatCount(figures_.rejected), "rejected");
      case Kind::kGoodShare:
      case Kind::kGoodRate:
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

  report::RuleResult JudgeTime() {
    const auto* bound = std::get_if<Nanos>(&rule_.value);
    if (!CellsOf(rule_) || bound == nullptr) {
      return NoData("\"" + rule_.metric.measure + "\" is not recorded in this version");
    }
    const stats::Histogram& histogram = figures_.histogram;
    const uint64_t beyond = IsOverArrivals(rule_) ? figures_.beyond : 0;
    const uint64_t n = histogram.n() + beyond;
    if (n == 0) return NoData("nothing was recorded in its scope");
    std::optional<int64_t> value;
    if (rule_.metric.kind == Kind::kPercentile) {
      value = histogram.Percentile(rule_.metric.percentile, beyond);
    } else if (beyond == 0) {
      value = rule_.metric.kind == Kind::kMax ? histogram.exact().max : *histogram.Mean();
    }
    std::string reason = "over " + report::FormatCount(n) + " " +
                         std::string(IsOverArrivals(rule_) ? figures_.arrivals : "recorded");
    if (beyond > 0) {
      reason += ", of which " + report::FormatCount(beyond) +
                " were not answered ok and rank as slower than any bound";
    }
    if (value) {
      return Verdict(Compare(*value, rule_.op, bound->count()), report::FormatDuration(*value),
                     reason);
    }
    const bool wants_more = rule_.op == plan::Op::kGreater || rule_.op == plan::Op::kGreaterEqual;
    return Verdict(wants_more, std::string(figures_.beyond_text), reason);
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
    if (rule_.value.index() == kShare) return JudgeShare(count, figures_.scheduled, "scheduled");
    const auto* bound = std::get_if<kRate>(&rule_.value);
    if (bound == nullptr || figures_.length <= Nanos(0)) {
      return NoData("there is no rate to compare");
    }
    // count ÷ length against micro-requests per second, multiplied out.
    const auto length = static_cast<uint64_t>(figures_.length.count());
    const bool pass = Compare(static_cast<uint128>(count) * 1'000'000'000 * 1'000'000, rule_.op,
                              static_cast<uint128>(*bound) * length);
    const double per_second = static_cast<double>(count) / (static_cast<double>(length) / 1e9);
    return Verdict(
        pass, report::FormatRate(per_second),
        report::FormatCount(count) + " in " + report::FormatDurationShort(figures_.length.count()));
  }

  const plan::Rule& rule_;
  const RuleFigures& figures_;
  report::RuleResult result_;
};

RuleFigures WholeRun(const plan::Rule& rule, const SloInput& input) {
  const RuleScope scope = ScopeOf(input.merge->plan(), rule);
  RuleFigures figures;
  report::LedgerTotals totals;
  std::set<PhaseIndex> loaded;
  for (const auto& [row, of] : input.ledger->rows) {
    if (!scope.Has(row)) continue;
    AddTotals(totals, of);
    if (of.scheduled > 0) loaded.insert(row.phase);
  }
  for (const PhaseIndex phase : loaded) figures.length += (*input.spans)[phase.value()].length();
  for (const auto& [key, total] : *input.outcomes) {
    if (scope.Has(key.row) && IsTimeout(key.outcome)) figures.timeouts += total;
  }
  const std::optional<RuleCells> cells = CellsOf(rule);
  for (const auto& [key, cell] : input.merge->cells()) {
    if (cells && cells->Has(key.measure, key.outcome) && scope.Has(key.row)) {
      figures.histogram.Add(cell);
    }
  }
  figures.scheduled = totals.scheduled;
  figures.sent = totals.sent;
  figures.ok = totals.ok;
  figures.rejected = totals.rejected;
  figures.failed = totals.failed;
  figures.beyond = std::max(totals.scheduled, figures.histogram.n()) - figures.histogram.n();
  return figures;
}

}  // namespace

RuleScope ScopeOf(const plan::Plan& plan, const plan::Rule& rule) {
  RuleScope scope;
  scope.phases = plan::RowsOfRule(plan, rule);
  for (uint32_t i = 0; i < plan.targets.size(); ++i) {
    if (rule.targets.empty() || std::find(rule.targets.begin(), rule.targets.end(),
                                          plan.targets[i].name) != rule.targets.end()) {
      scope.targets.insert(TargetIndex(i));
    }
  }
  return scope;
}

bool RuleCells::Has(stats::Measure of, std::string_view name) const {
  return of == measure && name == outcome;
}

std::optional<RuleCells> CellsOf(const plan::Rule& rule) {
  const bool of_time = rule.metric.kind == Kind::kPercentile || rule.metric.kind == Kind::kMean ||
                       rule.metric.kind == Kind::kMax;
  RuleCells cells;
  if (!of_time || !stats::MeasureFromName(rule.metric.measure, cells.measure)) return std::nullopt;
  cells.outcome = cells.measure == stats::Measure::kLag
                      ? stats::kAllSent
                      : breaker::OutcomeName(breaker::Outcome::kOk);
  return cells;
}

bool IsOverArrivals(const plan::Rule& rule) {
  const std::optional<RuleCells> cells = CellsOf(rule);
  return cells && cells->measure != stats::Measure::kWait && cells->measure != stats::Measure::kLag;
}

bool IsTimeout(std::string_view outcome) {
  return outcome == breaker::OutcomeName(breaker::Outcome::kTimeoutClient) ||
         outcome == breaker::OutcomeName(breaker::Outcome::kTimeoutProxy);
}

report::RuleResult JudgeFigures(const plan::Rule& rule, const RuleFigures& figures) {
  return Judging(rule, figures).Run();
}

report::RuleResult JudgeRule(const plan::Rule& rule, const SloInput& input) {
  const RuleFigures figures = WholeRun(rule, input);
  if (figures.scheduled > 0) return JudgeFigures(rule, figures);
  return {.rule = rule.text,
          .verdict = "no data",
          .measured = "",
          .reason = "nothing was scheduled in its scope"};
}

std::string SloVerdict(const std::vector<report::RuleResult>& results) {
  if (results.empty()) return "none";
  const bool pass =
      std::all_of(results.begin(), results.end(),
                  [](const report::RuleResult& result) { return result.verdict == "pass"; });
  return pass ? "pass" : "fail";
}

}  // namespace broadside::merge
