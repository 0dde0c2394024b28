#include "controller/merge/validity.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <functional>

#include "common/report/format.h"

namespace broadside::merge {
namespace {

using report::FormatCount;
using report::FormatDuration;
using report::FormatPercent;

struct Setting {
  const char* name;
  bool is_duration;
  std::function<void(Thresholds&, std::optional<double>)> set;
};

std::optional<int64_t> ToNanos(std::optional<double> value) {
  if (!value) return std::nullopt;
  return static_cast<int64_t>(std::llround(*value));
}

const std::vector<Setting>& Settings() {
  using Value = std::optional<double>;
  static const std::vector<Setting> kSettings = {
      {"lag_p99", true,
       [](Thresholds& t, Value v) {
         t.lag_invalid_ns = ToNanos(v);
         t.lag_invalid_relative = false;
       }},
      {"lag_p99_degraded", true,
       [](Thresholds& t, Value v) {
         t.lag_degraded_ns = ToNanos(v);
         t.lag_degraded_relative = false;
       }},
      {"own_fault", false, [](Thresholds& t, Value v) { t.own_fault_invalid = v; }},
      {"own_fault_degraded", false, [](Thresholds& t, Value v) { t.own_fault_degraded = v; }},
      {"missing", false, [](Thresholds& t, Value v) { t.missing_invalid = v; }},
      {"missing_degraded", false, [](Thresholds& t, Value v) { t.missing_degraded = v; }},
      {"achieved", false, [](Thresholds& t, Value v) { t.achieved_invalid = v; }},
      {"achieved_degraded", false, [](Thresholds& t, Value v) { t.achieved_degraded = v; }},
      {"clock_bound", true, [](Thresholds& t, Value v) { t.clock_bound_ns = ToNanos(v); }},
      {"start_skew", true, [](Thresholds& t, Value v) { t.start_skew_ns = ToNanos(v); }},
      {"throttled", false, [](Thresholds& t, Value v) { t.throttled = v; }},
      {"coverage", false, [](Thresholds& t, Value v) { t.coverage = v; }},
      {"little", false, [](Thresholds& t, Value v) { t.little = v; }},
      {"loop_busy", false, [](Thresholds& t, Value v) { t.loop_busy = v; }},
  };
  return kSettings;
}

/// "10ms" in ns or "1%" as 0.01; empty when it is neither.
std::optional<double> ParseBound(const std::string& text, bool is_duration) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || !std::isfinite(number) || number < 0 || number > 1e12) {
    return std::nullopt;
  }
  const std::string unit(end, text.data() + text.size());
  if (!is_duration) {
    return unit == "%" || unit == " %" ? std::optional(number / 100) : std::nullopt;
  }
  for (const auto& [name, factor] :
       {std::pair{"ns", 1.0}, {"us", 1e3}, {"µs", 1e3}, {"ms", 1e6}, {"s", 1e9}}) {
    if (unit == name) return number * factor;
  }
  return std::nullopt;
}

enum class Level { kNone, kDegraded, kInvalid };

template <class Number>
Level Above(Number value, std::optional<Number> degraded, std::optional<Number> invalid) {
  if (invalid && value > *invalid) return Level::kInvalid;
  return degraded && value > *degraded ? Level::kDegraded : Level::kNone;
}

double Share(uint64_t part, uint64_t whole) {
  return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole);
}

class Judgement {
 public:
  Judgement(const ValidityFacts& facts, const Thresholds& thresholds)
      : facts_(facts), thresholds_(thresholds) {}

  report::Validity Run() {
    JudgeLedger();
    JudgeLag();
    JudgeOwnFault();
    JudgeMissing();
    JudgeAchieved();
    JudgeHosts();
    JudgeCoverage();
    JudgeLittle();
    NameLimits();
    report::Validity validity;
    if (!degraded_.empty()) validity.verdict = "DEGRADED";
    if (!invalid_.empty()) validity.verdict = "INVALID";
    validity.reasons = std::move(invalid_);
    validity.reasons.insert(validity.reasons.end(), degraded_.begin(), degraded_.end());
    validity.notes = std::move(notes_);
    return validity;
  }

 private:
  void Say(Level level, std::string sentence) {
    if (level == Level::kInvalid) invalid_.push_back(std::move(sentence));
    if (level == Level::kDegraded) degraded_.push_back(std::move(sentence));
  }

  void JudgeLedger() {
    if (facts_.run.mismatch != 0) {
      Say(Level::kInvalid,
          "the ledger does not close: " + report::FormatSignedCount(facts_.run.mismatch) +
              " arrivals are unaccounted for or counted twice");
    }
    for (const AgentSigns& agent : facts_.agents) {
      if (agent.unbalanced == 0) continue;
      Say(Level::kInvalid, agent.id + " sent " + FormatCount(agent.unbalanced) +
                               " snapshots whose own ledger did not close");
    }
  }

