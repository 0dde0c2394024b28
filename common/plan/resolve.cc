#include "common/plan/resolve.h"

#include <algorithm>
#include <type_traits>

#include "absl/strings/str_format.h"
#include "common/plan/reader.h"
#include "common/plan/values.h"
#include "common/rate/profile.h"

namespace broadside::plan {
namespace {

/// Targets and weights of a phase that a plan's weights, a mix or rates decide.
std::vector<rate::TargetShare> SharesOf(const Plan& plan, const Phase& phase) {
  std::vector<rate::TargetShare> out;
  for (size_t i = 0; i < plan.targets.size(); ++i) {
    const std::string& name = plan.targets[i].name;
    uint64_t weight = plan.targets[i].weight;
    if (const auto* rates = std::get_if<RatesLoad>(&phase.load)) {
      const auto found = rates->rates.find(name);
      weight = found == rates->rates.end()
                   ? 0
                   : static_cast<uint64_t>(std::get<MicroRate>(found->second));
    } else if (!phase.mix.empty()) {
      const auto found = phase.mix.find(name);
      weight = found == phase.mix.end() ? 0 : static_cast<uint64_t>(found->second);
    } else if (!phase.targets.empty() &&
               std::find(phase.targets.begin(), phase.targets.end(), name) == phase.targets.end()) {
      weight = 0;
    }
    if (weight > 0) out.push_back({TargetIndex(static_cast<uint32_t>(i)), weight});
  }
  return out;
}

/// What only a running search or breaker can tell.
Status NotResolvable(const Phase& phase, std::string_view what) {
  return Unimplemented("phase " + Quoted(phase.name) + ": " + NotBuiltMessage(what));
}

class Resolver {
 public:
  Resolver(const Plan& plan, uint64_t seed) : plan_(plan), seed_(seed) {}

  StatusOr<std::vector<rate::Segment>> Run() {
    for (const Phase& phase : plan_.phases) {
      phase_ = &phase;
      BROADSIDE_RETURN_IF_ERROR(
          std::visit([&](const auto& load) { return Add(load); }, phase_->load));
    }
    return std::move(segments_);
  }

 private:
  Status Add(const ConstantLoad& load) {
    const auto* rate = std::get_if<MicroRate>(&load.rate);
    if (rate == nullptr) return NotResolvable(*phase_, "% of");
    Append(rate::ConstantKnots(*rate, phase_->duration), phase_->duration);
    return {};
  }
  Status Add(const RatesLoad& load) {
    MicroRate total = 0;
    for (const auto& [target, rate] : load.rates) {
      const auto* fixed = std::get_if<MicroRate>(&rate);
      if (fixed == nullptr) return NotResolvable(*phase_, "% of");
      total += *fixed;
    }
    Append(rate::ConstantKnots(total, phase_->duration), phase_->duration);
    return {};
  }
  Status Add(const RampLoad& load) {
    Append(rate::RampKnots(load.from, load.to, phase_->duration), phase_->duration);
    return {};
  }
  Status Add(const StepsLoad& load) {
    for (uint32_t i = 0; i < StepCount(load); ++i)
      Append(rate::ConstantKnots(StepRate(load, i), load.each), load.each);
    return {};
  }
  Status Add(const SineLoad& load) {
    Append(rate::SineKnots(load.mean, load.amplitude, load.period, phase_->duration),
           phase_->duration);
    return {};
  }
  Status Add(const ReplayLoad& load) {
    const auto hash = plan_.files.find(load.file);
    if (hash == plan_.files.end() || phase_->duration == Nanos(0))
      return FailedPrecondition("phase " + Quoted(phase_->name) + ": the replay file " +
                                Quoted(load.file) + " has not been read");
    Append({}, phase_->duration);
    segments_.back().kind = rate::ArrivalKind::kList;
    segments_.back().replay = {hash->second, load.format, load.speed_num, load.speed_den};
    return {};
  }
  Status Add(const IdleLoad& load) {
    if (load.automatic) return NotResolvable(*phase_, "idle: auto");
    Append(rate::ConstantKnots(0, phase_->duration), phase_->duration);
    segments_.back().mix.clear();
    return {};
  }
  Status Add(const ConcurrencyLoad&) { return NotResolvable(*phase_, "concurrency"); }
  Status Add(const SearchLoad&) { return NotResolvable(*phase_, "search"); }

