#include "common/report/json.h"

#include <algorithm>
#include <type_traits>

#include "common/time/clock.h"

/// Every struct lists its keys once, in Fields(); a Writer and a Reader walk the same list, so the
/// two directions cannot drift apart.
namespace broadside::report {
namespace {

using nlohmann::json;

constexpr const char* kSchema = "broadside.report/v1";

template <typename T>
json ToJson(const T& value);
template <typename T>
void FromJson(const json& from, T& value);

class Writer {
 public:
  explicit Writer(json& to) : to_(to) {}
  template <typename T>
  void operator()(const char* key, const T& value) {
    to_[key] = ToJson(value);
  }
  template <typename Body>
  void Group(const char* key, Body body) {
    to_[key] = json::object();
    Writer inner(to_[key]);
    body(inner);
  }

 private:
  json& to_;
};

class Reader {
 public:
  explicit Reader(const json& from) : from_(from) {
    // Throws a type error that names what was found.
    static_cast<void>(from.get_ref<const json::object_t&>());
  }
  template <typename T>
  void operator()(const char* key, T& value) {
    const auto found = from_.find(key);
    if (found != from_.end() && !found->is_null()) FromJson(*found, value);
  }
  template <typename Body>
  void Group(const char* key, Body body) {
    const auto found = from_.find(key);
    if (found == from_.end()) return;
    Reader inner(*found);
    body(inner);
  }

