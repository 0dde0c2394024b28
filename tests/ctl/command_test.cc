#include "ctl/command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/report/format.h"
#include "tests/ctl/fake.h"
#include "tests/golden.h"

namespace broadside::ctl {
namespace {

using ::testing::HasSubstr;

TEST(Help, Overview) {
  World world;
  EXPECT_EQ(world.Ctl({"--help"}), 0);
  ExpectGolden("help.txt", world.out);
  EXPECT_EQ(world.err, "");
  const std::string help = world.out;
  EXPECT_EQ(world.Ctl({"help"}), 0);
  EXPECT_EQ(world.out, help);
  EXPECT_EQ(world.Ctl({}), 1);
  EXPECT_EQ(world.out, "");
  EXPECT_EQ(world.err, help);
}

TEST(Help, EveryCommand) {
  for (const char* name :
       {"run", "validate", "schema", "watch", "stop", "report", "runs", "agents", "version"}) {
    World world;
    EXPECT_EQ(world.Ctl({name, "--help"}), 0) << name;
    ExpectGolden(std::string("help-") + name + ".txt", world.out);
    const std::string help = world.out;
    EXPECT_EQ(world.Ctl({"help", name}), 0);
    EXPECT_EQ(world.out, help);
    size_t line = 0;
    for (size_t at = 0; at < help.size(); at = line + 1) {
      line = help.find('\n', at);
      EXPECT_LE(report::DisplayWidth(help.substr(at, line - at)), 105) << name;
    }
  }
}

TEST(Version, IsOneLine) {
  World world;
  EXPECT_EQ(world.Ctl({"version"}), 0);
  EXPECT_THAT(world.out, HasSubstr("ctl 0."));
  const std::string version = world.out;
  EXPECT_EQ(world.Ctl({"--version"}), 0);
  EXPECT_EQ(world.out, version);
}

TEST(Arguments, ErrorsAreOneClearLine) {
  struct Row {
    std::vector<std::string> args;
    const char* message;
  };
  const Row rows[] = {
      {{"rum"}, "ctl: unknown command \"rum\". Did you mean run? See ctl --help.\n"},
      {{"x\x1b[2J"}, "ctl: unknown command \"x?[2J\". See ctl --help.\n"},
      {{"help", "frobnicate"}, "ctl: unknown command \"frobnicate\". See ctl --help.\n"},
      {{"run", "--controler", "a:1"},
       "ctl run: unknown option --controler. Did you mean --controller? See ctl run --help.\n"},
      {{"run", "--zzzzzzzz=3"}, "ctl run: unknown option --zzzzzzzz. See ctl run --help.\n"},
      {{"run", "a.yaml", "b.yaml"},
       "ctl run: unexpected argument \"b.yaml\". See ctl run --help.\n"},
      {{"run", "--rate"}, "ctl run: --rate needs a value: --rate R. See ctl run --help.\n"},
      {{"run", "--rate", "1/s", "--rate", "2/s"},
       "ctl run: --rate was given more than once. See ctl run --help.\n"},
      {{"run", "p.yaml", "--output", "yaml"},
       "ctl run: --output: \"yaml\" is not one of its words. Write text or json. See ctl run "
       "--help.\n"},
      {{"run", "p.yaml", "--agents", "three"},
       "ctl run: --agents: \"three\" is not a whole number between 0 and 4294967295. See ctl run "
       "--help.\n"},
      {{"run", "p.yaml", "--agents", "4294967296"},
       "ctl run: --agents: \"4294967296\" is not a whole number between 0 and 4294967295. See ctl "
       "run --help.\n"},
      {{"stop"}, "ctl stop: needs RUN: the run's id, or the start of it. See ctl stop --help.\n"},
      {{"validate"},
       "ctl validate: needs PLAN: plan files; - reads stdin. See ctl validate --help.\n"},
      {{"schema", "x"}, "ctl schema: unexpected argument \"x\". See ctl schema --help.\n"},
  };
  for (const Row& row : rows) {
    World world;
    EXPECT_EQ(world.Ctl(row.args), 1) << row.message;
    EXPECT_EQ(world.err, row.message);
    EXPECT_EQ(world.out, "");
  }
}

TEST(Arguments, ControllerAddresses) {
  const std::pair<const char*, const char*> rows[] = {
      {"lab", "ctl: --controller: \"lab\" is not HOST:PORT. Write, say, lab:7300 or [::1]:7300.\n"},
      {"lab:",
       "ctl: --controller: \"lab:\" is not HOST:PORT. Write, say, lab:7300 or [::1]:7300.\n"},
      {":7300",
       "ctl: --controller: \":7300\" is not HOST:PORT. Write, say, lab:7300 or [::1]:7300.\n"},
      {"lab:70000",
       "ctl: --controller: \"lab:70000\" is not HOST:PORT. Write, say, lab:7300 or [::1]:7300.\n"},
      {"lab:7x",
       "ctl: --controller: \"lab:7x\" is not HOST:PORT. Write, say, lab:7300 or "
       "[::1]:7300.\n"}};
  for (const auto& [address, message] : rows) {
    World world;
    EXPECT_EQ(world.Ctl({"runs", "--controller", address}), 1);
    EXPECT_EQ(world.err, message);
  }
  World world;
  world.variables["BROADSIDE_CONTROLLER"] = "nonsense";
  EXPECT_EQ(world.Ctl({"runs"}), 1);
  EXPECT_EQ(world.err,
            "ctl: BROADSIDE_CONTROLLER: \"nonsense\" is not HOST:PORT. Write, say, lab:7300 or "
            "[::1]:7300.\n");
  world.variables.clear();
  EXPECT_EQ(world.Ctl({"runs"}), 1);
  EXPECT_EQ(world.err,
            "ctl: which controller? Give --controller HOST:PORT or set BROADSIDE_CONTROLLER.\n");
  EXPECT_EQ(world.Ctl({"runs", "--controller", "[::1]:7300"}), 0);
  EXPECT_EQ(world.controller.connected.back(), "[::1]:7300");
}

TEST(Arguments, TheFlagWinsOverTheVariable) {
  World world;
  EXPECT_EQ(world.Ctl({"runs", "--controller", "other:1"}), 0);
  EXPECT_EQ(world.Ctl({"runs"}), 0);
  EXPECT_EQ(world.controller.connected, (std::vector<std::string>{"other:1", "lab:7300"}));
}

}  // namespace
}  // namespace broadside::ctl
