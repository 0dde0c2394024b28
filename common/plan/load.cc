// load: the phases.
#include <algorithm>
#include <numeric>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "common/plan/reader.h"
#include "common/plan/values.h"

namespace broadside::plan {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

constexpr int64_t kMaxSteps = 1000;
constexpr Nanos kLeastPhase = milliseconds(1);
constexpr Nanos kMostPhase = rate::kMaxSegmentLength;
/// A wave must be given enough of the chords that a sine resolves into (rate::kMaxSineKnots).
constexpr int kMaxWaves = 256;

const std::vector<std::string>& Kinds() {
  static const std::vector<std::string> kKinds = {
      "rate", "rates", "ramp", "steps", "sine", "replay", "concurrency", "search", "idle"};
  return kKinds;
}

/// Keys that mean something with some kinds only.
struct KindRule {
  std::string_view kind, key, why;
};
constexpr KindRule kForbidden[] = {
    {"steps", "duration", "a staircase lasts as long as its steps"},
    {"search", "duration", "a search ends when it has found its answer"},
    {"idle", "duration", "write idle: DURATION"},
    {"rates", "targets", "rates: names the targets"},
    {"rates", "mix", "rates: says each target's share"},
    {"idle", "targets", "an idle phase sends nothing"},
    {"idle", "mix", "an idle phase sends nothing"},
    {"idle", "arrivals", "an idle phase sends nothing"},
    {"idle", "each", "an idle phase sends nothing"},
    {"replay", "arrivals", "a replay has its own arrival times"},
    {"concurrency", "arrivals", "a closed loop sends when the last reply came"},
};

class PhaseReader {
 public:
  PhaseReader(Context& context, const MapReader& map, const std::vector<Target>& targets,
              const std::vector<Phase>& earlier)
      : context_(context), map_(map), targets_(targets), earlier_(earlier) {}

  StatusOr<Phase> Run() {
    BROADSIDE_RETURN_IF_ERROR(map_.Require("phase"));
    BROADSIDE_RETURN_IF_ERROR(map_.String("phase", phase_.name));
    const yaml::Mark& name = map_.Get("phase")->mark;
    phase_.where = context_.WhereOf(map_.mark());
    BROADSIDE_RETURN_IF_ERROR(context_.At(name, "phase", CheckName(phase_.name)));
    for (const Phase& other : earlier_)
      if (other.name == phase_.name)
        return context_.Error(name, "phase: a second phase " + Quoted(phase_.name) + ".");
    BROADSIDE_RETURN_IF_ERROR(FindKind());
    if (kind_ != "steps" && kind_ != "idle" && kind_ != "search" && kind_ != "replay")
      BROADSIDE_RETURN_IF_ERROR(map_.Require("duration"));
    BROADSIDE_RETURN_IF_ERROR(map_.Duration("duration", kLeastPhase, kMostPhase, phase_.duration));
    BROADSIDE_RETURN_IF_ERROR(ReadKind());
    BROADSIDE_RETURN_IF_ERROR(ReadTargetsAndMix());
    phase_.measure = kind_ != "idle" && kind_ != "search";
    BROADSIDE_RETURN_IF_ERROR(map_.Bool("measure", phase_.measure));
    if (map_.Has("arrivals")) {
      ArrivalMode mode = ArrivalMode::kUniform;
      BROADSIDE_RETURN_IF_ERROR(map_.Word<ArrivalMode>(
          "arrivals", {{"uniform", ArrivalMode::kUniform}, {"poisson", ArrivalMode::kPoisson}},
          mode));
      phase_.arrivals = mode;
    }
    if (map_.Has("each")) {
      BROADSIDE_RETURN_IF_ERROR(map_.Word<bool>("each", {{"targets", true}}, phase_.each_target));
      context_.Uses("each", map_.KeyMark("each"));
    }
    return std::move(phase_);
  }

 private:
  Status FindKind() {
    std::vector<std::string> found;
    for (const std::string& kind : Kinds())
      if (map_.Has(kind)) found.push_back(kind);
    if (found.empty())
      return context_.Error(map_.mark(), "phase " + Quoted(phase_.name) +
                                             " has no load. Write one of " + JoinOr(Kinds()) + ".");
    if (found.size() > 1)
      return context_.Error(map_.KeyMark(found[1]), "phase " + Quoted(phase_.name) + " has both " +
                                                        found[0] + " and " + found[1] +
                                                        "; a phase has exactly one kind of load.");
    kind_ = found[0];
    for (const KindRule& rule : kForbidden)
      if (kind_ == rule.kind && map_.Has(rule.key))
        return context_.Error(map_.KeyMark(rule.key),
                              absl::StrFormat("%s: does not go with %s: %s.", std::string(rule.key),
                                              std::string(rule.kind), std::string(rule.why)));
    return {};
  }

