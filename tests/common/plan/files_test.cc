#include <gmock/gmock.h>

#include <map>

#include "tests/common/plan/plan_test.h"

namespace broadside::plan {
namespace {

using Files = std::map<std::string, std::string>;

std::function<StatusOr<std::string>(const std::string&)> Reader(const Files& files) {
  return [&files](const std::string& path) -> StatusOr<std::string> {
    const auto found = files.find(path);
    if (found == files.end()) return NotFound(path + ": no such file");
    return found->second;
  };
}

StatusOr<std::vector<std::string>> List(const std::string& directory) {
  if (directory != "tensors/") return NotFound(directory + ": no such directory");
  return std::vector<std::string>{"b", "a"};
}

std::string TargetPlan(const std::string& keys) {
  return "defaults: {protocol: kserve-http, url: \"http://h:8000\", model: m}\ntargets: {w: {" +
         keys + "}}\nload: [{phase: a, rate: 1/s, duration: 1s}]\n";
}

TEST(CollectFiles, EveryFileByItsHash) {
  const Files files = {{"targets.txt", "POST http://h/\n@one.json\n\nPOST http://h/\n@two.json\n"},
                       {"one.json", "{}"},
                       {"two.json", "{}"},
                       {"config.pbtxt", "input { name: \"a\" data_type: TYPE_FP32 dims: 1 }"},
                       {"tensors/a", "A"},
                       {"tensors/b", "B"},
                       {"arrivals.csv", "0\n1.5\n"}};
  Plan plan = MustParse(R"(
defaults: {protocol: kserve-http, url: "http://h:8000", model: m}
targets:
  v: {targets: targets.txt}
  c: {input: {config: config.pbtxt}}
  d: {input: {directory: tensors/}}
load:
  - {phase: e, replay: {file: arrivals.csv, speed: 2}}
  - {phase: f, replay: {file: arrivals.csv}, duration: 5s}
)");
  const auto contents = CollectFiles(plan, Reader(files), List);
  ASSERT_TRUE(contents.ok()) << contents.status();
  EXPECT_EQ(plan.files.size(), 7u);
  EXPECT_EQ(contents->size(), 6u) << "equal content travels once";
  for (const auto& [path, hash] : plan.files) {
    EXPECT_EQ(contents->at(hash), files.at(path));
    EXPECT_EQ(hash, Sha256Hex(files.at(path)));
  }
  EXPECT_THAT(std::get<DirectoryInput>(plan.targets[2].input).files,
              testing::ElementsAre("a", "b"));
  EXPECT_EQ(plan.phases[0].duration, std::chrono::seconds(1));
  EXPECT_EQ(plan.phases[1].duration, std::chrono::seconds(5));
  EXPECT_EQ(MustParse(CanonicalJson(plan)), plan);
  EXPECT_EQ(MessageOf(CheckFiles(plan, Reader(files))), "");
}

TEST(CollectFiles, SaysWhoNamesAMissingFile) {
  const std::tuple<std::string, Files, std::string> kCases[] = {
      {TargetPlan("input: {file: x.json}"), {}, "x.json: no such file (named by target \"w\")"},
      {TargetPlan("input: {directory: none/}"),
       {},
       "none/: no such directory (named by target \"w\")"},
      {TargetPlan("targets: t.txt"),
       {{"t.txt", "\nPOST http://h/\n@b.json\n"}},
       "t.txt:3: b.json: no such file (named by target \"w\")"},
      {TargetPlan("targets: t.txt"),
       {{"t.txt", "POST /\n"}},
       "t.txt:1: the URL \"/\" is relative: Vegeta's files have whole URLs, http://HOST:PORT/."},
  };
  for (const auto& [text, files, message] : kCases) {
    Plan plan = MustParse(text);
    EXPECT_EQ(MessageOf(CollectFiles(plan, Reader(files), List).status()), message);
  }
}

TEST(CheckFiles, Content) {
  const std::tuple<std::string, Files, std::string> kCases[] = {
      {"targets: t.txt",
       {{"t.txt", "GET https://h/\n"}},
       "t.txt:1: \"https\" is not in this version yet"},
      {"input: {file: x}", {{"x", "{\"data\":\n [1,}"}}, "x:2:5: this is not JSON."},
      {"input: {file: x}",
       {{"x", "[]"}},
       "x:1:1: expected {\"data\": [{INPUT: …}, …]}, perf_analyzer's form."},
      {"input: {payload: x}",
       {{"x", "{}"}},
       "x:1:1: expected a KServe request, {\"inputs\": [{\"name\": …, \"shape\": …, \"datatype\": "
       "…, \"data\": …}]}."},
      {"input: {payload: x}", {{"x", "{\"inputs\": []}"}}, ""},
      {"protocol: http, input: {payload: x}",
       {{"x", "\xFF"}},
       "plan.yaml:1:57: model: protocol http has no models; write protocol: kserve-http."},
      {"input: {config: x}",
       {{"x", "input { name: \"a\" data_type: TYPE_FP32 dims: [-1, 2] }"}},
       "x: input \"a\" has dims of -1; write auto: {shapes: {a: […]}}."},
      {"input: {config: x, auto: {shapes: {a: [5]}}}",
       {{"x", "input { name: \"a\" data_type: TYPE_FP32 dims: [-1, 2] }"}},
       "x: the shape that the plan gives input \"a\" does not fit its dims."},
      {"input: {config: x, auto: {shapes: {a: [5, 2]}}}",
       {{"x", "input { name: \"a\" data_type: TYPE_FP32 dims: [-1, 2] }"}},
       ""},
      {"input: {config: x, auto: {shapes: {input_idz: [5]}}}",
       {{"x", "input { name: \"input_ids\" data_type: TYPE_FP32 dims: [2] }"}},
       "x: the plan has a shape for \"input_idz\", which is no input. Did you mean \"input_ids\"?"},
      {"input: {config: x, auto: {batch: 4}}",
       {{"x", "max_batch_size: 2 input { name: \"a\" data_type: TYPE_FP32 dims: [2] }"}},
       "x: batch: 4 is more than max_batch_size (2)."},
      {"input: {config: x}",
       {{"x", "max_batch_size: 2"}},
       "x:1: it describes no input. Write input [ { name: … data_type: … dims: [ … ] } ]."},
  };
  for (const auto& [keys, files, message] : kCases) {
    const auto plan = ParsePlan(TargetPlan(keys), {});
    EXPECT_EQ(MessageOf(plan.ok() ? CheckFiles(*plan, Reader(files)) : plan.status()), message)
        << keys;
  }
}

TEST(PlanFromFlags, OneLiners) {
  OneLiner flags;
  flags.target = "http://h:8000/v2/models/m/versions/2/infer";
  flags.rate = "100/s";
  flags.duration = "60s";
  flags.headers = {"X-A: b: c"};
  auto plan = PlanFromFlags(flags, {});
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->targets[0].protocol, Protocol::kKserveHttp);
  EXPECT_EQ(plan->targets[0].url, "http://h:8000");
  EXPECT_EQ(plan->targets[0].model, "m");
  EXPECT_EQ(plan->targets[0].model_version, "2");
  EXPECT_THAT(plan->targets[0].headers, testing::ElementsAre(Header{"X-A", "b: c"}));
  EXPECT_EQ(MustParse(CanonicalJson(*plan)), *plan);

