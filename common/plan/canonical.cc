// Plan → JSON and YAML that ParsePlan reads back to an equal Plan.
#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>
#include <string>
#include <type_traits>

#include "common/plan/parse.h"
#include "common/plan/values.h"

namespace broadside::plan {
namespace {

using Json = nlohmann::ordered_json;

/// Targets by name keep their order in YAML only; canonical JSON sorts keys, so there they are a
/// list.
enum class Form { kCanonical, kPeople };

std::string RateValueText(const RateValue& value) {
  if (const auto* rate = std::get_if<MicroRate>(&value)) return RateText(*rate);
  const auto& of = std::get<RateOfSearch>(value);
  return PercentText(of.ratio) + " of " + of.search + (of.target.empty() ? "" : "." + of.target) +
         "." + of.which;
}

std::string LimitText(const Limit& limit) {
  return std::to_string(limit.count) + (limit.total ? " total" : "/agent");
}

template <class T>
Json TextMap(const std::map<std::string, T>& map) {
  Json out = Json::object();
  for (const auto& [key, value] : map) out[key] = value;
  return out;
}

void PutText(Json& out, const char* key, const std::string& text) {
  if (!text.empty()) out[key] = text;
}
void PutDuration(Json& out, const char* key, const std::optional<Nanos>& value) {
  if (value) out[key] = DurationText(*value);
}

Json RulesJson(const std::vector<Rule>& rules) {
  Json out = Json::array();
  for (const Rule& rule : rules) out.push_back(rule.text);
  return out;
}

Json TlsJson(const Tls& tls) {
  Json out = Json::object();
  PutText(out, "ca", tls.ca);
  PutText(out, "cert", tls.cert);
  PutText(out, "key", tls.key);
  PutText(out, "server_name", tls.server_name);
  out["insecure"] = tls.insecure;
  return out;
}

Json BreakerJson(const BreakerSpec& breaker) {
  Json out = Json::object();
  if (!breaker.rule_file.empty()) {
    out["rule"]["file"] = breaker.rule_file;
    PutText(out["rule"], "name", breaker.rule_name);
  }
  PutText(out, "via", breaker.via);
  if (breaker.endpoints != 0) out["endpoints"] = breaker.endpoints;
  out["retries"] = breaker.retries;
  PutDuration(out, "open_for", breaker.open_for);
  if (breaker.opens_at_errors) out["opens_at"]["errors"] = PercentText(*breaker.opens_at_errors);
  if (breaker.opens_at_window != 0) out["opens_at"]["window"] = breaker.opens_at_window;
  if (breaker.half_open_calls != 0) out["half_open_calls"] = breaker.half_open_calls;
  if (!breaker.expect.empty()) out["expect"] = TextMap(breaker.expect);
  for (const BreakerMatch& match : breaker.match) {
    Json item = Json::object();
    if (match.status) item["status"] = *match.status;
    PutText(item, "header", match.header);
    PutText(item, "value", match.header_value);
    PutText(item, "contains", match.body_contains);
    PutText(item, "json", match.json_pointer);
    if (!match.equals_json.empty())
      item["equals"] = Json::parse(match.equals_json, nullptr, /*allow_exceptions=*/false);
    out["match"].push_back(std::move(item));
  }
  return out;
}

const char* EncodingText(Encoding encoding) {
  return encoding == Encoding::kBinary ? "binary" : "json";
}

/// Writes `input:` or `body:` of a target.
struct InputWriter {
  Json& out;
  const Target& target;