  Status ReadKind() {
    if (kind_ == "rate") return ReadConstant();
    if (kind_ == "rates") return ReadRates();
    if (kind_ == "ramp") return ReadRamp();
    if (kind_ == "steps") return ReadSteps();
    if (kind_ == "sine") return ReadSine();
    if (kind_ == "replay") return ReadReplayLoad();
    if (kind_ == "search") return ReadSearch();
    if (kind_ == "concurrency") {
      ConcurrencyLoad load;
      context_.Uses("concurrency", map_.KeyMark("concurrency"));
      BROADSIDE_RETURN_IF_ERROR(map_.Integer("concurrency", {1, 1'000'000}, load.slots));
      phase_.load = load;
      return {};
    }
    return ReadIdle();
  }

  StatusOr<MapReader> Open(std::string_view key, const Section& section,
                           const std::vector<std::string_view>& required) {
    BROADSIDE_ASSIGN_OR_RETURN(MapReader map,
                               MapReader::Open(context_, key, *map_.Get(key), section));
    for (const std::string_view name : required) BROADSIDE_RETURN_IF_ERROR(map.Require(name));
    return map;
  }

  /// "500/s", "150% of g", "80% of g.y.held".
  StatusOr<RateValue> ReadRateValue(std::string_view key, const yaml::Node& node) {
    const size_t percent = node.text.find('%');
    if (node.kind != yaml::Node::Kind::kScalar || percent == std::string::npos) {
      BROADSIDE_ASSIGN_OR_RETURN(const MicroRate rate, ReadRate(context_, key, node));
      if (rate == 0)
        return context_.Error(node.mark, std::string(key) + ": is 0; write idle: DURATION.");
      return RateValue(rate);
    }
    RateOfSearch out{0, "", "", "held"};
    const auto ratio = ParsePercent(std::string_view(node.text).substr(0, percent + 1));
    std::string_view rest = Trim(std::string_view(node.text).substr(percent + 1));
    if (!ratio.ok() || *ratio == 0 || *ratio > 100'000'000 || !rest.starts_with("of "))
      return context_.Error(node.mark,
                            std::string(key) + ": " + Quoted(node.text) +
                                " is not a rate. Write 100/s or 150% of <search phase>.");
    out.ratio = *ratio;
    std::vector<std::string> parts;
    for (rest = Trim(rest.substr(3)); !rest.empty();) {
      const size_t dot = rest.find('.');
      parts.emplace_back(rest.substr(0, dot));
      rest = dot == std::string_view::npos ? std::string_view() : rest.substr(dot + 1);
    }
    const auto which = [](const std::string& word) {
      return word == "held" || word == "peak" || word == "failed";
    };
    if (parts.size() >= 2 && which(parts.back())) {
      out.which = parts.back();
      parts.pop_back();
    } else if (parts.size() != 1) {
      parts.clear();
    }
    if (parts.empty() || parts.size() > 2)
      return context_.Error(node.mark,
                            std::string(key) + ": " + Quoted(node.text) +
                                " is not a rate. After \"of\" stands SEARCH, SEARCH.held, "
                                "SEARCH.peak, SEARCH.failed or SEARCH.TARGET.held.");
    out.search = parts[0];
    if (parts.size() == 2) out.target = parts[1];
    BROADSIDE_RETURN_IF_ERROR(CheckSearchRef(key, node, out));
    return RateValue(std::move(out));
  }

  Status CheckSearchRef(std::string_view key, const yaml::Node& node, const RateOfSearch& ref) {
    std::vector<std::string> searches;
    for (const Phase& phase : earlier_)
      if (std::holds_alternative<SearchLoad>(phase.load)) searches.push_back(phase.name);
    if (std::find(searches.begin(), searches.end(), ref.search) == searches.end())
      return context_.Error(node.mark, std::string(key) + ": " + Quoted(ref.search) +
                                           " is not a search phase before this one." +
                                           DidYouMean(ref.search, searches, ""));
    if (!ref.target.empty()) BROADSIDE_RETURN_IF_ERROR(KnownTarget(key, node.mark, ref.target));
    context_.Uses("% of", node.mark);
    return {};
  }

