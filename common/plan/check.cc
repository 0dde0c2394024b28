// Checks that concern more than one section: what rules speak about must be there and decidable.
#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "common/plan/reader.h"
#include "common/plan/resolve.h"
#include "common/plan/values.h"

namespace broadside::plan {
namespace {

bool IsLatencyLike(const Metric& metric) {
  return metric.kind == Metric::Kind::kPercentile || metric.kind == Metric::Kind::kMean ||
         metric.kind == Metric::Kind::kMax;
}

/// Whether `phase` sends anything to `target`.
bool Serves(const Plan& plan, const Phase& phase, const std::string& target) {
  if (std::holds_alternative<IdleLoad>(phase.load)) return false;
  if (const auto* rates = std::get_if<RatesLoad>(&phase.load)) return rates->rates.contains(target);
  if (!phase.mix.empty()) return phase.mix.contains(target);
  if (!phase.targets.empty())
    return std::find(phase.targets.begin(), phase.targets.end(), target) != phase.targets.end();
  return plan.FindTarget(target).has_value();
}

class RuleChecker {
 public:
  RuleChecker(const Context& context, const Plan& plan, std::string_view key, const Rule& rule)
      : context_(context), plan_(plan), key_(key), rule_(rule) {}

  Status Run() {
    BROADSIDE_RETURN_IF_ERROR(CheckTargets());
    BROADSIDE_RETURN_IF_ERROR(CheckPhases());
    BROADSIDE_RETURN_IF_ERROR(CheckBound());
    BROADSIDE_RETURN_IF_ERROR(CheckWindow());
    return CheckClosedLoop();
  }

 private:
  Status Error(const std::string& why) const {
    return context_.Error(
        rule_.where, absl::StrFormat("%s: %s: %s", std::string(key_), Quoted(rule_.text), why));
  }

  Status CheckTargets() const {
    std::vector<std::string> names;
    for (const Target& target : plan_.targets) names.push_back(target.name);
    for (const std::string& name : rule_.targets)
      if (!plan_.FindTarget(name))
        return Error("no target is called " + Quoted(name) + "." +
                     DidYouMean(name, names, " Targets are " + JoinOr(names) + "."));
    return {};
  }

  Status CheckPhases() {
    std::vector<std::string> names;
    for (const Phase& phase : plan_.phases) names.push_back(phase.name);
    for (const PhaseRef& ref : rule_.phases) {
      const auto phase = std::find_if(plan_.phases.begin(), plan_.phases.end(),
                                      [&](const Phase& p) { return p.name == ref.name; });
      if (phase == plan_.phases.end())
        return Error("no phase is called " + Quoted(ref.name) + "." +
                     DidYouMean(ref.name, names, " Phases are " + JoinOr(names) + "."));
      if (std::holds_alternative<IdleLoad>(phase->load))
        return Error("phase " + Quoted(ref.name) + " is idle and has nothing to judge.");
      const auto* steps = std::get_if<StepsLoad>(&phase->load);
      if (ref.from && steps == nullptr)
        return Error("phase " + Quoted(ref.name) + " has no steps; leave the [ ] out.");
      if (ref.to && *ref.to >= StepCount(*steps))
        return Error(absl::StrFormat("phase %s has the steps %s[0..%d].", Quoted(ref.name),
                                     ref.name, StepCount(*steps) - 1));
      for (const std::string& target : rule_.targets)
        if (!Serves(plan_, *phase, target))
          return Error("phase " + Quoted(ref.name) + " sends nothing to " + Quoted(target) + ".");
    }
    // A search judges its own trials, and may be the only thing that there is.
    if (key_ == "until") return {};
    scope_ = PhasesOfRule(plan_, rule_);
    // Guards stand watch over plans that are one search, too.
    if (scope_.empty() && key_ != "slo") return {};
    if (scope_.empty()) return Error("no measured phase is left to judge; name one: in PHASE.");
    for (const std::string& target : rule_.targets) {
      const bool served = std::any_of(scope_.begin(), scope_.end(), [&](size_t i) {
        return Serves(plan_, plan_.phases[i], target);
      });
      if (!served)
        return Error("no phase that it covers sends anything to " + Quoted(target) + ".");
    }
    return {};
  }