  void Append(std::vector<rate::Knot> knots, Nanos length) {
    rate::Segment segment;
    segment.id = SegmentId(static_cast<uint32_t>(segments_.size()));
    // One segment a row (PhaseRows), in the same order.
    segment.phase = PhaseIndex(static_cast<uint32_t>(segments_.size()));
    segment.start = RunTime(at_);
    segment.length = length;
    const ArrivalMode mode = phase_->arrivals.value_or(plan_.arrivals);
    segment.kind =
        mode == ArrivalMode::kPoisson ? rate::ArrivalKind::kPoisson : rate::ArrivalKind::kRegular;
    segment.seed = seed_;
    segment.knots = std::move(knots);
    segment.mix = SharesOf(plan_, *phase_);
    segments_.push_back(std::move(segment));
    at_ += length;
  }

  const Plan& plan_;
  uint64_t seed_;
  const Phase* phase_ = nullptr;
  Nanos at_{};
  std::vector<rate::Segment> segments_;
};

}  // namespace

StatusOr<std::vector<rate::Segment>> ResolveSchedule(const Plan& plan, uint64_t seed) {
  return Resolver(plan, seed).Run();
}

std::vector<PhaseRow> PhaseRows(const Plan& plan) {
  std::vector<PhaseRow> rows;
  for (size_t i = 0; i < plan.phases.size(); ++i) {
    const Phase& phase = plan.phases[i];
    const auto* steps = std::get_if<StepsLoad>(&phase.load);
    if (steps == nullptr) {
      rows.push_back({i, std::nullopt, phase.name});
      continue;
    }
    for (uint32_t step = 0; step < StepCount(*steps); ++step)
      rows.push_back({i, step, absl::StrFormat("%s[%d]", phase.name, step)});
  }
  return rows;
}

MicroRate StepRate(const StepsLoad& steps, uint32_t step) {
  return steps.from + (steps.to < steps.from ? -steps.by : steps.by) * step;
}

bool IsMeasured(const Phase& phase) {
  const auto above_search = [](const RateValue& value) {
    const auto* of = std::get_if<RateOfSearch>(&value);
    return of != nullptr && of->ratio > 1'000'000;
  };
  if (!phase.measure || std::holds_alternative<SearchLoad>(phase.load) ||
      std::holds_alternative<IdleLoad>(phase.load))
    return false;
  if (const auto* constant = std::get_if<ConstantLoad>(&phase.load))
    return !above_search(constant->rate);
  if (const auto* rates = std::get_if<RatesLoad>(&phase.load))
    return std::none_of(rates->rates.begin(), rates->rates.end(),
                        [&](const auto& entry) { return above_search(entry.second); });
  return true;
}

std::vector<size_t> PhasesOfRule(const Plan& plan, const Rule& rule) {
  std::vector<size_t> out;
  for (size_t i = 0; i < plan.phases.size(); ++i) {
    const Phase& phase = plan.phases[i];
    const bool named = std::any_of(rule.phases.begin(), rule.phases.end(),
                                   [&](const PhaseRef& ref) { return ref.name == phase.name; });
    if (rule.phases.empty() ? IsMeasured(phase) : named) out.push_back(i);
  }
  return out;
}

std::set<PhaseIndex> RowsOfRule(const Plan& plan, const Rule& rule) {
  const std::vector<PhaseRow> rows = PhaseRows(plan);
  std::set<PhaseIndex> out;
  for (uint32_t i = 0; i < rows.size(); ++i) {
    const Phase& phase = plan.phases[rows[i].phase];
    const bool named =
        std::any_of(rule.phases.begin(), rule.phases.end(), [&](const PhaseRef& ref) {
          return ref.name == phase.name &&
                 (!ref.from || (rows[i].step >= ref.from && rows[i].step <= ref.to));
        });
    if (rule.phases.empty() ? IsMeasured(phase) : named) out.insert(PhaseIndex(i));
  }
  return out;
}

}  // namespace broadside::plan