  Status KnownTarget(std::string_view key, const yaml::Mark& mark, const std::string& name) {
    std::vector<std::string> names;
    for (const Target& target : targets_) names.push_back(target.name);
    if (std::find(names.begin(), names.end(), name) != names.end()) return {};
    return context_.Error(
        mark, absl::StrFormat("%s: no target is called %s.%s", std::string(key), Quoted(name),
                              DidYouMean(name, names,
                                         names.size() <= 10 ? " Known are " + JoinOr(names) + "."
                                                            : std::string())));
  }

  Status ReadConstant() {
    BROADSIDE_ASSIGN_OR_RETURN(RateValue rate, ReadRateValue("rate", *map_.Get("rate")));
    phase_.load = ConstantLoad{std::move(rate)};
    return {};
  }

  Status ReadRates() {
    const yaml::Node& node = *map_.Get("rates");
    BROADSIDE_RETURN_IF_ERROR(ExpectMap(context_, "rates", node));
    RatesLoad load;
    int64_t total = 0;
    for (const yaml::Node::Entry& entry : node.entries) {
      BROADSIDE_RETURN_IF_ERROR(KnownTarget("rates", entry.mark, entry.key));
      BROADSIDE_ASSIGN_OR_RETURN(RateValue rate, ReadRateValue(entry.key, entry.value));
      if (const auto* fixed = std::get_if<MicroRate>(&rate)) total += *fixed;
      load.rates[entry.key] = std::move(rate);
    }
    if (load.rates.empty()) return context_.Error(node.mark, "rates: names no target.");
    BROADSIDE_RETURN_IF_ERROR(CheckTotal("rates", node, total));
    phase_.load = std::move(load);
    return {};
  }

  Status CheckTotal(std::string_view key, const yaml::Node& node, int64_t total) {
    if (total <= rate::kMaxMicroRate) return {};
    return context_.Error(node.mark, absl::StrFormat("%s: %s in all is more than 10000000/s.",
                                                     std::string(key), RateText(total)));
  }

  Status ReadRamp() {
    RampLoad load;
    BROADSIDE_ASSIGN_OR_RETURN(const MapReader map, Open("ramp", kRampSection, {"from", "to"}));
    BROADSIDE_RETURN_IF_ERROR(map.Rate("from", load.from));
    BROADSIDE_RETURN_IF_ERROR(map.Rate("to", load.to));
    if (load.from == 0 && load.to == 0)
      return context_.Error(map.mark(), "ramp: is 0 throughout; write idle: DURATION.");
    phase_.load = load;
    return {};
  }

  Status ReadSteps() {
    StepsLoad load;
    BROADSIDE_ASSIGN_OR_RETURN(const MapReader map,
                               Open("steps", kStepsSection, {"from", "to", "by", "each"}));
    BROADSIDE_RETURN_IF_ERROR(map.Rate("from", load.from));
    BROADSIDE_RETURN_IF_ERROR(map.Rate("to", load.to));
    BROADSIDE_RETURN_IF_ERROR(map.Rate("by", load.by));
    BROADSIDE_RETURN_IF_ERROR(map.Duration("each", kLeastPhase, kMostPhase, load.each));
    const int64_t span = std::abs(load.to - load.from);
    if (load.by == 0) return context_.Error(map.Get("by")->mark, "by: is 0; a step has a height.");
    if (span % load.by != 0) {
      const int64_t whole = span / load.by * load.by;
      const int64_t sign = load.to < load.from ? -1 : 1;
      return context_.Error(
          map.Get("to")->mark,
          absl::StrFormat("to: steps of %s from %s do not meet %s. Write to: %s or to: %s.",
                          RateText(load.by), RateText(load.from), RateText(load.to),
                          RateText(load.from + sign * whole),
                          RateText(std::max<int64_t>(0, load.from + sign * (whole + load.by)))));
    }
    if (StepCount(load) > kMaxSteps)
      return context_.Error(
          map.mark(), absl::StrFormat("steps: %d steps; at most %d.", StepCount(load), kMaxSteps));
    phase_.duration = load.each * StepCount(load);
    if (phase_.duration > kMostPhase)
      return context_.Error(map.mark(), "steps: they last " + DurationText(phase_.duration) +
                                            "; a phase lasts at most 24h.");
    phase_.load = load;
    return {};
  }

