#include <gmock/gmock.h>

#include "tests/common/plan/plan_test.h"

namespace broadside::plan {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

TEST(ParsePlan, SmallPlanHasEveryDefault) {
  const Plan plan = MustParse(kSmall, {.file_name = "dir/soak.yaml"});
  EXPECT_EQ(plan.name, "soak");
  ASSERT_EQ(plan.targets.size(), 1u);
  const Target& web = plan.targets[0];
  EXPECT_EQ(web.name, "web");
  EXPECT_EQ(web.protocol, Protocol::kHttp);
  EXPECT_EQ(web.method, "GET");
  EXPECT_EQ(web.endpoint->host, "127.0.0.1");
  EXPECT_EQ(web.endpoint->port, 8080);
  EXPECT_EQ(web.where.line, 2);
  EXPECT_EQ(web.where.column, 3);
  EXPECT_TRUE(web.reuse);
  EXPECT_EQ(web.weight, 1u);
  ASSERT_EQ(plan.phases.size(), 1u);
  EXPECT_EQ(plan.phases[0].name, "a");
  EXPECT_EQ(plan.phases[0].duration, seconds(10));
  EXPECT_TRUE(plan.phases[0].measure);
  EXPECT_EQ(std::get<ConstantLoad>(plan.phases[0].load).rate, RateValue(MicroRate{100'000'000}));
  EXPECT_EQ(plan.limits.timeout.total, seconds(10));
  EXPECT_EQ(plan.limits.in_flight, (Limit{1024, false}));
  EXPECT_EQ(plan.limits.connections, (Limit{256, false}));
  EXPECT_EQ(plan.interval, seconds(1));
  EXPECT_FALSE(plan.seed.has_value());
}

TEST(ParsePlan, EveryBuiltPhaseKind) {
  const Plan plan = MustParse(R"(
targets: {web: {url: "http://h:1/"}, other: {url: "http://h:2/"}}
load:
  - {phase: a, rate: 6000/min, duration: 1m}
  - {phase: b, ramp: {from: 50/s, to: 1000/s}, duration: 60s, measure: false}
  - {phase: c, steps: {from: 500/s, to: 100/s, by: 100/s, each: 30s}, targets: [web]}
  - {phase: d, sine: {mean: 500/s, amplitude: 200/s, period: 60s}, duration: 10m}
  - {phase: e, replay: {file: arrivals.csv, speed: 0.4}}
  - {phase: f, idle: 30s}
  - {phase: g, rates: {web: 300/s, other: 0.5/s}, duration: 1s}
  - {phase: h, rate: 10/s, duration: 1s, mix: {web: 99.9%, other: 0.1%}, arrivals: poisson}
)");
  ASSERT_EQ(plan.phases.size(), 8u);
  EXPECT_EQ(std::get<ConstantLoad>(plan.phases[0].load).rate, RateValue(MicroRate{100'000'000}));
  EXPECT_EQ(std::get<RampLoad>(plan.phases[1].load).to, 1'000'000'000);
  EXPECT_FALSE(plan.phases[1].measure);
  EXPECT_EQ(plan.phases[2].duration, seconds(150));
  EXPECT_THAT(plan.phases[2].targets, testing::ElementsAre("web"));
  EXPECT_EQ(std::get<SineLoad>(plan.phases[3].load).period, minutes(1));
  const auto& replay = std::get<ReplayLoad>(plan.phases[4].load);
  EXPECT_EQ(replay.format, "csv");
  EXPECT_EQ(replay.speed_num, 2);
  EXPECT_EQ(replay.speed_den, 5);
  EXPECT_EQ(plan.phases[5].duration, seconds(30));
  EXPECT_FALSE(plan.phases[5].measure);
  EXPECT_EQ(std::get<RatesLoad>(plan.phases[6].load).rates.at("other"),
            RateValue(MicroRate{500'000}));
  EXPECT_EQ(plan.phases[7].mix.at("other"), 1'000);
  EXPECT_EQ(plan.phases[7].arrivals, ArrivalMode::kPoisson);
}

TEST(ParsePlan, DefaultsAreMergedUnderTargets) {
  const Plan plan = MustParse(R"(
defaults: {protocol: kserve-http, url: "http://t:8000", headers: {a: "1", b: "2"}, weight: 3}
targets:
  one: {model: m}
  two: {model: n, headers: {b: "3"}, weight: 1}
  file: {targets: targets.txt}
  plain: {protocol: http, url: "http://t/x", body: "{}"}
load: [{phase: a, rate: 1/s, duration: 1s}]
)");
  ASSERT_EQ(plan.targets.size(), 4u);
  EXPECT_EQ(plan.targets[0].url, "http://t:8000");
  EXPECT_TRUE(std::holds_alternative<AutoInput>(plan.targets[0].input));
  EXPECT_EQ(plan.targets[0].weight, 3u);
  EXPECT_THAT(plan.targets[1].headers,
              testing::UnorderedElementsAre(Header{"b", "3"}, Header{"a", "1"}));
  EXPECT_EQ(plan.targets[2].vegeta->format, "http");
  EXPECT_EQ(plan.targets[2].url, "");
  EXPECT_EQ(plan.targets[2].headers.size(), 2u);
  EXPECT_EQ(plan.targets[3].method, "POST");
}

TEST(ParsePlan, KserveInputs) {
  const Plan plan = MustParse(R"(
defaults: {protocol: kserve-http, url: "http://t:8000", model: m}
targets:
  a: {input: auto}
  b: {input: {auto: {batch: 8, shapes: {input: [3, 224, 224]}, data: zero, string_length: 7}, encoding: binary}}
  c: {input: {file: bert.json}}
  d: {input: {payload: body.bin}}
  e: {input: {config: config.pbtxt}}
  f: {input: {directory: tensors/}}
  g: {model_version: 3, input: {encoding: binary}}
load: [{phase: a, rate: 1/s, duration: 1s}]
)");
  const auto& b = std::get<AutoInput>(plan.targets[1].input);
  EXPECT_EQ(b.batch, 8u);
  EXPECT_THAT(b.shapes.at("input"), testing::ElementsAre(3, 224, 224));
  EXPECT_EQ(b.data, AutoInput::Data::kZero);
  EXPECT_EQ(b.string_length, 7u);
  EXPECT_EQ(plan.targets[1].encoding, Encoding::kBinary);
  EXPECT_EQ(std::get<FileInput>(plan.targets[2].input).file, "bert.json");
  EXPECT_EQ(std::get<PayloadInput>(plan.targets[3].input).file, "body.bin");
  EXPECT_EQ(std::get<AutoInput>(plan.targets[4].input).config, "config.pbtxt");
  EXPECT_EQ(std::get<DirectoryInput>(plan.targets[5].input).directory, "tensors/");
  EXPECT_EQ(plan.targets[6].encoding, Encoding::kBinary);
  EXPECT_EQ(plan.targets[6].model_version, "3");
}

TEST(ParsePlan, LimitsAgentsAndTheRest) {
  const Plan plan = MustParse(std::string(kSmall) + R"(
name: my plan
limits: {timeout: {total: 60s}, in_flight: 4096 total, connections: 64/agent}
backlog: skip
agents: {min: 3, max: 10, select: {zone: a}, wait: 5s, on_loss: fail, on_join: standby}
tags: {team: vision, build: 1234}
stamp: on
seed: 18446744073709551615
keep: raw
validity: {lag_p99: 10ms}
interval: 250ms
arrivals: poisson
slo: [p99 < 50ms, error_rate < 0.1%]
guards: [error_rate > 50% for 5s]
)",
                              {.only_built_features = false});
  EXPECT_EQ(plan.name, "my plan");
  EXPECT_EQ(plan.limits.timeout.total, seconds(60));
  EXPECT_EQ(plan.limits.in_flight, (Limit{4096, true}));
  EXPECT_EQ(plan.limits.connections, (Limit{64, false}));
  EXPECT_EQ(plan.backlog, Backlog::kSkip);
  EXPECT_EQ(plan.agents.min, 3u);
  EXPECT_EQ(plan.agents.on_loss, OnLoss::kFail);
  EXPECT_EQ(plan.agents.on_join, OnJoin::kStandby);
  EXPECT_EQ(plan.tags.at("build"), "1234");
  EXPECT_TRUE(plan.stamp);
  EXPECT_EQ(plan.seed, UINT64_MAX);
  EXPECT_TRUE(plan.keep_raw);
  EXPECT_EQ(plan.validity.at("lag_p99"), "10ms");
  EXPECT_EQ(plan.interval, milliseconds(250));
  EXPECT_EQ(plan.arrivals, ArrivalMode::kPoisson);
  ASSERT_EQ(plan.slo.size(), 2u);
  EXPECT_EQ(plan.slo[0].text, "p99 < 50ms");
  EXPECT_EQ(plan.guards[0].window.length, seconds(5));
}

TEST(ParsePlan, OverridesReplaceAndAdd) {
  ParseOptions options;
  options.overrides = {"load.a.rate=2000/s",  "limits.timeout=3s", "targets.web.weight=4",
                       "load[0].duration=7s", "slo=[p90 < 1s]",    "name=other: name"};
  const Plan plan = MustParse(kSmall, options);
  EXPECT_EQ(std::get<ConstantLoad>(plan.phases[0].load).rate, RateValue(MicroRate{2'000'000'000}));
  EXPECT_EQ(plan.limits.timeout.total, seconds(3));
  EXPECT_EQ(plan.targets[0].weight, 4u);
  EXPECT_EQ(plan.phases[0].duration, seconds(7));
  EXPECT_EQ(plan.slo.size(), 1u);
  EXPECT_EQ(plan.name, "other: name");
}

TEST(ParsePlan, VariablesAreReadWhereTheyMayBe) {
  ParseOptions options;
  options.environment = [](const std::string& name, std::string& value) {
    value = "127.0.0.1:9";
    return name == "HOST";
  };
  options.read_file = [](const std::string& path) -> StatusOr<std::string> {
    if (path != "token") return NotFound(path + ": no such file");
    return std::string("t0ken\n");
  };
  const std::string text = R"(
targets:
  web: {url: "http://${env:HOST}/", headers: {authorization: "Bearer ${secret:t}"}, body: "a ${file:token} ${x} ${y:z}"}
load: [{phase: a, rate: 1/s, duration: 1s}]
)";
  const Plan plan = MustParse(text, options);
  EXPECT_EQ(plan.targets[0].endpoint->port, 9);
  EXPECT_EQ(plan.targets[0].headers[0].value, "Bearer ${secret:t}");
  EXPECT_EQ(std::get<TextInput>(plan.targets[0].input).text, "a t0ken ${x} ${y:z}");

  options.send_secrets = true;
  const Plan sent = MustParse(
      R"({targets: {web: {url: "http://h/", headers: {a: "${file:token}"}}}, load: [{phase: a, rate: 1/s, duration: 1s}]})",
      options);
  EXPECT_EQ(sent.targets[0].headers[0].value, "t0ken");
}

TEST(ParsePlan, JsonAndTabsInsideItAreYaml) {
  const Plan plan = MustParse(
      "{\n\t\"targets\": {\"web\": {\"url\": \"http://h/\"}},\n\t\"load\": [{\"phase\":\"a\","
      "\"rate\":\"1/s\",\"duration\":\"1s\"}]\n}");
  EXPECT_EQ(plan.targets[0].url, "http://h/");
}

TEST(ParsePlan, AliasesStandForWhatTheyName) {
  const Plan plan = MustParse(R"(
targets:
  one: &base {url: "http://h/", weight: 2}
  two: *base
load: [{phase: a, rate: 1/s, duration: 1s}]
)");
  EXPECT_EQ(plan.targets[1].weight, 2u);
}

}  // namespace
}  // namespace broadside::plan