  void operator()(const NoInput&) const {
    if (!target.vegeta) out["input"] = "none";
  }
  void operator()(const TextInput& input) const { out["body"] = input.text; }
  void operator()(const AutoInput& input) const {
    Json parts = Json::object();
    parts["batch"] = input.batch;
    if (!input.shapes.empty()) parts["shapes"] = TextMap(input.shapes);
    parts["data"] = input.data == AutoInput::Data::kZero ? "zero" : "random";
    parts["string_length"] = input.string_length;
    out["input"] = {{"auto", std::move(parts)}};
    PutText(out["input"], "config", input.config);
    out["input"]["encoding"] = EncodingText(target.encoding);
  }
  void operator()(const FileInput& input) const {
    out["input"] = {{"file", input.file}, {"encoding", EncodingText(target.encoding)}};
  }
  void operator()(const PayloadInput& input) const { out["input"]["payload"] = input.file; }
  void operator()(const DirectoryInput& input) const {
    out["input"]["directory"] = input.directory;
    if (!input.files.empty()) out["input"]["files"] = input.files;
    out["input"]["encoding"] = EncodingText(target.encoding);
  }
  void operator()(const PromptsInput& input) const {
    out["input"]["prompts"] = {
        {"file", input.file}, {"format", input.format}, {"order", input.order}};
    if (!input.body_json.empty())
      out["input"]["body"] = Json::parse(input.body_json, nullptr, /*allow_exceptions=*/false);
  }
};

Json HeadersJson(const std::vector<Header>& headers) {
  Json out = Json::array();
  for (const Header& header : headers) out.push_back(header.name + ": " + header.value);
  return out;
}

Json TargetJson(const Target& target, Form form) {
  Json out = Json::object();
  if (form == Form::kCanonical) out["name"] = target.name;
  if (target.vegeta) {
    out["targets"] = target.vegeta->file;
    out["format"] = target.vegeta->format;
  } else {
    out["protocol"] = std::string(ProtocolName(target.protocol));
    out["url"] = target.url;
    out["method"] = target.method;
    PutText(out, "model", target.model);
    PutText(out, "model_version", target.model_version);
  }
  if (!target.headers.empty()) out["headers"] = HeadersJson(target.headers);
  if (target.tls) out["tls"] = TlsJson(*target.tls);
  std::visit(InputWriter{out, target}, target.input);
  out["weight"] = target.weight;
  if (target.good != Good{}) {
    PutDuration(out["good"], "latency", target.good.latency);
    PutDuration(out["good"], "ttft", target.good.ttft);
    PutDuration(out["good"], "tpot", target.good.tpot);
  }
  if (target.breaker) out["breaker"] = BreakerJson(*target.breaker);
  out["reuse"] = target.reuse;
  PutText(out, "connect_to", target.connect_to);
  return out;
}

std::string SpeedText(const ReplayLoad& load) {
  return std::to_string(load.speed_num) + "/" + std::to_string(load.speed_den);
}

/// Writes the key of a phase's kind.
struct LoadWriter {
  Json& out;
  const Phase& phase;

  void operator()(const ConstantLoad& load) const {
    out["rate"] = RateValueText(load.rate);
    Duration();
  }
  void operator()(const RatesLoad& load) const {
    for (const auto& [target, rate] : load.rates) out["rates"][target] = RateValueText(rate);
    Duration();
  }
  void operator()(const RampLoad& load) const {
    out["ramp"] = {{"from", RateText(load.from)}, {"to", RateText(load.to)}};
    Duration();
  }
  void operator()(const StepsLoad& load) const {
    out["steps"] = {{"from", RateText(load.from)},
                    {"to", RateText(load.to)},
                    {"by", RateText(load.by)},
                    {"each", DurationText(load.each)}};
  }
  void operator()(const SineLoad& load) const {
    out["sine"] = {{"mean", RateText(load.mean)},
                   {"amplitude", RateText(load.amplitude)},
                   {"period", DurationText(load.period)}};
    Duration();
  }
  void operator()(const ReplayLoad& load) const {
    out["replay"] = {{"file", load.file}, {"format", load.format}, {"speed", SpeedText(load)}};
    if (phase.duration > Nanos(0)) Duration();
  }
  void operator()(const ConcurrencyLoad& load) const {
    out["concurrency"] = load.slots;
    Duration();
  }
  void operator()(const SearchLoad& load) const {
    out["search"] = {{"from", RateText(load.from)},
                     {"to", RateText(load.to)},
                     {"until", RulesJson(load.until)},
                     {"settle", DurationText(load.settle)},
                     {"hold", DurationText(load.hold)},
                     {"confirm", load.confirm},
                     {"precision", PercentText(load.precision)},
                     {"max_steps", load.max_steps}};
  }
  void operator()(const IdleLoad& load) const {
    out["idle"] = load.automatic ? "auto" : DurationText(phase.duration);
  }