  Status ReadSine() {
    SineLoad load;
    BROADSIDE_ASSIGN_OR_RETURN(const MapReader map,
                               Open("sine", kSineSection, {"mean", "amplitude", "period"}));
    BROADSIDE_RETURN_IF_ERROR(map.Rate("mean", load.mean));
    BROADSIDE_RETURN_IF_ERROR(map.Rate("amplitude", load.amplitude));
    BROADSIDE_RETURN_IF_ERROR(map.Duration("period", kLeastPhase, kMostPhase, load.period));
    if (load.mean == 0)
      return context_.Error(map.Get("mean")->mark, "mean: is 0; write idle: DURATION.");
    if (load.amplitude > load.mean)
      return context_.Error(map.Get("amplitude")->mark,
                            absl::StrFormat("amplitude: %s is more than the mean (%s), the rate "
                                            "would fall below 0.",
                                            RateText(load.amplitude), RateText(load.mean)));
    BROADSIDE_RETURN_IF_ERROR(CheckTotal("sine", *map_.Get("sine"), load.mean + load.amplitude));
    if (phase_.duration > load.period * kMaxWaves)
      return context_.Error(
          map.Get("period")->mark,
          absl::StrFormat("period: %s gives more than %d waves in %s; split the "
                          "phase or take a longer period.",
                          DurationText(load.period), kMaxWaves, DurationText(phase_.duration)));
    phase_.load = load;
    return {};
  }

  Status ReadReplayLoad() {
    ReplayLoad load;
    BROADSIDE_ASSIGN_OR_RETURN(const MapReader map, Open("replay", kReplaySection, {"file"}));
    BROADSIDE_RETURN_IF_ERROR(map.String("file", load.file));
    if (load.file.empty()) return context_.Error(map.KeyMark("file"), "file: names no file.");
    load.format = load.file.ends_with(".jsonl") || load.file.ends_with(".ndjson") ? "jsonl" : "csv";
    if (const yaml::Node* format = map.Get("format")) {
      BROADSIDE_ASSIGN_OR_RETURN(load.format,
                                 ReadWord(context_, "format", *format, {"csv", "jsonl"}));
    }
    if (const yaml::Node* speed = map.Get("speed"))
      BROADSIDE_RETURN_IF_ERROR(ReadSpeed(*speed, load));
    phase_.load = std::move(load);
    return {};
  }

  /// "2", "0.5" or "1/3", kept as a ratio of integers in lowest terms.
  Status ReadSpeed(const yaml::Node& node, ReplayLoad& load) {
    std::string_view rest = node.text;
    const auto num = TakeDecimal(rest);
    std::optional<Decimal> den = Decimal{1, 0};
    if (num && rest.starts_with("/")) {
      rest.remove_prefix(1);
      den = TakeDecimal(rest);
    }
    constexpr int64_t kMost = 1'000'000'000;
    const auto num_units = num ? num->Times(kMost) : std::nullopt;
    const auto den_units = den ? den->Times(kMost) : std::nullopt;
    const bool fits = node.kind == yaml::Node::Kind::kScalar && rest.empty() && num_units &&
                      den_units && *num_units > 0 && *den_units > 0;
    const int64_t common = fits ? std::gcd(*num_units, *den_units) : 1;
    if (!fits || *num_units / common > kMost || *den_units / common > kMost)
      return context_.Error(
          node.mark,
          "speed: " + Describe(node) + " is not a speed. Write 2, 0.5 or 1/3, at most 9 decimals.");
    load.speed_num = *num_units / common;
    load.speed_den = *den_units / common;
    return {};
  }

