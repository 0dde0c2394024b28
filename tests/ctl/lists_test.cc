#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/ctl/fake.h"

namespace broadside::ctl {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

TEST(Runs, TableAndJson) {
  World world;
  world.controller.runs =
      std::vector<RunInfo>{{"9a0b1c", "bert", "running", "", 1'795'600'931'000'000'000, 0, ""},
                           {"7f3a2c", "demo", "aborted", "guard fired", 1'795'600'000'000'000'000,
                            1'795'600'075'000'000'000, "VALID"}};
  EXPECT_EQ(world.Ctl({"runs"}), 0);
  EXPECT_EQ(world.out,
            "run     plan  state    validity  submitted (UTC)       took\n"
            "9a0b1c  bert  running  –         2026-11-25 10:02:11      –\n"
            "7f3a2c  demo  aborted  VALID     2026-11-25 09:46:40  01:15  guard fired\n");
  EXPECT_EQ(world.Ctl({"runs", "--output", "json"}), 0);
  const json answer = json::parse(world.out);
  EXPECT_EQ(answer["runs"][1]["id"], "7f3a2c");
  EXPECT_TRUE(answer["runs"][0]["ended"].is_null());
  EXPECT_TRUE(answer["runs"][0]["validity"].is_null());
}

TEST(Runs, NoneYetSaysWhatToDo) {
  World world;
  EXPECT_EQ(world.Ctl({"runs"}), 0);
  EXPECT_EQ(world.out, "no runs yet; start one with ctl run plan.yaml\n");
}

TEST(Agents, TableAndJson) {
  World world;
  world.controller.agents = std::vector<AgentInfo>{{"agent-a",
                                                    "00000000000000a1",
                                                    "running",
                                                    "",
                                                    "7f3a2c",
                                                    "n1",
                                                    "0.1.0",
                                                    2,
                                                    8,
                                                    5000,
                                                    {{"zone", "a"}},
                                                    0.31},
                                                   {"agent-b",
                                                    "00000000000000b2",
                                                    "refused",
                                                    "schedule 2, this controller has 1",
                                                    "",
                                                    "n2",
                                                    "0.2.0",
                                                    1,
                                                    4,
                                                    0,
                                                    {},
                                                    2}};
  EXPECT_EQ(world.Ctl({"agents"}), 0);
  EXPECT_EQ(world.out,
            "agent    state    run     host  loops  cores  ceiling      heard  version  labels\n"
            "agent-a  running  7f3a2c  n1        2      8  5,000/s  0.3 s ago  0.1.0    zone=a\n"
            "agent-b  refused  –       n2        1      4     none  2.0 s ago  0.2.0            "
            "schedule 2, "
            "this controller has 1\n");
  EXPECT_EQ(world.Ctl({"agents", "--output", "json"}), 0);
  const json answer = json::parse(world.out);
  EXPECT_EQ(answer["agents"][0]["labels"]["zone"], "a");
  EXPECT_TRUE(answer["agents"][1]["rate_ceiling"].is_null());
}

TEST(Lists, AnUnreachableControllerIsTwo) {
  World world;
  const Status away = Unavailable("cannot reach the controller at lab:7300: Connection refused");
  world.controller.runs = away;
  world.controller.agents = away;
  world.controller.report = away;
  world.controller.stop = away;
  for (const std::vector<std::string>& args :
       {std::vector<std::string>{"runs"}, {"agents"}, {"report", "7f"}, {"stop", "7f"}}) {
    EXPECT_EQ(world.Ctl(args), 2) << args[0];
    EXPECT_EQ(world.err, "ctl: cannot reach the controller at lab:7300: Connection refused\n");
    EXPECT_EQ(world.out, "");
  }
}

TEST(Stop, SaysWhatHappens) {
  World world;
  EXPECT_EQ(world.Ctl({"stop", "7f3a2c", "--reason", "wrong cluster"}), 0);
  EXPECT_EQ(world.out, "stopping run 7f3a2c: agents fall silent within 3 s\n");
  EXPECT_EQ(world.Ctl({"stop", "7f3a2c", "--output", "json"}), 0);
  EXPECT_EQ(json::parse(world.out)["run"], "7f3a2c");
  EXPECT_EQ(world.controller.reasons,
            (std::vector<std::string>{"wrong cluster", "stopped by ann@lab"}));
}

TEST(Stop, AnUnknownRunIsAUsageError) {
  World world;
  world.controller.stop = NotFound("no run \"zz\"; see ctl runs");
  EXPECT_EQ(world.Ctl({"stop", "zz"}), 1);
  EXPECT_EQ(world.err, "ctl: no run \"zz\"; see ctl runs\n");
}

TEST(Report, TextJsonAndExitCode) {
  World world;
  world.controller.report = StoredReport("completed", "VALID", "fail");
  EXPECT_EQ(world.Ctl({"report", "7f3a2c"}), 0);
  EXPECT_THAT(world.out, HasSubstr("demo · run 7f3a2c"));
  EXPECT_EQ(world.Ctl({"report", "7f3a2c", "--exit-code"}), 4);
  EXPECT_EQ(world.Ctl({"report", "7f3a2c", "--output", "json"}), 0);
  EXPECT_EQ(world.out, *world.controller.report);
  world.controller.report = NotFound("run 7f3a2c has no report yet; it is running");
  EXPECT_EQ(world.Ctl({"report", "7f3a2c"}), 1);
  EXPECT_EQ(world.err, "ctl: run 7f3a2c has no report yet; it is running\n");
}

TEST(Report, ASavedFileNeedsNoController) {
  World world;
  world.variables.clear();
  const std::string path = TempFile("r.json", StoredReport("cancelled", "VALID"));
  EXPECT_EQ(world.Ctl({"report", path, "--exit-code"}), 130);
  EXPECT_THAT(world.out, HasSubstr("CANCELLED"));
  EXPECT_TRUE(world.controller.connected.empty());
  const std::string broken = TempFile("r.json", "{}");
  EXPECT_EQ(world.Ctl({"report", broken}), 1);
  EXPECT_THAT(world.err, HasSubstr("ctl: report: no \"schema\" key"));
}

}  // namespace
}  // namespace broadside::ctl