  std::optional<int64_t> LagBound(std::optional<int64_t> bound, bool relative,
                                  int64_t divisor) const {
    if (!bound || !relative || !facts_.ok_service_p50) return bound;
    return std::max(*bound, *facts_.ok_service_p50 / divisor);
  }

  static std::string Cure(const AgentSigns& agent) {
    if (agent.busiest_loop < 0.5) return "";
    return ". One of its " + std::to_string(agent.loops) + " loops was " +
           FormatPercent(agent.busiest_loop) + " busy: lower its share or add agents";
  }

  void JudgeLag() {
    const auto degraded =
        LagBound(thresholds_.lag_degraded_ns, thresholds_.lag_degraded_relative, 10);
    const auto invalid = LagBound(thresholds_.lag_invalid_ns, thresholds_.lag_invalid_relative, 2);
    for (const AgentSigns& agent : facts_.agents) {
      if (!agent.lag_p99) continue;
      const Level level = Above(*agent.lag_p99, degraded, invalid);
      if (level == Level::kNone) continue;
      const int64_t bound = level == Level::kInvalid ? *invalid : *degraded;
      Say(level, agent.id + " was late (lag P99 " + FormatDuration(*agent.lag_p99) + " > " +
                     report::FormatDurationShort(bound) + ")" + Cure(agent));
    }
  }

  void JudgeOwnFault() {
    const double share = Share(facts_.own_fault, facts_.measured.scheduled);
    const Level level =
        Above<double>(share, thresholds_.own_fault_degraded, thresholds_.own_fault_invalid);
    if (level == Level::kNone) return;
    const auto worst = std::max_element(facts_.agents.begin(), facts_.agents.end(),
                                        [](const AgentSigns& left, const AgentSigns& right) {
                                          return left.own_fault < right.own_fault;
                                        });
    std::string sentence = FormatCount(facts_.own_fault) + " arrivals (" + FormatPercent(share) +
                           ") were not sent for the agents' own reasons";
    if (worst != facts_.agents.end() && worst->own_fault > 0) {
      sentence += ", " + FormatCount(worst->own_fault) + " of them on " + worst->id + Cure(*worst);
    }
    Say(level, std::move(sentence));
  }

  void JudgeMissing() {
    for (const PhaseSigns& phase : facts_.measured_phases) {
      const double share = Share(phase.unowned + phase.unreported, phase.scheduled);
      const Level level =
          Above<double>(share, thresholds_.missing_degraded, thresholds_.missing_invalid);
      Say(level, "in " + phase.name + ", " + FormatCount(phase.unowned) +
                     " arrivals had no owner and " + FormatCount(phase.unreported) +
                     " were not reported (" + FormatPercent(share) + " of " +
                     FormatCount(phase.scheduled) + ")");
    }
  }

  void JudgeAchieved() {
    const report::LedgerTotals& totals = facts_.measured;
    const uint64_t wanted =
        totals.scheduled - std::min(totals.scheduled, totals.unowned + totals.unreported);
    if (wanted == 0) return;
    const uint64_t held_back = totals.dropped + totals.expired -
                               std::min(totals.dropped + totals.expired, facts_.own_fault);
    const double achieved = Share(totals.sent + held_back, wanted);
    // Counted from below: what is short of the bound.
    const auto complement = [](std::optional<double> bound) {
      return bound ? std::optional(1 - *bound) : std::nullopt;
    };
    const Level level = Above<double>(1 - achieved, complement(thresholds_.achieved_degraded),
                                      complement(thresholds_.achieved_invalid));
    Say(level, "only " + FormatPercent(achieved) + " of the " + FormatCount(wanted) +
                   " arrivals that agents had permission for were sent");
  }

