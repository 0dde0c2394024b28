#include <gmock/gmock.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <random>

#include "common/plan/keys.h"
#include "tests/common/plan/plan_examples.h"
#include "tests/common/plan/plan_test.h"

namespace broadside::plan {
namespace {

ParseOptions Everything() {
  ParseOptions options;
  options.only_built_features = false;
  return options;
}

std::vector<std::string> AllExamples() {
  std::vector<std::string> texts(std::begin(kExamples), std::end(kExamples));
  for (const auto& entry : std::filesystem::recursive_directory_iterator(EXAMPLES_DIRECTORY)) {
    if (entry.path().extension() != ".yaml") continue;
    std::ifstream file(entry.path());
    texts.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  return texts;
}

TEST(Canonical, RoundTripsThroughJsonAndYaml) {
  const std::vector<std::string> texts = AllExamples();
  ASSERT_GT(texts.size(), std::size(kExamples)) << "the examples of the product are missing";
  for (const std::string& text : texts) {
    Plan plan = MustParse(text, Everything());
    plan.files["a b.json"] = Sha256Hex(text);
    const std::string json = CanonicalJson(plan);
    EXPECT_EQ(MustParse(json, Everything()), plan) << json;
    EXPECT_EQ(CanonicalJson(MustParse(json, Everything())), json);
    const std::string yaml = ResolvedYaml(plan);
    EXPECT_EQ(MustParse(yaml, Everything()), plan) << yaml;
  }
}

TEST(Canonical, KeysAreSortedAndTargetsKeepTheirOrder) {
  const Plan plan = MustParse(
      "name: n\ntargets: {z: {url: \"http://h/\"}, a: {url: \"http://h/\"}}\n"
      "load: [{phase: p, rate: 90/min, duration: 90s}]\n");
  const std::string json = CanonicalJson(plan);
  EXPECT_EQ(json, nlohmann::json::parse(json).dump()) << "as a reader that sorts keys writes it";
  EXPECT_THAT(json, testing::HasSubstr("\"rate\":\"1.5/s\""));
  const Plan again = MustParse(json);
  EXPECT_EQ(again.targets[0].name, "z");
}

TEST(Canonical, TextsThatLookLikeSomethingElseSurvive) {
  for (const char* value : {"on",
                            "null",
                            "~",
                            "1",
                            "0x1f",
                            "1e3",
                            "- a",
                            "a: b",
                            "a #b",
                            " x ",
                            "é✓",
                            "tab\\tnl\\nq\\\"",
                            "%",
                            "*a",
                            "&a",
                            "!a",
                            "[a]",
                            "{a}",
                            "2001-01-01",
                            "=",
                            "<<",
                            "true",
                            "\\u0085\\u2028"}) {
    const Plan plan = MustParse(std::string(kSmall) + "tags: {k: \"" + value + "\"}\n");
    EXPECT_EQ(MustParse(CanonicalJson(plan)).tags, plan.tags) << value;
    EXPECT_EQ(MustParse(ResolvedYaml(plan)).tags, plan.tags) << value;
  }
}

TEST(Canonical, YamlIsForPeople) {
  const Plan plan = MustParse(kSmall, {.file_name = "soak.yaml"});
  EXPECT_EQ(ResolvedYaml(plan), R"(name: soak
targets:
  web:
    protocol: http
    url: "http://127.0.0.1:8080/"
    method: GET
    input: none
    weight: 1
    reuse: true
arrivals: uniform
load:
  - {phase: a, rate: 100/s, duration: 10s, measure: true}
limits:
  timeout: {total: 10s}
  in_flight: 1024/agent
  connections: 256/agent
backlog: send-late
slo: []
guards: []
agents: {min: 1, max: all, wait: 60s, on_loss: replace, on_join: default}
record: {requests: none}
keep: thin
stamp: false
interval: 1s
)");
}

TEST(PlanExamples, LaterFeaturesSaySo) {
  const std::pair<const char*, const char*> kCases[] = {
      {kTargetsExample, "plan.yaml:1:22: \"kserve-grpc\" is not in this version yet"},
      {kLoadExample, "plan.yaml:10:16: \"concurrency\" is not in this version yet"},
      {kRestExample, "plan.yaml:9:32: \"timeout.first_token\" is not in this version yet"}};
  for (const auto& [text, message] : kCases) EXPECT_EQ(ErrorOf(text), message);
}

TEST(PlanExamples, EachLaterFeatureHasItsName) {
  const auto target = [](const std::string& keys) {
    return "targets: {w: {" + keys + "}}\nload: [{phase: a, rate: 1/s, duration: 1s}]\n";
  };
  const auto phase = [](const std::string& keys) {
    return "targets: {w: {url: \"http://h\"}}\nload:\n  - {phase: a, " + keys + "}\n";
  };
  const auto line = [](const std::string& text) { return std::string(kSmall) + text + "\n"; };
  const std::pair<std::string, std::string> kCases[] = {
      {target("url: \"https://h\""), "1:20: \"https\""},
      {target("url: \"grpc://h\", protocol: grpc"), "1:42: \"grpc\""},
      {target("url: \"http://h\", protocol: openai-chat, model: m, input: {prompts: {file: f}}"),
       "1:42: \"openai-chat\""},
      {target("url: \"http://h\", tls: {insecure: true}"), "1:32: \"tls\""},
      {target("url: \"http://h\", good: {latency: 1s}"), "1:32: \"good\""},
      {target("url: \"http://h\", breaker: {endpoints: 1}"), "1:32: \"breaker\""},
      {phase("concurrency: 3, duration: 1s"), "3:16: \"concurrency\""},
      {phase("search: {from: 1/s, to: 2/s, until: [first rejection]}"), "3:16: \"search\""},
      {phase("search: {from: 1/s, to: 2/s, until: [first rejection]}}\n  - {phase: b, rate: 50% of "
             "a, "
             "duration: 1s"),
       "3:16: \"search\""},
      {phase("rate: 1/s, duration: 1s}\n  - {phase: b, idle: auto"), "4:22: \"idle: auto\""},
      {phase("rate: 1/s, duration: 1s, each: targets"), "3:41: \"each\""},
      {line("slo: [good_share > 95%]"), "5:7: \"good_share\""},
      {line("slo: [ttft.p95 < 1s]"), "5:7: \"ttft\""},
      {line("limits: {timeout: {first_token: 1s}}"), "5:20: \"timeout.first_token\""},
      {line("limits: {timeout: {idle: 1s}}"), "5:20: \"timeout.idle\""},
      {line("observe: [{scrape: \"http://h\"}]"), "5:1: \"observe\""},
      {line("record: {requests: 1%}"), "5:1: \"record\""},
  };
  for (const auto& [text, message] : kCases)
    EXPECT_EQ(ErrorOf(text), "plan.yaml:" + message + " is not in this version yet") << text;
  EXPECT_EQ(ErrorOf(target("url: \"http://h\", breaker: off")), "no error");
}

TEST(Schema, HasTheParsersKeys) {
  const auto schema = nlohmann::json::parse(PlanJsonSchema());
  const auto& defs = schema["$defs"];
  ASSERT_EQ(defs.size(), AllSections().size());
  size_t references = 0;
  for (const Section* section : AllSections()) {
    const auto& def = defs.at(std::string(section->name));
    EXPECT_EQ(def.at("additionalProperties"), false);
    EXPECT_EQ(def.at("properties").size(), section->keys.size());
    for (const Key& key : section->keys)
      EXPECT_TRUE(def.at("properties").contains(std::string(key.name))) << key.name;
  }
  // Every $ref leads somewhere, and every section is reached.
  const std::function<void(const nlohmann::json&)> walk = [&](const nlohmann::json& node) {
    if (node.is_object() && node.contains("$ref")) {
      const std::string ref = node["$ref"];
      EXPECT_TRUE(defs.contains(ref.substr(std::string("#/$defs/").size()))) << ref;
      ++references;
    }
    if (node.is_structured())
      for (const auto& item : node) walk(item);
  };
  walk(schema);
  EXPECT_GE(references, AllSections().size());
}

/// Random edits of a valid plan: whatever comes out is a plan or one line that says where.
TEST(PlanFuzz, EditsGiveAPlanOrOneLine) {
  std::mt19937_64 random(7);
  const std::string words[] = {
      "{",        "}",    "[",    "]",    ":",   "- ",  "\n",     "  ",   "\"",  "'",      "#",
      "%",        "&a",   "*a",   "!t",   "> 5", "| 5", "99999",  "-1",   "0/s", "1e9",    "\t",
      "${env:X}", "null", "\xC3", "\r\n", "? ",  "---", "search", "rate", "..",  "\\u0000"};
  const std::vector<std::string> texts = AllExamples();
  for (int round = 0; round < 3000; ++round) {
    std::string text = texts[random() % texts.size()];
    for (uint64_t edits = 1 + random() % 4; edits > 0 && !text.empty(); --edits) {
      const size_t at = random() % text.size();
      switch (random() % 4) {
        case 0:
          text.erase(at, 1 + random() % 8);
          break;
        case 1:
          text.insert(at, words[random() % std::size(words)]);
          break;
        case 2:
          text[at] = static_cast<char>(random() % 256);
          break;
        default:
          text.insert(at, text.substr(random() % text.size(), random() % 40));
          break;
      }
    }
    const auto plan = ParsePlan(text, Everything());
    if (plan.ok()) {
      EXPECT_EQ(MustParse(CanonicalJson(*plan), Everything()), *plan) << text;
      continue;
    }
    const std::string message = MessageOf(plan.status());
    EXPECT_TRUE(message.starts_with("plan.yaml:")) << message << "\n" << text;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message << "\n" << text;
    EXPECT_LT(message.size(), 700u) << message;
  }
}

}  // namespace
}  // namespace broadside::plan
