#include "ctl/local_cluster.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "common/time/clock.h"
#include "ctl/child.h"

namespace broadside::ctl {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

/// Shell scripts stand in for the programs: what is tested is how children are started and ended.
class LocalClusterTest : public ::testing::Test {
 protected:
  LocalClusterTest() {
    root_ = ::testing::TempDir() + "/ctl-cluster-XXXXXX";
    EXPECT_NE(mkdtemp(root_.data()), nullptr);
    store_ = root_ + "/store";
    // "$8" is the value of --port-file, see StartController.
    Program("broadside-controller",
            "echo \"$@\" >&2\nprintf 'grpc 4242\\nhttp 4243\\n' > \"$8\"\n" + Forever());
    Program("broadside-agent", "echo \"$@\" >&2\n" + Forever());
  }
  ~LocalClusterTest() override { fs::remove_all(root_); }

  static std::string Forever() { return "exec sleep 600\n"; }
  void Program(const std::string& name, const std::string& body) {
    const std::string path = root_ + "/" + name;
    std::ofstream(path) << "#!/bin/sh\n" << body;
    ASSERT_EQ(chmod(path.c_str(), 0755), 0);
  }
  StatusOr<std::unique_ptr<Cluster>> Start(ClusterOptions options, uint32_t cores = 8) {
    if (options.store_dir.empty()) options.store_dir = store_;
    return StartLocalCluster(options, {.directory = root_, .cores = cores});
  }
  /// The first line of a log, waited for with a deadline.
  std::string FirstLine(const std::string& name) const {
    const SystemClock clock;
    const Instant deadline = clock.Now() + std::chrono::seconds(10);
    std::string line;
    while (clock.Now() < deadline) {
      std::ifstream file(store_ + "/" + name + ".log");
      if (std::getline(file, line) && !file.eof()) return line;
      std::this_thread::yield();
    }
    return "no line in " + name + ".log";
  }
  static Status WaitForDeath(Cluster& cluster) {
    const SystemClock clock;
    const Instant deadline = clock.Now() + std::chrono::seconds(10);
    while (clock.Now() < deadline) {
      if (Status status = cluster.Check(); !status.ok()) return status;
      std::this_thread::yield();
    }
    return absl::OkStatus();
  }

