#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include <nlohmann/json.hpp>

#include "tests/ctl/fake.h"

namespace broadside::ctl {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kPlan = R"(name: demo
targets:
  echo: {protocol: http, url: "http://127.0.0.1:8000/echo"}
load:
  - {phase: warm, ramp: {from: 10/s, to: 100/s}, duration: 10s}
  - {phase: hold, rate: 100/s, duration: 10s}
seed: 7
)";

std::string PlanFile() { return TempFile("plan.yaml", kPlan); }

std::string Slurp(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream out;
  out << file.rdbuf();
  return out.str();
}

TEST(Run, ShowsTheReportOnStdoutAndProgressOnStderr) {
  World world;
  world.controller.streams = {ShortRun()};
  world.controller.report = StoredReport("completed", "VALID");
  EXPECT_EQ(world.Ctl({"run", PlanFile()}), 0) << world.err;
  EXPECT_THAT(world.out, HasSubstr("VALID     every arrival was sent on time"));
  EXPECT_THAT(world.err, HasSubstr("00:01/00:10 hold"));
  ASSERT_EQ(world.controller.submitted.size(), 1U);
  EXPECT_EQ(json::parse(world.controller.submitted[0].plan_json)["name"], "demo");
  EXPECT_EQ(world.controller.submitted[0].submitted_by, "ann@lab");
  EXPECT_EQ(world.controller.watched, std::vector<std::string>{"7f3a2c"});
  EXPECT_TRUE(world.clusters.empty());
}

TEST(Run, StdoutIsOneJsonObjectAndNothingElse) {
  World world;
  world.controller.streams = {ShortRun()};
  world.controller.report = StoredReport("completed", "VALID", "fail");
  EXPECT_EQ(world.Ctl({"run", PlanFile(), "--output", "json"}), 4);
  const json report = json::parse(world.out);
  EXPECT_EQ(report["schema"], "broadside.report/v1");
  EXPECT_EQ(world.out, *world.controller.report);
  EXPECT_THAT(world.err, HasSubstr("hold"));
}

TEST(Run, ExitCodes) {
  struct Row {
    const char *state, *validity, *slo, *breaker;
    bool strict;
    int code;
  };
  const Row rows[] = {{"completed", "VALID", "pass", "pass", false, 0},
                      {"completed", "DEGRADED", "pass", "none", false, 0},
                      {"completed", "DEGRADED", "pass", "none", true, 7},
                      {"failed", "VALID", "none", "none", false, 3},
                      {"completed", "VALID", "fail", "none", false, 4},
                      {"completed", "VALID", "fail", "fail", false, 5},
                      {"completed", "VALID", "none", "inconclusive", false, 6},
                      {"completed", "INVALID", "fail", "fail", false, 7},
                      {"aborted", "INVALID", "fail", "none", false, 8},
                      {"cancelled", "INVALID", "none", "none", false, 130}};
  for (const Row& row : rows) {
    World world;
    world.controller.streams = {ShortRun(row.state)};
    world.controller.report = StoredReport(row.state, row.validity, row.slo, row.breaker);
    std::vector<std::string> args = {"run", PlanFile()};
    if (row.strict) args.emplace_back("--strict");
    EXPECT_EQ(world.Ctl(args), row.code) << row.state << " " << row.validity;
  }
}

TEST(Run, WhatGoesWrongBeforeTheRunHasItsOwnCode) {
  const std::pair<Status, int> rows[] = {
      {Unavailable("cannot reach the controller at lab:7300: Connection refused"), 2},
      {DeadlineExceeded("the controller at lab:7300 did not answer in time"), 2},
      {InvalidArgument("plan: the controller refuses it"), 1},
      {FailedPrecondition("2 agents of the 3 that the plan needs are there"), 3},
      {ResourceExhausted("another run is active"), 3}};
  for (const auto& [status, code] : rows) {
    World world;
    world.controller.submit = status;
    EXPECT_EQ(world.Ctl({"run", PlanFile()}), code) << status;
    EXPECT_EQ(world.err, "ctl: " + MessageOf(status) + "\n");
    EXPECT_EQ(world.out, "");
  }
}