  void JudgeHosts() {
    for (const AgentSigns& agent : facts_.agents) {
      const auto over = [&](int64_t value, std::optional<int64_t> bound, const std::string& what) {
        if (!bound || value <= *bound) return;
        Say(Level::kDegraded,
            agent.id + what + FormatDuration(value) + " > " + report::FormatDurationShort(*bound));
      };
      over(static_cast<int64_t>(agent.clock_bound_ns), thresholds_.clock_bound_ns,
           ": its clock is known only within ±");
      over(static_cast<int64_t>(agent.clock_slew_ns), thresholds_.clock_bound_ns,
           ": its clock was still off by ");
      over(std::abs(agent.start_skew_ns), thresholds_.start_skew_ns, " started off time by ");
      const double throttled = Share(
          agent.throttled_ns, static_cast<uint64_t>(std::max<int64_t>(0, facts_.run_length_ns)));
      if (thresholds_.throttled && throttled > *thresholds_.throttled) {
        Say(Level::kDegraded, agent.id + " was throttled by its CPU limit for " +
                                  FormatPercent(throttled) + " of the run: raise the limit");
      }
      if (thresholds_.loop_busy && agent.busiest_loop > *thresholds_.loop_busy) {
        Say(Level::kDegraded, "one of the " + std::to_string(agent.loops) + " loops of " +
                                  agent.id + " was " + FormatPercent(agent.busiest_loop) + " busy");
      }
      if (agent.outbox_dropped > 0) {
        Say(Level::kDegraded, agent.id + " had to drop the histograms of " +
                                  FormatCount(agent.outbox_dropped) + " snapshots");
      }
      if (agent.folded_cells > 0) {
        notes_.push_back(agent.id + " folded " + FormatCount(agent.folded_cells) +
                         " outcomes into \"other\" for want of cells");
      }
      if (agent.stale_resets > 0) {
        notes_.push_back(FormatCount(agent.stale_resets) + " of the resets that " + agent.id +
                         " saw were connections that the server closed while they were kept");
      }
      if (agent.unvalidated > 0) {
        notes_.push_back(FormatCount(agent.unvalidated) + " ok replies to " + agent.id +
                         " were too large or compressed, so their content was not checked");
      }
    }
  }

  void JudgeCoverage() {
    const report::Coverage& coverage = facts_.coverage;
    if (!thresholds_.coverage || coverage.intervals == 0 ||
        Share(coverage.complete, coverage.intervals) >= *thresholds_.coverage) {
      return;
    }
    std::string sentence = "coverage is " + FormatCount(coverage.complete) + "/" +
                           FormatCount(coverage.intervals) + " intervals";
    if (!coverage.missing.empty()) {
      const report::Missing& first = coverage.missing.front();
      sentence += "; first gap: " + first.agent + ", interval " + std::to_string(first.from_k);
      if (first.to_k != first.from_k) sentence += "–" + std::to_string(first.to_k);
      sentence += " (" + first.why + ")";
    }
    Say(Level::kDegraded, std::move(sentence));
  }

  void JudgeLittle() {
    if (!thresholds_.little || !facts_.little) return;
    const LittleSign& little = *facts_.little;
    if (little.measured < 1 || little.ended < 1000) return;
    if (little.measured >= little.low * (1 - *thresholds_.little) &&
        little.measured <= little.high * (1 + *thresholds_.little)) {
      return;
    }
    Say(Level::kDegraded, "Little's law does not hold: " + report::FormatNumber(little.measured) +
                              " in flight measured, " + report::FormatNumber(little.high) +
                              " by rate × time");
  }

  void NameLimits() {
    const uint64_t scheduled = facts_.measured.scheduled;
    if (Share(facts_.limited, scheduled) < thresholds_.limited_note || facts_.limited == 0) return;
    const uint64_t dropped =
        facts_.measured.dropped - std::min(facts_.measured.dropped, facts_.own_fault);
    const auto limit = [](const plan::Limit& value) {
      return std::to_string(value.count) + (value.total ? " total" : "/agent");
    };
    if (dropped > 0) {
      notes_.push_back("client-limited by in_flight: " + FormatCount(dropped) +
                       " arrivals were dropped at in_flight " + limit(facts_.limits.in_flight));
    }
    if (facts_.limited > dropped) {
      std::string note = "client-limited by connections: " + FormatCount(facts_.limited - dropped) +
                         " arrivals waited for one of " + limit(facts_.limits.connections);
      if (facts_.wait_p99) note += " (wait P99 " + FormatDuration(*facts_.wait_p99) + ")";
      notes_.push_back(std::move(note));
    }
  }

  const ValidityFacts& facts_;
  const Thresholds& thresholds_;
  std::vector<std::string> invalid_, degraded_, notes_;
};

}  // namespace

StatusOr<Thresholds> ParseThresholds(const std::map<std::string, std::string>& overrides) {
  Thresholds thresholds;
  for (const auto& [name, text] : overrides) {
    const auto setting = std::find_if(Settings().begin(), Settings().end(),
                                      [&](const Setting& each) { return name == each.name; });
    if (setting == Settings().end()) {
      std::string known;
      for (const Setting& each : Settings())
        known += (known.empty() ? "" : ", ") + std::string(each.name);
      return InvalidArgument("validity." + name + ": unknown; known are " + known);
    }
    std::optional<double> bound;
    if (text != "off" && text != "no" && text != "false") {
      bound = ParseBound(text, setting->is_duration);
      if (!bound) {
        return InvalidArgument(
            "validity." + name + ": \"" + text + "\" is no bound: write " +
            (setting->is_duration ? "a duration as in 10ms" : "a share as in 1%") + ", or off");
      }
    }
    setting->set(thresholds, bound);
  }
  return thresholds;
}

report::Validity Judge(const ValidityFacts& facts, const Thresholds& thresholds) {
  return Judgement(facts, thresholds).Run();
}

}  // namespace broadside::merge