  Status ReadSearch() {
    SearchLoad load;
    load.settle = std::chrono::seconds(5);
    load.hold = std::chrono::seconds(15);
    context_.Uses("search", map_.KeyMark("search"));
    BROADSIDE_ASSIGN_OR_RETURN(const MapReader map,
                               Open("search", kSearchSection, {"from", "to", "until"}));
    BROADSIDE_RETURN_IF_ERROR(map.Rate("from", load.from));
    BROADSIDE_RETURN_IF_ERROR(map.Rate("to", load.to));
    BROADSIDE_RETURN_IF_ERROR(map.Duration("settle", Nanos(0), hours(1), load.settle));
    BROADSIDE_RETURN_IF_ERROR(map.Duration("hold", milliseconds(50), hours(1), load.hold));
    BROADSIDE_RETURN_IF_ERROR(map.Integer("confirm", {1, 10}, load.confirm));
    BROADSIDE_RETURN_IF_ERROR(map.Integer("max_steps", {1, kMaxSteps}, load.max_steps));
    BROADSIDE_RETURN_IF_ERROR(map.Percent("precision", 500'000, load.precision));
    BROADSIDE_ASSIGN_OR_RETURN(load.until, ReadRules(context_, "until", *map.Get("until")));
    if (load.from == 0 || load.from >= load.to)
      return context_.Error(map.Get("from")->mark,
                            "from: must be more than 0/s and less than to:.");
    if (load.precision == 0)
      return context_.Error(map.Get("precision")->mark, "precision: is more than 0%.");
    if (load.until.empty()) return context_.Error(map.KeyMark("until"), "until: has no rule.");
    for (const Rule& rule : load.until)
      if (!rule.phases.empty())
        return context_.Error(rule.where, "until: " + Quoted(rule.text) +
                                              " names a phase; it is judged in its own search.");
    phase_.load = std::move(load);
    return {};
  }

  Status ReadIdle() {
    const yaml::Node& node = *map_.Get("idle");
    const bool automatic = node.kind == yaml::Node::Kind::kScalar && node.text == "auto";
    if (automatic) {
      context_.Uses("idle: auto", node.mark);
    } else {
      BROADSIDE_RETURN_IF_ERROR(map_.Duration("idle", kLeastPhase, kMostPhase, phase_.duration));
    }
    phase_.load = IdleLoad{automatic};
    return {};
  }

  Status ReadTargetsAndMix() {
    if (const yaml::Node* node = map_.Get("targets")) {
      BROADSIDE_ASSIGN_OR_RETURN(phase_.targets, ReadStrings(context_, "targets", *node));
      std::set<std::string> seen;
      for (size_t i = 0; i < phase_.targets.size(); ++i) {
        const yaml::Mark& mark = node->items.empty() ? node->mark : node->items[i].mark;
        BROADSIDE_RETURN_IF_ERROR(KnownTarget("targets", mark, phase_.targets[i]));
        if (!seen.insert(phase_.targets[i]).second)
          return context_.Error(mark, "targets: " + Quoted(phase_.targets[i]) + " stands twice.");
      }
      if (phase_.targets.empty()) return context_.Error(node->mark, "targets: names no target.");
    }
    const yaml::Node* node = map_.Get("mix");
    if (node == nullptr) return {};
    if (map_.Has("targets"))
      return context_.Error(map_.KeyMark("mix"),
                            "mix: names the targets itself; leave targets: out.");
    BROADSIDE_RETURN_IF_ERROR(ExpectMap(context_, "mix", *node));
    Ppm sum = 0;
    for (const yaml::Node::Entry& entry : node->entries) {
      BROADSIDE_RETURN_IF_ERROR(KnownTarget("mix", entry.mark, entry.key));
      BROADSIDE_ASSIGN_OR_RETURN(const Ppm share,
                                 ReadPercent(context_, entry.key, entry.value, 1'000'000));
      if (share == 0)
        return context_.Error(entry.value.mark, entry.key + ": is 0%; leave the target out.");
      phase_.mix[entry.key] = share;
      sum += share;
    }
    if (sum != 1'000'000)
      return context_.Error(node->mark,
                            "mix: the shares sum to " + PercentText(sum) +
                                ", not 100%; for thirds give the targets a weight: instead.");
    return {};
  }

  Context& context_;
  const MapReader& map_;
  const std::vector<Target>& targets_;
  const std::vector<Phase>& earlier_;
  std::string kind_;
  Phase phase_;
};

}  // namespace

int64_t StepCount(const StepsLoad& steps) {
  return steps.by <= 0 ? 1 : std::abs(steps.to - steps.from) / steps.by + 1;
}

StatusOr<std::vector<Phase>> ReadLoad(Context& context, const yaml::Node& node,
                                      const std::vector<Target>& targets) {
  BROADSIDE_RETURN_IF_ERROR(ExpectList(context, "load", node));
  std::vector<Phase> phases;
  int64_t steps = 0;
  for (const yaml::Node& item : node.items) {
    BROADSIDE_ASSIGN_OR_RETURN(const MapReader map,
                               MapReader::Open(context, "load", item, kPhaseSection));
    BROADSIDE_ASSIGN_OR_RETURN(Phase phase, PhaseReader(context, map, targets, phases).Run());
    const auto* staircase = std::get_if<StepsLoad>(&phase.load);
    steps += staircase == nullptr ? 1 : StepCount(*staircase);
    phases.push_back(std::move(phase));
    if (steps > kMaxSteps)
      return context.Error(item.mark,
                           absl::StrFormat("load: more than %d phases and steps.", kMaxSteps));
  }
  if (phases.empty()) return context.Error(node.mark, "load: has no phase.");
  return phases;
}

}  // namespace broadside::plan