TEST(Run, PlanErrorsStandAloneOnTheirLine) {
  World world;
  const std::string missing = PlanFile() + ".none";
  EXPECT_EQ(world.Ctl({"run", missing}), 1);
  EXPECT_EQ(world.err, missing + ": No such file or directory\n");
  const std::string bad = TempFile("bad.yaml", "name: demo\nload:\n  - {phase: a, rat: 3/s}\n");
  EXPECT_EQ(world.Ctl({"run", bad}), 1);
  EXPECT_THAT(world.err, ::testing::StartsWith(bad + ":"));
  EXPECT_TRUE(world.controller.submitted.empty());
  EXPECT_TRUE(world.controller.connected.empty());
}

TEST(Run, NeedsSomethingToRun) {
  World world;
  EXPECT_EQ(world.Ctl({"run"}), 1);
  EXPECT_EQ(world.err,
            "nothing to run. Give a plan file, or --target URL --rate R --duration D. See ctl run "
            "--help.\n");
  EXPECT_EQ(world.Ctl({"run", "p.yaml", "--rate", "5/s"}), 1);
  EXPECT_EQ(world.err,
            "a plan file and --target, --rate … cannot both be given. To change a value of p.yaml, "
            "use --set.\n");
}

TEST(Run, APlanCanComeFromStdin) {
  World world;
  world.in.str(kPlan);
  world.controller.streams = {ShortRun()};
  world.controller.report = StoredReport("completed", "VALID");
  EXPECT_EQ(world.Ctl({"run", "-"}), 0) << world.err;
  EXPECT_EQ(world.controller.submitted.size(), 1U);
}

TEST(Run, SetOverridesTheFile) {
  World world;
  world.controller.streams = {ShortRun()};
  world.controller.report = StoredReport("completed", "VALID");
  EXPECT_EQ(world.Ctl({"run", PlanFile(), "--set", "name=other", "--no-wait"}), 0) << world.err;
  EXPECT_EQ(json::parse(world.controller.submitted[0].plan_json)["name"], "other");
  EXPECT_TRUE(world.controller.submitted[0].no_wait);
}

TEST(Run, DetachPrintsTheIdAlone) {
  World world;
  EXPECT_EQ(world.Ctl({"run", PlanFile(), "--detach"}), 0);
  EXPECT_EQ(world.out, "7f3a2c\n");
  EXPECT_THAT(world.err, HasSubstr("ctl watch 7f3a2c"));
  EXPECT_EQ(world.Ctl({"run", PlanFile(), "--detach", "--output", "json"}), 0);
  EXPECT_EQ(json::parse(world.out)["run"], "7f3a2c");
  EXPECT_TRUE(world.controller.watched.empty());
}

TEST(Run, SaveWritesTheJsonToo) {
  World world;
  world.controller.streams = {ShortRun()};
  world.controller.report = StoredReport("completed", "VALID");
  const std::string path = TempFile("saved.json", "");
  EXPECT_EQ(world.Ctl({"run", PlanFile(), "--save", path}), 0);
  EXPECT_EQ(Slurp(path), *world.controller.report);
  EXPECT_EQ(world.Ctl({"run", PlanFile(), "--save", path + "/x"}), 3);
  EXPECT_EQ(world.err.substr(world.err.find("ctl:")), "ctl: --save: cannot write " + path + "/x\n");
}

TEST(Run, ARunThatNeverBeganStillGivesOneObject) {
  World world;
  report::Progress failed = At("failed", -1, true);
  failed.message = "agent-b refused the plan: target is not in its allow list";
  world.controller.streams = {{{failed}, absl::OkStatus()}};
  EXPECT_EQ(world.Ctl({"run", PlanFile(), "--output", "json"}), 3);
  const json report = json::parse(world.out);
  EXPECT_EQ(report["run"]["state"], "failed");
  EXPECT_EQ(report["run"]["state_reason"], failed.message);
  EXPECT_EQ(report["verdicts"]["validity"]["verdict"], "INVALID");
}

TEST(Run, CtrlCTwiceIs130WithoutAReport) {
  World world;
  world.controller.streams = {{{At("running", 1000), At("running", 2000), At("running", 3000)},
                               absl::OkStatus(),
                               [&world](size_t i) { world.interrupts = static_cast<int>(i); }}};
  EXPECT_EQ(world.Ctl({"run", PlanFile()}), 130);
  EXPECT_EQ(world.out, "");
  EXPECT_EQ(world.controller.stopped.size(), 1U);
}