 private:
  const json& from_;
};

template <typename T, typename Wanted>
concept Is = std::is_same_v<std::remove_const_t<T>, Wanted>;

/// Percentiles whose rank falls among the unanswered travel as a list of their names.
using Flag = bool Summary::*;
constexpr std::pair<const char*, Flag> kBeyond[] = {{"p50", &Summary::p50_censored},
                                                    {"p90", &Summary::p90_censored},
                                                    {"p95", &Summary::p95_censored},
                                                    {"p99", &Summary::p99_censored},
                                                    {"p999", &Summary::p999_censored}};

template <typename A, Is<Summary> S>
void Fields(A& a, S& s) {
  a("n", s.n);
  a("censored", s.censored);
  a("min", s.min);
  a("mean", s.mean);
  a("p50", s.p50);
  a("p90", s.p90);
  a("p95", s.p95);
  a("p99", s.p99);
  a("p999", s.p999);
  a("max", s.max);
  a("p99_low", s.p99_low);
  a("p99_high", s.p99_high);
  std::vector<std::string> beyond;
  for (const auto& [name, flag] : kBeyond) {
    if (s.*flag) beyond.emplace_back(name);
  }
  a("beyond_timeout", beyond);
  if constexpr (!std::is_const_v<S>) {
    for (const auto& [name, flag] : kBeyond) {
      s.*flag = std::find(beyond.begin(), beyond.end(), name) != beyond.end();
    }
  }
}

template <typename A, Is<LedgerTotals> S>
void Fields(A& a, S& s) {
  a("scheduled", s.scheduled);
  a("sent", s.sent);
  a("dropped", s.dropped);
  a("expired", s.expired);
  a("unowned", s.unowned);
  a("unreported", s.unreported);
  a("ok", s.ok);
  a("rejected", s.rejected);
  a("failed", s.failed);
  a("in_flight", s.in_flight);
  a("after_stop", s.after_stop);
  a("unsent_failures", s.unsent_failures);
  a("mismatch", s.mismatch);
}

template <typename A, Is<Bar> S>
void Fields(A& a, S& s) {
  a("low", s.low);
  a("high", s.high);
  a("count", s.count);
}

template <typename A, Is<Section> S>
void Fields(A& a, S& s) {
  a("name", s.name);
  a("asked", s.asked);
  a("outcomes", s.outcomes);
  a.Group("rate", [&s](auto& g) {
    g("offered", s.offered);
    g("achieved", s.achieved);
    g("ok", s.ok_rate);
    g("inferences", s.inference_rate);
    g("asked_mean", s.asked_mean);
  });
  a("latency_ns", s.latency);
  a("service_ns", s.service);
  a("wait_ns", s.wait);
  a("lag_ns", s.lag);
  a("first_byte_ns", s.first_byte);
  a("by_outcome", s.by_outcome);
  a("ledger", s.ledger);
  a.Group("bytes", [&s](auto& g) {
    g("out", s.bytes_out);
    g("in", s.bytes_in);
  });
  a("inferences", s.inferences);
  a.Group("in_flight", [&s](auto& g) {
    g("max", s.in_flight_max);
    g("mean", s.in_flight_mean);
    g("little", s.little);
  });
  a("bars", s.bars);
  a("limited", s.limited);
  a("measured", s.measured);
  a("start_ns", s.start_ns);
  a("length_ns", s.length_ns);
}

template <typename A, Is<IntervalRow> S>
void Fields(A& a, S& s) {
  a("k", s.k);
  a("start_ns", s.start_ns);
  a("phase", s.phase);
  a("offered", s.offered);
  a("scheduled", s.scheduled);
  a("sent", s.sent);
  a("ok", s.ok);
  a("rejected", s.rejected);
  a("failed", s.failed);
  a("in_flight", s.in_flight);
  a("p50", s.p50);
  a("p99", s.p99);
  a("lag_p99", s.lag_p99);
  a("agents", s.agents);
  a("complete", s.complete);
}

template <typename A, Is<AgentRow> S>
void Fields(A& a, S& s) {
  a("id", s.id);
  a("incarnation", s.incarnation);
  a("sent", s.sent);
  a("p50", s.p50);
  a("p99", s.p99);
  a("lag_p50", s.lag_p50);
  a("lag_p99", s.lag_p99);
  a("slow_share", s.slow_share);
  a("clock_bound_ns", s.clock_bound_ns);
  a("start_skew_ns", s.start_skew_ns);
  a("busiest_loop", s.busiest_loop);
  a("cpu_ns", s.cpu_ns);
  a("throttled_ns", s.throttled_ns);
  a("loops", s.loops);
  a("state", s.state);
  std::map<std::string, std::string> labels(s.labels.begin(), s.labels.end());
  a("labels", labels);
  if constexpr (!std::is_const_v<S>) s.labels.assign(labels.begin(), labels.end());
}

template <typename A, Is<RuleResult> S>
void Fields(A& a, S& s) {
  a("rule", s.rule);
  a("verdict", s.verdict);
  a("measured", s.measured);
  a("reason", s.reason);
}

template <typename A, Is<Missing> S>
void Fields(A& a, S& s) {
  a("from_k", s.from_k);
  a("to_k", s.to_k);
  a("agent", s.agent);
  a("why", s.why);
}

template <typename A, Is<Coverage> S>
void Fields(A& a, S& s) {
  a("intervals", s.intervals);
  a("complete", s.complete);
  a("missing", s.missing);
}

template <typename A, Is<Report> S>
void Fields(A& a, S& s) {
  a.Group("run", [&s](auto& g) {
    g("id", s.run_id);
    g("name", s.name);
    g("state", s.state);
    g("state_reason", s.state_reason);
    g("started", s.started_wall_ns);
    g("ended", s.ended_wall_ns);
    g("seed", s.seed);
    g("plan_sha256", s.plan_sha256);
    g("versions", s.versions);
    g("tags", s.tags);
    g("timeout_ns", s.timeout_ns);
    g("closed_loop", s.closed_loop);
  });
  a.Group("verdicts", [&s](auto& g) {
    g.Group("validity", [&s](auto& v) {
      v("verdict", s.validity.verdict);
      v("reasons", s.validity.reasons);
      v("notes", s.validity.notes);
    });
    g.Group("slo", [&s](auto& v) {
      v("verdict", s.slo);
      v("results", s.slo_results);
    });
    g.Group("breaker", [&s](auto& v) {
      v("verdict", s.breaker);
      v("results", s.breaker_results);
    });
  });
  a("ledger", s.ledger);
  a("coverage", s.coverage);
  a("total", s.total);
  a("phases", s.phases);
  a("intervals", s.intervals);
  a("agents", s.agents);
  a("warnings", s.warnings);
  a("plan_yaml", s.plan_yaml);
}

template <typename T>
struct IsOptional : std::false_type {};
template <typename T>
struct IsOptional<std::optional<T>> : std::true_type {};
template <typename T>
struct IsVector : std::false_type {};
template <typename T>
struct IsVector<std::vector<T>> : std::true_type {};
template <typename T>
struct IsMap : std::false_type {};
template <typename T>
struct IsMap<std::map<std::string, T>> : std::true_type {};
template <typename T>
constexpr bool kPlain = std::is_arithmetic_v<T> || std::is_same_v<T, std::string>;

template <typename T>
json ToJson(const T& value) {
  if constexpr (kPlain<T>) {
    return value;
  } else if constexpr (IsOptional<T>::value) {
    return value ? ToJson(*value) : json();
  } else if constexpr (IsVector<T>::value) {
    json out = json::array();
    for (const auto& item : value) out.push_back(ToJson(item));
    return out;
  } else if constexpr (std::is_same_v<T, std::map<std::string, Summary>>) {
    json out = json::object();
    for (const auto& [key, item] : value) out[key] = {{"latency_ns", ToJson(item)}};
    return out;
  } else if constexpr (IsMap<T>::value) {
    json out = json::object();
    for (const auto& [key, item] : value) out[key] = ToJson(item);
    return out;
  } else {
    json out = json::object();
    Writer writer(out);
    Fields(writer, value);
    if constexpr (std::is_same_v<T, Section>) {
      if (!value.targets.empty()) out["targets"] = ToJson(value.targets);
    }
    return out;
  }
}

template <typename T>
void FromJson(const json& from, T& value) {
  if constexpr (kPlain<T>) {
    from.get_to(value);
  } else if constexpr (IsOptional<T>::value) {
    typename T::value_type inner{};
    FromJson(from, inner);
    value = std::move(inner);
  } else if constexpr (IsVector<T>::value) {
    for (const json& item : from) FromJson(item, value.emplace_back());
  } else if constexpr (std::is_same_v<T, std::map<std::string, Summary>>) {
    for (const auto& [key, item] : from.items()) FromJson(item.at("latency_ns"), value[key]);
  } else if constexpr (IsMap<T>::value) {
    for (const auto& [key, item] : from.items()) FromJson(item, value[key]);
  } else {
    Reader reader(from);
    Fields(reader, value);
    if constexpr (std::is_same_v<T, Section>) reader("targets", value.targets);
  }
}

}  // namespace

json ReportJson(const Report& report) {
  json out = ToJson(report);
  out["schema"] = kSchema;
  out["run"]["started_utc"] = FormatUtc(report.started_wall_ns);
  out["run"]["ended_utc"] = FormatUtc(report.ended_wall_ns);
  // An object by name is what scripts ask for; `order` keeps the plan's order for people.
  json& targets = out["targets"] = json::object();
  for (size_t i = 0; i < report.targets.size(); ++i) {
    json target = ToJson(report.targets[i]);
    target["order"] = i;
    targets[report.targets[i].name] = std::move(target);
  }
  out["trips"] = json::array();
  out["searches"] = json::object();
  return out;
}

std::string ReportJsonText(const Report& report) {
  return ReportJson(report).dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

StatusOr<Report> ReportFromJson(std::string_view text) {
  try {
    const json from = json::parse(text);
    if (!from.is_object() || !from.contains("schema")) {
      return InvalidArgument("report: no \"schema\" key; a report starts with {\"schema\": \"" +
                             std::string(kSchema) + "\"}");
    }
    if (from.at("schema") != kSchema) {
      return InvalidArgument("report: schema " + from.at("schema").dump() +
                             "; this version reads \"" + kSchema + "\"");
    }
    Report report;
    FromJson(from, report);
    std::map<uint64_t, Section> ordered;
    const json targets = from.value("targets", json::object());
    for (const auto& [name, item] : targets.items()) {
      Section& section = ordered[item.value("order", ordered.size())];
      FromJson(item, section);
      section.name = name;
    }
    for (auto& [order, section] : ordered) report.targets.push_back(std::move(section));
    return report;
  } catch (const json::exception& error) {
    return InvalidArgument(std::string("report: not a report of this version: ") + error.what());
  }
}

}  // namespace broadside::report