 private:
  void Duration() const { out["duration"] = DurationText(phase.duration); }
};

const char* ArrivalsText(ArrivalMode mode) {
  return mode == ArrivalMode::kPoisson ? "poisson" : "uniform";
}

Json PhaseJson(const Phase& phase) {
  Json out = {{"phase", phase.name}};
  std::visit(LoadWriter{out, phase}, phase.load);
  out["measure"] = phase.measure;
  if (!phase.targets.empty()) out["targets"] = phase.targets;
  for (const auto& [target, share] : phase.mix) out["mix"][target] = PercentText(share);
  if (phase.arrivals) out["arrivals"] = ArrivalsText(*phase.arrivals);
  if (phase.each_target) out["each"] = "targets";
  return out;
}

Json LimitsJson(const Limits& limits) {
  Json out = Json::object();
  out["timeout"]["total"] = DurationText(limits.timeout.total);
  PutDuration(out["timeout"], "first_token", limits.timeout.first_token);
  PutDuration(out["timeout"], "idle", limits.timeout.idle);
  out["in_flight"] = LimitText(limits.in_flight);
  out["connections"] = LimitText(limits.connections);
  return out;
}

Json AgentsJson(const Agents& agents) {
  constexpr const char* kLoss[] = {"replace", "continue", "fail"};
  constexpr const char* kJoin[] = {"default", "share", "standby"};
  Json out = {{"min", agents.min}};
  if (agents.max == 0) {
    out["max"] = "all";
  } else {
    out["max"] = agents.max;
  }
  if (!agents.select.empty()) out["select"] = TextMap(agents.select);
  out["wait"] = DurationText(agents.wait);
  out["on_loss"] = kLoss[static_cast<int>(agents.on_loss)];
  out["on_join"] = kJoin[static_cast<int>(agents.on_join)];
  return out;
}

Json ObserveJson(const std::vector<Observer>& observers) {
  Json out = Json::array();
  for (const Observer& observer : observers) {
    Json item = Json::object();
    PutText(item, "scrape", observer.scrape);
    PutText(item, "prometheus", observer.prometheus);
    PutText(item, "query", observer.query);
    PutText(item, "as", observer.as);
    PutText(item, "accept", observer.accept);
    item["from"] = observer.from_agents ? "agents" : "controller";
    out.push_back(std::move(item));
  }
  return out;
}

std::string RecordText(const Record& record) {
  switch (record.kind) {
    case Record::Kind::kNone:
      return "none";
    case Record::Kind::kAll:
      return "all";
    case Record::Kind::kShare:
      return PercentText(record.share);
    case Record::Kind::kSlowest:
      return "slowest " + PercentText(record.share);
  }
  return "none";
}

Json PlanJson(const Plan& plan, Form form) {
  Json out = {{"name", plan.name}};
  for (const Target& target : plan.targets) {
    if (form == Form::kCanonical) {
      out["targets"].push_back(TargetJson(target, form));
    } else {
      out["targets"][target.name] = TargetJson(target, form);
    }
  }
  out["arrivals"] = ArrivalsText(plan.arrivals);
  if (plan.seed) out["seed"] = *plan.seed;
  for (const Phase& phase : plan.phases) out["load"].push_back(PhaseJson(phase));
  out["limits"] = LimitsJson(plan.limits);
  out["backlog"] = plan.backlog == Backlog::kSkip ? "skip" : "send-late";
  out["slo"] = RulesJson(plan.slo);
  out["guards"] = RulesJson(plan.guards);
  if (!plan.observe.empty()) out["observe"] = ObserveJson(plan.observe);
  out["agents"] = AgentsJson(plan.agents);
  out["record"]["requests"] = RecordText(plan.record);
  if (!plan.tags.empty()) out["tags"] = TextMap(plan.tags);
  if (!plan.validity.empty()) out["validity"] = TextMap(plan.validity);
  out["keep"] = plan.keep_raw ? "raw" : "thin";
  out["stamp"] = plan.stamp;
  out["interval"] = DurationText(plan.interval);
  if (!plan.files.empty()) out["files"] = TextMap(plan.files);
  return out;
}

std::string DumpJson(const nlohmann::json& json) {
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

/// A scalar in YAML: bare where no reader could take it for something else. `flow`: inside
/// brackets, where fewer characters are safe.
std::string YamlScalar(const Json& value, bool flow) {
  if (!value.is_string()) return value.dump();
  const std::string& text = value.get_ref<const std::string&>();
  const std::string_view extra = flow ? "_-./" : "_-./% <=+";
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  const bool plain = !text.empty() && text.size() < 200 && (letter(text[0]) || digit(text[0])) &&
                     text.back() != ' ' && std::all_of(text.begin(), text.end(), [&](char c) {
                       return letter(c) || digit(c) || extra.find(c) != std::string_view::npos;
                     });
  std::string lower = text;
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  bool special = false;
  for (const char* word : {"true", "false", "null", "on", "off", "yes", "no", "y", "n"})
    special |= lower == word;
  // Nothing that a YAML of another age could take for a number or a date.
  const bool number = text.find_first_not_of("0123456789.-_eExXoabcdfABCDF") == std::string::npos &&
                      !text.empty() && digit(text[0]);
  return plain && !special && !number ? text : DumpJson(nlohmann::json(value));
}

std::string YamlFlow(const Json& value) {
  if (!value.is_structured()) return YamlScalar(value, /*flow=*/true);
  std::string out = value.is_array() ? "[" : "{";
  bool first = true;
  for (const auto& [key, item] : value.items()) {
    if (!first) out += ", ";
    first = false;
    if (value.is_object()) out += YamlScalar(Json(key), /*flow=*/true) + ": ";
    out += YamlFlow(item);
  }
  return out + (value.is_array() ? "]" : "}");
}

bool Small(const Json& value) {
  if (!value.is_structured() || value.empty()) return true;
  for (const auto& item : value)
    if (item.is_structured() && !item.empty()) return false;
  return YamlFlow(value).size() <= 80;
}

void WriteYaml(const Json& value, const std::string& indent, std::string& out) {
  bool first = true;
  for (const auto& [key, item] : value.items()) {
    // The first key of a list's item stands beside its dash.
    out += first ? "" : indent;
    first = false;
    out += value.is_array() ? "- " : YamlScalar(Json(key), /*flow=*/false) + ":";
    if (Small(item)) {
      const std::string text =
          item.is_structured() ? YamlFlow(item) : YamlScalar(item, /*flow=*/false);
      out += (value.is_array() ? "" : " ") + text + "\n";
    } else if (value.is_array()) {
      WriteYaml(item, indent + "  ", out);
    } else {
      out += "\n" + indent + "  ";
      WriteYaml(item, indent + "  ", out);
    }
  }
}

}  // namespace

std::string CanonicalJson(const Plan& plan) {
  return DumpJson(nlohmann::json(PlanJson(plan, Form::kCanonical)));
}

std::string ResolvedYaml(const Plan& plan) {
  std::string out;
  WriteYaml(PlanJson(plan, Form::kPeople), "", out);
  return out;
}

}  // namespace broadside::plan