TEST(Run, CtrlCBeforeTheSubmissionSendsNothing) {
  World world;
  world.interrupts = 1;
  EXPECT_EQ(world.Ctl({"run", PlanFile()}), 130);
  EXPECT_TRUE(world.controller.submitted.empty());
  EXPECT_EQ(world.err, "ctl: interrupted before the load began; nothing was sent\n");
}

TEST(DryRun, PrintsPlanAndRatesAndSendsNothing) {
  World world;
  world.variables.clear();
  EXPECT_EQ(world.Ctl({"run", PlanFile(), "--dry-run", "--agents", "4"}), 0) << world.err;
  EXPECT_THAT(world.out,
              HasSubstr("phase   from  length           asked  arrivals  each of 4 agents\n"
                        "warm   00:00    10 s  10.0/s → 100/s       550   2.50/s → 25.0/s\n"
                        "hold   00:10    10 s           100/s     1,000            25.0/s\n"));
  EXPECT_THAT(world.out, HasSubstr("nothing was sent"));
  EXPECT_TRUE(world.controller.connected.empty());
  EXPECT_TRUE(world.clusters.empty());
}

TEST(DryRun, AsksTheControllerForItsAgents) {
  World world;
  AgentInfo a, b;
  a.id = "a";
  a.state = b.state = "idle";
  a.rate_ceiling = 3000;
  b.id = "b";
  b.rate_ceiling = 1000;
  world.controller.agents = std::vector<AgentInfo>{a, b};
  EXPECT_EQ(world.Ctl({"run", PlanFile(), "--dry-run"}), 0) << world.err;
  EXPECT_THAT(world.out,
              HasSubstr("hold   00:10    10 s           100/s     1,000           75.0/s"));
  EXPECT_EQ(world.Ctl({"run", PlanFile(), "--dry-run", "--output", "json"}), 0);
  const json answer = json::parse(world.out);
  EXPECT_EQ(answer["agents"][0]["share"], 0.75);
  EXPECT_EQ(answer["phases"][1]["arrivals"], 1000);
  EXPECT_EQ(answer["plan"]["name"], "demo");
  EXPECT_TRUE(world.controller.submitted.empty());
}

class LocalRun : public ::testing::Test {
 protected:
  LocalRun() {
    world_.variables.clear();
    world_.controller.streams = {ShortRun()};
    world_.controller.report = StoredReport("completed", "VALID");
    AgentInfo idle;
    idle.state = "idle";
    world_.controller.agents = std::vector<AgentInfo>(3, idle);
  }
  World world_;
};

TEST_F(LocalRun, StartsAClusterThatMayFireAtThePlansTargets) {
  EXPECT_EQ(world_.Ctl({"run", PlanFile(), "--agents", "3", "--agent-loops", "2", "--store", "/s",
                        "--secrets", "/k"}),
            0)
      << world_.err;
  ASSERT_EQ(world_.clusters.size(), 1U);
  const ClusterOptions& options = world_.clusters[0];
  EXPECT_EQ(options.agents, 3U);
  EXPECT_EQ(options.loops, 2U);
  EXPECT_EQ(options.store_dir, "/s");
  EXPECT_EQ(options.secrets_dir, "/k");
  EXPECT_THAT(options.allow, ElementsAre("127.0.0.1:8000"));
  EXPECT_EQ(world_.controller.connected, std::vector<std::string>{"127.0.0.1:7"});
  EXPECT_GE(world_.cluster_stops, 1);
  EXPECT_THAT(world_.err, HasSubstr("store and logs: /store\n"));
}

TEST_F(LocalRun, OneAgentUnlessThePlanWantsMore) {
  EXPECT_EQ(world_.Ctl({"run", PlanFile()}), 0);
  EXPECT_EQ(world_.Ctl({"run", PlanFile(), "--set", "agents.min=3"}), 0) << world_.err;
  ASSERT_EQ(world_.clusters.size(), 2U);
  EXPECT_EQ(world_.clusters[0].agents, 1U);
  EXPECT_EQ(world_.clusters[1].agents, 3U);
}

TEST_F(LocalRun, TheOneLinerNeedsNoFile) {
  EXPECT_EQ(world_.Ctl({"run", "--target", "http://localhost:8000/x", "--rate", "10/s",
                        "--duration", "1s"}),
            0)
      << world_.err;
  ASSERT_EQ(world_.controller.submitted.size(), 1U);
  EXPECT_THAT(world_.clusters[0].allow, ElementsAre("localhost:8000"));
}

