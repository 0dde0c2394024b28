#include "common/plan/resolve.h"

#include <gmock/gmock.h>

#include "tests/common/plan/plan_test.h"

namespace broadside::plan {
namespace {

using std::chrono::seconds;

TEST(ResolveSchedule, PhasesFollowOneAnother) {
  const Plan plan = MustParse(R"(
arrivals: poisson
targets: {x: {url: "http://h/", weight: 3}, y: {url: "http://h/"}, z: {url: "http://h/"}}
load:
  - {phase: a, rate: 500/s, duration: 10s}
  - {phase: b, ramp: {from: 50/s, to: 1000/s}, duration: 20s, arrivals: uniform, targets: [z, x]}
  - {phase: c, steps: {from: 300/s, to: 100/s, by: 100/s, each: 5s}, mix: {y: 25%, z: 75%}}
  - {phase: d, idle: 7s}
  - {phase: e, rates: {x: 30/s, z: 10/s}, duration: 1s}
  - {phase: f, sine: {mean: 5/s, amplitude: 5/s, period: 10s}, duration: 10s}
)");
  const auto segments = ResolveSchedule(plan, 42);
  ASSERT_TRUE(segments.ok()) << segments.status();
  ASSERT_EQ(segments->size(), 8u);
  std::vector<std::string> names;
  for (const PhaseRow& row : PhaseRows(plan)) names.push_back(row.name);
  EXPECT_THAT(names, testing::ElementsAre("a", "b", "c[0]", "c[1]", "c[2]", "d", "e", "f"));
  RunTime at = RunStart();
  for (size_t i = 0; i < segments->size(); ++i) {
    const rate::Segment& segment = (*segments)[i];
    EXPECT_EQ(segment.id, SegmentId(static_cast<uint32_t>(i)));
    EXPECT_EQ(segment.start, at);
    EXPECT_EQ(segment.seed, 42u);
    ASSERT_FALSE(segment.knots.empty());
    EXPECT_EQ(segment.knots.front().at, Nanos(0));
    EXPECT_EQ(segment.knots.back().at, segment.length);
    at += segment.length;
  }
  const auto& a = (*segments)[0];
  EXPECT_EQ(a.kind, rate::ArrivalKind::kPoisson);
  EXPECT_EQ(a.mix, (std::vector<rate::TargetShare>{
                       {TargetIndex(0), 3}, {TargetIndex(1), 1}, {TargetIndex(2), 1}}));
  const auto& b = (*segments)[1];
  EXPECT_EQ(b.kind, rate::ArrivalKind::kRegular);
  EXPECT_EQ(b.mix, (std::vector<rate::TargetShare>{{TargetIndex(0), 3}, {TargetIndex(2), 1}}));
  EXPECT_EQ(b.knots.front().rate, 50'000'000);
  EXPECT_EQ(b.knots.back().rate, 1'000'000'000);
  EXPECT_EQ((*segments)[2].phase, PhaseIndex(2));
  EXPECT_EQ((*segments)[4].phase, PhaseIndex(4));
  EXPECT_EQ((*segments)[2].knots.front().rate, 300'000'000);
  EXPECT_EQ((*segments)[4].knots.front().rate, 100'000'000);
  EXPECT_EQ((*segments)[3].mix,
            (std::vector<rate::TargetShare>{{TargetIndex(1), 250'000}, {TargetIndex(2), 750'000}}));
  EXPECT_TRUE((*segments)[5].mix.empty());
  EXPECT_EQ((*segments)[5].knots.back().rate, 0);
  EXPECT_EQ((*segments)[6].knots.front().rate, 40'000'000);
  EXPECT_EQ((*segments)[6].mix, (std::vector<rate::TargetShare>{{TargetIndex(0), 30'000'000},
                                                                {TargetIndex(2), 10'000'000}}));
}

TEST(ResolveSchedule, ReplayNeedsItsFile) {
  Plan plan = MustParse(R"(
targets: {x: {url: "http://h/"}}
load: [{phase: e, replay: {file: a.csv, speed: 1/3}}]
)");
  EXPECT_EQ(MessageOf(ResolveSchedule(plan, 1).status()),
            "phase \"e\": the replay file \"a.csv\" has not been read");
  const auto read = [](const std::string&) -> StatusOr<std::string> {
    return std::string("0.1\n1.0\n");
  };
  const auto list = [](const std::string&) -> StatusOr<std::vector<std::string>> {
    return NotFound("no");
  };
  const auto files = CollectFiles(plan, read, list);
  ASSERT_TRUE(files.ok()) << files.status();
  // The last arrival is due at 3 s exactly, so the phase must last longer.
  EXPECT_EQ(plan.phases[0].duration, seconds(4));
  const auto segments = ResolveSchedule(plan, 1);
  ASSERT_TRUE(segments.ok()) << segments.status();
  EXPECT_EQ((*segments)[0].kind, rate::ArrivalKind::kList);
  EXPECT_EQ((*segments)[0].replay, (rate::Replay{Sha256Hex("0.1\n1.0\n"), "csv", 1, 3}));
  EXPECT_TRUE((*segments)[0].knots.empty());
}

TEST(PhasesOfRule, NamesOrDefaults) {
  ParseOptions options;
  options.only_built_features = false;
  const Plan plan = MustParse(R"(
targets: {x: {url: "http://h/"}}
load:
  - {phase: a, rate: 500/s, duration: 10s}
  - {phase: warm, rate: 500/s, duration: 10s, measure: false}
  - {phase: g, search: {from: 1/s, to: 9/s, until: [first rejection]}}
  - {phase: r, idle: 1s}
  - {phase: o, rate: 150% of g, duration: 10s}
  - {phase: p, rate: 100% of g.peak, duration: 10s}
slo: [p99 < 1s, p99 < 1s in o+a]
)",
                              options);
  EXPECT_THAT(PhasesOfRule(plan, plan.slo[0]), testing::ElementsAre(0u, 5u));
  EXPECT_THAT(PhasesOfRule(plan, plan.slo[1]), testing::ElementsAre(0u, 4u));
}

std::string ReplayError(std::string_view text, std::string_view format) {
  const auto rows = ReadReplay(text, format, "a.csv");
  return rows.ok() ? "no error" : MessageOf(rows.status());
}

TEST(ReadReplay, CsvToTheNanosecond) {
  const auto rows =
      ReadReplay("time,x\r\n0,a\r\n0.1,b\n\n\"0.100000001\",c\n123456.999999999\n", "csv", "a.csv");
  ASSERT_TRUE(rows.ok()) << rows.status();
  EXPECT_THAT(*rows, testing::ElementsAre(0, 100'000'000, 100'000'001, 123'456'999'999'999));
}

TEST(ReadReplay, JsonLinesToTheNanosecond) {
  const auto rows =
      ReadReplay("{\"at\": 0}\n{\"x\": {\"at\": 9}, \"at\": 86399.123456789, \"y\": [1]}\n",
                 "jsonl", "a.jsonl");
  ASSERT_TRUE(rows.ok()) << rows.status();
  EXPECT_THAT(*rows, testing::ElementsAre(0, 86'399'123'456'789));
}

TEST(ReadReplay, Errors) {
  EXPECT_EQ(ReplayError("", "csv"), "a.csv:1: no arrival in this file.");
  EXPECT_EQ(ReplayError("at\n", "csv"), "a.csv:1: no arrival in this file.");
  EXPECT_EQ(ReplayError("1\n0.5\n", "csv"),
            "a.csv:2: \"0.5\" is before the row above it; times never fall.");
  const std::string not_a_time =
      " is not a time. Write seconds from the phase's start as a plain decimal, at most 9 "
      "decimals.";
  EXPECT_EQ(ReplayError("1\nx\n", "csv"), "a.csv:2: \"x\"" + not_a_time);
  EXPECT_EQ(ReplayError("-1\n", "csv"), "a.csv:1: \"-1\"" + not_a_time);
  EXPECT_EQ(ReplayError("1.0000000001\n", "csv"), "a.csv:1: \"1.0000000001\"" + not_a_time);
  EXPECT_EQ(ReplayError("{\"at\": 1e3}\n", "jsonl"), "a.csv:1: \"1e3\"" + not_a_time);
  EXPECT_EQ(ReplayError("{\"at\": null}\n", "jsonl"), "a.csv:1: \"null\"" + not_a_time);
  EXPECT_EQ(ReplayError("{\"t\": 1}\n", "jsonl"), "a.csv:1: the key \"at\" is missing.");
  EXPECT_EQ(ReplayError("3\n", "jsonl"),
            "a.csv:1: \"3\" is not a JSON object on one line, as in {\"at\": 0.25}.");
}

TEST(CompileSegment, ReadsAReplaysFileByItsHash) {
  const rate::Segment segment{.length = std::chrono::seconds(2),
                              .kind = rate::ArrivalKind::kList,
                              .mix = {{TargetIndex(0), 1}},
                              .replay = {.sha256 = "abc", .format = "csv"}};
  const auto file = [](std::string content) {
    return [content = std::move(content)](const std::string& sha256) -> StatusOr<std::string> {
      if (sha256 != "abc") return NotFound(sha256);
      return content;
    };
  };
  const auto compiled = CompileSegment(segment, file("0\n0.5\n1.5\n"), "a.csv");
  ASSERT_TRUE(compiled.ok()) << MessageOf(compiled.status());
  EXPECT_EQ((*compiled)->Count(), 3u);
  EXPECT_EQ(
      MessageOf(CompileSegment(segment, file("1\n0\n"), "a.csv").status()).rfind("a.csv:2: ", 0),
      0u);
  rate::Segment other = segment;
  other.replay.sha256 = "gone";
  EXPECT_EQ(MessageOf(CompileSegment(other, file(""), "a.csv").status()), "gone");
}

}  // namespace
}  // namespace broadside::plan
