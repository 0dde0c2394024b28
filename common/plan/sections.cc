// limits, agents, observe, record, rules and breaker: the sections that stand alone.
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "common/plan/reader.h"
#include "common/plan/values.h"

namespace broadside::plan {
namespace {

using std::chrono::hours;

constexpr Nanos kOne{1};

/// "512", "512/agent", "4096 total".
StatusOr<Limit> ReadLimit(const Context& context, std::string_view key, const yaml::Node& node) {
  const auto error = [&] {
    return context.Error(node.mark,
                         absl::StrFormat("%s: %s is not a limit. Write 512, 512/agent or "
                                         "\"4096 total\", from 1 to 1000000.",
                                         std::string(key), Describe(node)));
  };
  if (node.kind != yaml::Node::Kind::kScalar) return error();
  std::string_view rest = node.text;
  const auto number = TakeDecimal(rest);
  rest = Trim(rest);
  if (!number || number->decimals != 0 || number->digits < 1 || number->digits > 1'000'000)
    return error();
  const bool total = rest == "total";
  if (!rest.empty() && !total && rest != "/agent" && rest != "/ agent") return error();
  return Limit{static_cast<uint32_t>(number->digits), total};
}

}  // namespace

Status ReadLimits(Context& context, const yaml::Node& node, Limits& limits) {
  BROADSIDE_ASSIGN_OR_RETURN(const MapReader map,
                             MapReader::Open(context, "limits", node, kLimitsSection));
  constexpr Nanos kLeast = std::chrono::milliseconds(1);
  if (const yaml::Node* timeout = map.Get("timeout")) {
    if (timeout->kind == yaml::Node::Kind::kMap) {
      BROADSIDE_ASSIGN_OR_RETURN(const MapReader parts,
                                 MapReader::Open(context, "timeout", *timeout, kTimeoutSection));
      BROADSIDE_RETURN_IF_ERROR(parts.Duration("total", kLeast, hours(1), limits.timeout.total));
      BROADSIDE_RETURN_IF_ERROR(
          parts.Duration("first_token", kLeast, hours(1), limits.timeout.first_token));
      BROADSIDE_RETURN_IF_ERROR(parts.Duration("idle", kLeast, hours(1), limits.timeout.idle));
      for (const std::string_view key : {"first_token", "idle"})
        if (parts.Has(key)) context.Uses("timeout." + std::string(key), parts.KeyMark(key));
      for (const auto& [key, part] : {std::pair("first_token", limits.timeout.first_token),
                                      std::pair("idle", limits.timeout.idle)})
        if (part && *part > limits.timeout.total)
          return context.Error(
              parts.KeyMark(key),
              absl::StrFormat("%s: %s is longer than total (%s).", key, DurationText(*part),
                              DurationText(limits.timeout.total)));
    } else {
      BROADSIDE_RETURN_IF_ERROR(map.Duration("timeout", kLeast, hours(1), limits.timeout.total));
    }
  }
  for (const auto& [key, limit] :
       {std::pair("in_flight", &limits.in_flight), std::pair("connections", &limits.connections)}) {
    if (const yaml::Node* value = map.Get(key)) {
      BROADSIDE_ASSIGN_OR_RETURN(*limit, ReadLimit(context, key, *value));
    }
  }
  return {};
}

Status ReadAgents(Context& context, const yaml::Node& node, Agents& agents) {
  BROADSIDE_ASSIGN_OR_RETURN(const MapReader map,
                             MapReader::Open(context, "agents", node, kAgentsSection));
  BROADSIDE_RETURN_IF_ERROR(map.Integer("min", {1, 10'000}, agents.min));
  if (const yaml::Node* most = map.Get("max"); most != nullptr && most->text != "all")
    BROADSIDE_RETURN_IF_ERROR(map.Integer("max", {1, 10'000}, agents.max));
  if (agents.max != 0 && agents.max < agents.min)
    return context.Error(map.KeyMark("max"),
                         absl::StrFormat("max: %d is less than min (%d).", agents.max, agents.min));
  BROADSIDE_RETURN_IF_ERROR(map.Strings("select", agents.select));
  BROADSIDE_RETURN_IF_ERROR(map.Duration("wait", Nanos(0), hours(24), agents.wait));
  BROADSIDE_RETURN_IF_ERROR(map.Word<OnLoss>(
      "on_loss",
      {{"replace", OnLoss::kReplace}, {"continue", OnLoss::kContinue}, {"fail", OnLoss::kFail}},
      agents.on_loss));
  return map.Word<OnJoin>(
      "on_join",
      {{"default", OnJoin::kDefault}, {"share", OnJoin::kShare}, {"standby", OnJoin::kStandby}},
      agents.on_join);
}

StatusOr<std::vector<Observer>> ReadObservers(Context& context, const yaml::Node& node) {
  BROADSIDE_RETURN_IF_ERROR(ExpectList(context, "observe", node));
  std::vector<Observer> out;
  for (const yaml::Node& item : node.items) {
    BROADSIDE_ASSIGN_OR_RETURN(const MapReader map,
                               MapReader::Open(context, "observe", item, kObserverSection));
    Observer observer;
    BROADSIDE_RETURN_IF_ERROR(map.String("scrape", observer.scrape));
    BROADSIDE_RETURN_IF_ERROR(map.String("prometheus", observer.prometheus));
    BROADSIDE_RETURN_IF_ERROR(map.String("query", observer.query));
    BROADSIDE_RETURN_IF_ERROR(map.String("as", observer.as));
    BROADSIDE_RETURN_IF_ERROR(map.String("accept", observer.accept));
    BROADSIDE_RETURN_IF_ERROR(
        map.Word<bool>("from", {{"controller", false}, {"agents", true}}, observer.from_agents));
    if (map.Has("scrape") == map.Has("prometheus"))
      return context.Error(map.mark(), "observe: write exactly one of scrape and prometheus.");
    if (map.Has("prometheus") != map.Has("query"))
      return context.Error(map.mark(), "observe: prometheus and query belong together.");
    if (map.Has("accept") && observer.accept != "guide-names")
      return context.Error(map.Get("accept")->mark, "accept: " + Quoted(observer.accept) +
                                                        " is unknown; allowed is guide-names.");
    const std::string_view key = map.Has("scrape") ? "scrape" : "prometheus";
    const auto url = ParseUrl(map.Has("scrape") ? observer.scrape : observer.prometheus);
    if (!url.ok()) return context.At(map.Get(key)->mark, key, url.status());
    out.push_back(std::move(observer));
  }
  return out;
}

Status ReadRecord(Context& context, const yaml::Node& node, Record& record) {
  BROADSIDE_ASSIGN_OR_RETURN(const MapReader map,
                             MapReader::Open(context, "record", node, kRecordSection));
  BROADSIDE_RETURN_IF_ERROR(map.Require("requests"));
  std::string text;
  BROADSIDE_RETURN_IF_ERROR(map.String("requests", text));
  if (text == "none") return {};
  if (text == "all") {
    record = {Record::Kind::kAll, 0};
    return {};
  }
  std::string_view share = text;
  const bool slowest = share.starts_with("slowest ");
  if (slowest) share = Trim(share.substr(8));
  const auto ppm = ParsePercent(share);
  if (!ppm.ok() || *ppm == 0 || *ppm > 1'000'000)
    return context.Error(
        map.Get("requests")->mark,
        "requests: " + Quoted(text) + " is unknown; allowed are all, none, 1% or slowest 1%.");
  record = {slowest ? Record::Kind::kSlowest : Record::Kind::kShare, *ppm};
  return {};
}

StatusOr<std::vector<Rule>> ReadRules(Context& context, std::string_view key,
                                      const yaml::Node& node) {
  std::vector<Rule> rules;
  const auto read = [&](const yaml::Node& item) -> Status {
    BROADSIDE_ASSIGN_OR_RETURN(const std::string text, ReadString(context, key, item));
    auto rule = ParseRule(text);
    if (!rule.ok()) return context.At(item.mark, key, rule.status());
    if (key == "slo" && rule->metric.kind == Metric::Kind::kFirstRejection)
      return context.Error(item.mark,
                           "slo: \"first rejection\" only stops; write reject_rate <= 0%.");
    rule->where = context.WhereOf(item.mark);
    const Metric& metric = rule->metric;
    if (metric.kind == Metric::Kind::kGoodShare || metric.kind == Metric::Kind::kGoodRate)
      context.Uses(metric.kind == Metric::Kind::kGoodShare ? "good_share" : "good_rate", item.mark);
    if (metric.measure == "ttft" || metric.measure == "itl" || metric.measure == "tpot")
      context.Uses(metric.measure, item.mark);
    rules.push_back(*std::move(rule));
    return {};
  };
  if (node.kind == yaml::Node::Kind::kScalar) {
    BROADSIDE_RETURN_IF_ERROR(read(node));
    return rules;
  }
  BROADSIDE_RETURN_IF_ERROR(ExpectList(context, key, node));
  for (const yaml::Node& item : node.items) BROADSIDE_RETURN_IF_ERROR(read(item));
  return rules;
}

namespace {

/// A scalar as JSON text: numbers and booleans as such unless quoted, everything else a string.
StatusOr<std::string> ReadJsonScalar(const Context& context, std::string_view key,
                                     const yaml::Node& node) {
  BROADSIDE_ASSIGN_OR_RETURN(const std::string text, ReadString(context, key, node));
  if (!node.quoted) {
    const auto value = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (value.is_number() || value.is_boolean()) return value.dump();
  }
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

Status ReadMatch(const Context& context, const yaml::Node& node, std::vector<BreakerMatch>& out) {
  BROADSIDE_ASSIGN_OR_RETURN(const MapReader map,
                             MapReader::Open(context, "match", node, kMatchSection));
  BreakerMatch match;
  if (map.Has("status")) {
    int status = 0;
    BROADSIDE_RETURN_IF_ERROR(map.Integer("status", {100, 599}, status));
    match.status = status;
  }
  BROADSIDE_RETURN_IF_ERROR(map.String("header", match.header));
  BROADSIDE_RETURN_IF_ERROR(map.String("value", match.header_value));
  BROADSIDE_RETURN_IF_ERROR(map.String("contains", match.body_contains));
  BROADSIDE_RETURN_IF_ERROR(map.String("json", match.json_pointer));
  if (const yaml::Node* equals = map.Get("equals")) {
    BROADSIDE_ASSIGN_OR_RETURN(match.equals_json, ReadJsonScalar(context, "equals", *equals));
  }
  if (node.entries.empty())
    return context.Error(map.mark(),
                         "match: needs at least one of status, header, contains, json.");
  if (map.Has("value") && !map.Has("header"))
    return context.Error(map.KeyMark("value"), "value: belongs to header.");
  if (map.Has("equals") && !map.Has("json"))
    return context.Error(map.KeyMark("equals"), "equals: belongs to json.");
  if (map.Has("json") && !match.json_pointer.starts_with("/"))
    return context.Error(map.Get("json")->mark,
                         "json: " + Quoted(match.json_pointer) +
                             " is not a JSON pointer. Write /field or /list/0/field.");
  out.push_back(std::move(match));
  return {};
}

}  // namespace

StatusOr<std::optional<BreakerSpec>> ReadBreaker(Context& context, const yaml::Node& node) {
  if (node.kind == yaml::Node::Kind::kScalar) {
    BROADSIDE_ASSIGN_OR_RETURN(const bool wanted, ReadBool(context, "breaker", node));
    if (!wanted) return std::optional<BreakerSpec>();
  }
  BROADSIDE_ASSIGN_OR_RETURN(const MapReader map,
                             MapReader::Open(context, "breaker", node, kBreakerSection));
  BreakerSpec breaker;
  if (const yaml::Node* rule = map.Get("rule")) {
    BROADSIDE_ASSIGN_OR_RETURN(const MapReader parts,
                               MapReader::Open(context, "rule", *rule, kBreakerRuleSection));
    BROADSIDE_RETURN_IF_ERROR(parts.Require("file"));
    BROADSIDE_RETURN_IF_ERROR(parts.String("file", breaker.rule_file));
    BROADSIDE_RETURN_IF_ERROR(parts.String("name", breaker.rule_name));
  }
  if (const yaml::Node* via = map.Get("via")) {
    BROADSIDE_ASSIGN_OR_RETURN(
        breaker.via, ReadWord(context, "via", *via, {"sidecar", "gateway", "server", "auto"}));
  }
  BROADSIDE_RETURN_IF_ERROR(map.Integer("endpoints", {1, 100'000}, breaker.endpoints));
  BROADSIDE_RETURN_IF_ERROR(map.Bool("retries", breaker.retries));
  BROADSIDE_RETURN_IF_ERROR(map.Duration("open_for", kOne, hours(24), breaker.open_for));
  if (const yaml::Node* opens = map.Get("opens_at")) {
    BROADSIDE_ASSIGN_OR_RETURN(const MapReader parts,
                               MapReader::Open(context, "opens_at", *opens, kOpensAtSection));
    if (parts.Has("errors")) {
      Ppm errors = 0;
      BROADSIDE_RETURN_IF_ERROR(parts.Percent("errors", 1'000'000, errors));
      breaker.opens_at_errors = errors;
    }
    BROADSIDE_RETURN_IF_ERROR(parts.Integer("window", {1, 1'000'000}, breaker.opens_at_window));
  }
  BROADSIDE_RETURN_IF_ERROR(
      map.Integer("half_open_calls", {1, 1'000'000}, breaker.half_open_calls));
  if (const yaml::Node* match = map.Get("match")) {
    if (match->kind == yaml::Node::Kind::kMap) {
      BROADSIDE_RETURN_IF_ERROR(ReadMatch(context, *match, breaker.match));
    } else {
      BROADSIDE_RETURN_IF_ERROR(ExpectList(context, "match", *match));
      for (const yaml::Node& item : match->items)
        BROADSIDE_RETURN_IF_ERROR(ReadMatch(context, item, breaker.match));
    }
  }
  BROADSIDE_RETURN_IF_ERROR(map.Strings("expect", breaker.expect));
  for (auto& [name, value] : breaker.expect)
    if (value == "false" || value == "no") value = "off";
  return std::optional<BreakerSpec>(std::move(breaker));
}

}  // namespace broadside::plan