TEST_F(LocalRun, DetachNeedsAController) {
  EXPECT_EQ(world_.Ctl({"run", PlanFile(), "--detach"}), 1);
  EXPECT_EQ(world_.err,
            "ctl: --detach needs a controller that goes on without ctl: give --controller "
            "HOST:PORT.\n");
  EXPECT_TRUE(world_.clusters.empty());
}

TEST_F(LocalRun, LocalFlagsNeedALocalRun) {
  EXPECT_EQ(world_.Ctl({"run", PlanFile(), "--controller", "lab:1", "--agents", "2"}), 1);
  EXPECT_EQ(world_.err,
            "ctl: --agents is for local runs; with a controller it is the agents' own matter.\n");
}

TEST_F(LocalRun, AgentsThatNeverComeAreGivenUp) {
  world_.controller.agents = std::vector<AgentInfo>();
  EXPECT_EQ(world_.Ctl({"run", PlanFile()}), 3);
  EXPECT_EQ(
      world_.err,
      "ctl: the local agents did not reach the local controller within 20 s; their logs are in "
      "/store\n");
  EXPECT_TRUE(world_.controller.submitted.empty());
}

TEST_F(LocalRun, AChildThatDiesIsInfrastructure) {
  world_.cluster_check = Internal("the local agent-1 ended early (exit code 3); its log is empty");
  EXPECT_EQ(world_.Ctl({"run", PlanFile()}), 3);
  EXPECT_THAT(world_.err, HasSubstr("the local agent-1 ended early"));
  World other;
  other.variables.clear();
  other.cluster_start = Internal("cannot start the local controller");
  EXPECT_EQ(other.Ctl({"run", PlanFile()}), 3);
}

TEST_F(LocalRun, LeavingAtOnceDoesNotWaitForTheChildren) {
  world_.controller.streams = {{{At("running", 1000), At("running", 2000), At("running", 3000)},
                                absl::OkStatus(),
                                [this](size_t i) { world_.interrupts = static_cast<int>(i); }}};
  EXPECT_EQ(world_.Ctl({"run", PlanFile()}), 130);
  EXPECT_EQ(world_.cluster_kills, 1);
  EXPECT_EQ(world_.controller.stopped.size(), 1U);
}

TEST(Validate, OneLineAPlan) {
  World world;
  const std::string good = PlanFile();
  const std::string bad = TempFile("bad.yaml", "name: [");
  EXPECT_EQ(world.Ctl({"validate", good}), 0) << world.err;
  EXPECT_THAT(world.out,
              ::testing::StartsWith(good + ": ok (1 target, 2 phases, 00:20, 0 files, sha256 "));
  EXPECT_EQ(world.Ctl({"validate", good, bad}), 1);
  EXPECT_THAT(world.out, HasSubstr(good + ": ok"));
  EXPECT_THAT(world.err, ::testing::StartsWith(bad + ":"));
  EXPECT_THAT(world.err, Not(HasSubstr(good)));
  EXPECT_EQ(world.Ctl({"validate", good, bad, "--output", "json"}), 1);
  const json answer = json::parse(world.out);
  EXPECT_TRUE(answer["plans"][0]["ok"]);
  EXPECT_TRUE(answer["plans"][0]["error"].is_null());
  EXPECT_FALSE(answer["plans"][1]["ok"]);
  EXPECT_EQ(world.err, "");
  EXPECT_TRUE(world.controller.connected.empty());
}

TEST(Schema, IsJson) {
  World world;
  EXPECT_EQ(world.Ctl({"schema"}), 0);
  EXPECT_TRUE(json::parse(world.out).is_object());
}

TEST(Watch, EndsWithTheRunsCode) {
  World world;
  world.controller.streams = {ShortRun()};
  world.controller.report = StoredReport("completed", "VALID", "fail");
  EXPECT_EQ(world.Ctl({"watch", "7f3a2c"}), 4);
  EXPECT_THAT(world.out, HasSubstr("demo · run 7f3a2c"));
  world.interrupts = 1;
  EXPECT_EQ(world.Ctl({"watch", "7f3a2c"}), 130);
  EXPECT_TRUE(world.controller.stopped.empty());
}

}  // namespace
}  // namespace broadside::ctl