  std::string root_, store_;
};

TEST_F(LocalClusterTest, StartsAControllerAndAgentsWithTheirFlags) {
  const auto cluster = Start({.agents = 2, .loops = 1, .allow = {"127.0.0.1:8000", "h:1"}});
  ASSERT_TRUE(cluster.ok()) << MessageOf(cluster.status());
  EXPECT_EQ((*cluster)->address(), "127.0.0.1:4242");
  EXPECT_EQ(FirstLine("controller"), "--listen 127.0.0.1:0 --http 127.0.0.1:0 --store " + store_ +
                                         " --port-file " + store_ + "/controller.ports");
  EXPECT_EQ(FirstLine("agent-1"),
            "--controller 127.0.0.1:4242 --http 127.0.0.1:0 --id agent-1 --loops 1 --allow "
            "127.0.0.1:8000 --allow h:1");
  EXPECT_THAT(FirstLine("agent-2"), HasSubstr("--id agent-2"));
  EXPECT_TRUE((*cluster)->Check().ok());
}

TEST_F(LocalClusterTest, AgentsSleepWhenCoresAreFew) {
  {
    const auto cluster = Start({.agents = 3, .loops = 2}, 7);
    ASSERT_TRUE(cluster.ok());
    EXPECT_THAT(FirstLine("agent-3"), Not(HasSubstr("eco")));
  }
  fs::remove_all(store_);
  const auto cluster = Start({.agents = 3, .loops = 2}, 6);
  ASSERT_TRUE(cluster.ok());
  EXPECT_THAT(FirstLine("agent-3"), HasSubstr("--wait eco"));
}

TEST_F(LocalClusterTest, AControllerThatDiesIsExplainedByItsLog) {
  Program("broadside-controller", "echo one >&2\necho 'cannot bind: address in use' >&2\nexit 3\n");
  const auto cluster = Start({});
  ASSERT_FALSE(cluster.ok());
  EXPECT_EQ(MessageOf(cluster.status()),
            "the local controller ended early (exit code 3); its log, " + store_ +
                "/controller.log, ends:\none\ncannot bind: address in use");
}

TEST_F(LocalClusterTest, AnAgentThatDiesIsNoticed) {
  Program("broadside-agent", "echo 'bad flag' >&2\nkill -9 $$\n");
  const auto cluster = Start({});
  ASSERT_TRUE(cluster.ok());
  const Status status = WaitForDeath(**cluster);
  EXPECT_THAT(MessageOf(status), HasSubstr("the local agent-1 ended early (signal 9 (Killed))"));
  EXPECT_THAT(MessageOf(status), HasSubstr("bad flag"));
}

TEST_F(LocalClusterTest, StopAsksFirst) {
  Program("broadside-agent",
          "trap 'echo asked >&2; exit 0' TERM\necho ready >&2\nwhile :; do sleep 0.01; done\n");
  const auto cluster = Start({});
  ASSERT_TRUE(cluster.ok());
  EXPECT_EQ(FirstLine("agent-1"), "ready");
  (*cluster)->Stop();
  EXPECT_EQ(LastLines(store_ + "/agent-1.log", 1), "asked");
  (*cluster)->Stop();  // again: nothing happens
  EXPECT_TRUE(fs::exists(store_));
}

TEST_F(LocalClusterTest, KillDoesNotAsk) {
  Program("broadside-agent",
          "trap 'echo asked >&2; exit 0' TERM\necho ready >&2\nwhile :; do sleep 0.01; done\n");
  const auto cluster = Start({});
  ASSERT_TRUE(cluster.ok());
  EXPECT_EQ(FirstLine("agent-1"), "ready");
  (*cluster)->Kill();
  EXPECT_EQ(LastLines(store_ + "/agent-1.log", 1), "ready");
}

TEST_F(LocalClusterTest, ATemporaryStoreGoesWhenAllWentWell) {
  setenv("TMPDIR", root_.c_str(), 1);
  std::string directory;
  {
    const auto cluster = StartLocalCluster({}, {.directory = root_, .cores = 8});
    ASSERT_TRUE(cluster.ok()) << MessageOf(cluster.status());
    directory = (*cluster)->directory();
    EXPECT_TRUE(fs::exists(directory + "/controller.log"));
  }
  EXPECT_FALSE(fs::exists(directory));
  unsetenv("TMPDIR");
}

TEST_F(LocalClusterTest, MissingProgramsAndBadStoresAreNamed) {
  fs::remove(root_ + "/broadside-agent");
  auto cluster = Start({});
  ASSERT_FALSE(cluster.ok());
  EXPECT_EQ(
      MessageOf(cluster.status()),
      "cannot start the local agent-1: " + root_ +
          "/broadside-agent: No such file or directory. It stands beside ctl after a build; or "
          "give --controller HOST:PORT.");
  cluster = Start({.store_dir = root_ + "/broadside-controller/x"});
  ASSERT_FALSE(cluster.ok());
  EXPECT_THAT(MessageOf(cluster.status()), HasSubstr("--store: "));
  EXPECT_FALSE(Start({.agents = 0}).ok());
}

TEST(LastLines, GivesTheEnd) {
  const std::string path = ::testing::TempDir() + "/last-lines.txt";
  std::ofstream(path) << "a\nb\nc\n\n";
  EXPECT_EQ(LastLines(path, 1), "c");
  EXPECT_EQ(LastLines(path, 2), "b\nc");
  EXPECT_EQ(LastLines(path, 9), "a\nb\nc");
  EXPECT_EQ(LastLines(path + ".none", 3), "");
  fs::remove(path);
}

}  // namespace
}  // namespace broadside::ctl