  /// What is not answered by due + timeout counts as slower than any bound: a bound beyond the
  /// timeout would be judged by the timeouts alone.
  Status CheckBound() const {
    if (!IsLatencyLike(rule_.metric)) return {};
    const Nanos bound = std::get<Nanos>(rule_.value);
    const Nanos timeout = plan_.limits.timeout.total;
    if (bound > timeout)
      return Error(
          absl::StrFormat("cannot be decided: nothing is waited for longer than the "
                          "timeout (%s). Lower the bound, or raise limits: timeout above %s.",
                          DurationText(timeout), DurationText(bound)));
    if (bound == Nanos(0)) return Error("the bound is 0.");
    return {};
  }

  Status CheckWindow() const {
    Nanos length = rule_.window.length;
    if (rule_.window.kind == Window::Kind::kForIntervals)
      length = plan_.interval * static_cast<int64_t>(rule_.window.intervals);
    if (length == Nanos(0)) return {};
    if (length < plan_.interval)
      return Error(absl::StrFormat("the window (%s) is shorter than an interval (%s).",
                                   DurationText(length), DurationText(plan_.interval)));
    // Phases whose length is known only later (0) may be long enough.
    Nanos longest{};
    for (const size_t i : scope_) {
      const Nanos duration = plan_.phases[i].duration;
      if (duration == Nanos(0)) return {};
      longest += duration;
    }
    if (!scope_.empty() && length > longest)
      return Error(
          absl::StrFormat("cannot be decided: the window (%s) is longer than the phases "
                          "that it covers (%s in all).",
                          DurationText(length), DurationText(longest)));
    return {};
  }

  Status CheckClosedLoop() const {
    const bool of_schedule = rule_.of_offered || rule_.metric.kind == Metric::Kind::kAchieved;
    for (const size_t i : scope_)
      if (of_schedule && std::holds_alternative<ConcurrencyLoad>(plan_.phases[i].load))
        return Error("phase " + Quoted(plan_.phases[i].name) +
                     " is a closed loop, which has no offered rate; name other phases: in PHASE.");
    return {};
  }

  const Context& context_;
  const Plan& plan_;
  std::string_view key_;
  const Rule& rule_;
  std::vector<size_t> scope_;
};

Status CheckSearch(const Context& context, const Plan& plan, const SearchLoad& search) {
  for (const Rule& rule : search.until) {
    BROADSIDE_RETURN_IF_ERROR(RuleChecker(context, plan, "until", rule).Run());
    if (IsLatencyLike(rule.metric) && std::get<Nanos>(rule.value) > search.hold)
      return context.Error(rule.where,
                           absl::StrFormat("until: %s: cannot be decided: a trial is held for %s "
                                           "only. Lower the bound, or raise hold:.",
                                           Quoted(rule.text), DurationText(search.hold)));
    if (rule.window.length > search.hold)
      return context.Error(rule.where,
                           absl::StrFormat("until: %s: cannot be decided: a trial is held for %s "
                                           "only. Shorten the window, or raise hold:.",
                                           Quoted(rule.text), DurationText(search.hold)));
  }
  return {};
}

}  // namespace

Status CheckPlan(const Context& context, const Plan& plan) {
  bool load = false;
  for (const Phase& phase : plan.phases) {
    load |= !std::holds_alternative<IdleLoad>(phase.load);
    if (const auto* search = std::get_if<SearchLoad>(&phase.load))
      BROADSIDE_RETURN_IF_ERROR(CheckSearch(context, plan, *search));
  }
  if (!load)
    return context.Error(plan.phases.front().where, "load: every phase is idle; nothing is sent.");
  for (const Rule& rule : plan.slo)
    BROADSIDE_RETURN_IF_ERROR(RuleChecker(context, plan, "slo", rule).Run());
  for (const Rule& rule : plan.guards)
    BROADSIDE_RETURN_IF_ERROR(RuleChecker(context, plan, "guards", rule).Run());
  return {};
}

}  // namespace broadside::plan