  flags.body_file = "payload.json";
  flags.targets_file = "t.jsonl";
  plan = PlanFromFlags(flags, {});
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->targets[0].protocol, Protocol::kHttp);
  EXPECT_EQ(plan->targets[0].method, "POST");
  EXPECT_EQ(plan->targets[1].vegeta->format, "json");
}

TEST(PlanFromFlags, Errors) {
  const auto error = [](const OneLiner& flags) {
    const auto plan = PlanFromFlags(flags, {});
    return plan.ok() ? "no error" : MessageOf(plan.status());
  };
  EXPECT_EQ(error({}), "nothing to test. Write a plan file, --target URL or --targets FILE.");
  EXPECT_EQ(error({.target = "http://h/"}), "--rate is missing. Write --rate 100/s.");
  EXPECT_EQ(error({.target = "http://h/", .rate = "1/s"}),
            "--duration is missing. Write --duration 60s.");
  EXPECT_EQ(error({.target = "http://h/", .rate = "10k", .duration = "1s"}),
            "--rate: rate: \"10k\" is not a rate. Write 10000/s or 600000/min.");
  EXPECT_EQ(
      error({.target = "h", .rate = "1/s", .duration = "1s"}),
      "--target \"h\": url: \"h\" is not a URL: it has no scheme. Write http://HOST:PORT/PATH.");
  EXPECT_EQ(error({.target = "http://h/", .rate = "1/s", .duration = "1s", .headers = {"x"}}),
            "--header \"x\": headers: \"x\" is not \"name: value\".");
  EXPECT_EQ(error({.rate = "1/s", .duration = "1s", .targets_file = "t", .method = "PUT"}),
            "--method and --body go with --target; a target file has its own.");
}

}  // namespace
}  // namespace broadside::plan
