#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "common/report/report.h"
#include "ctl/command.h"
#include "ctl/env.h"

namespace broadside::ctl {

/// What a controller would answer, and what it was asked.
struct FakeController {
  StatusOr<std::string> submit = std::string("7f3a2c");
  StatusOr<std::string> report = NotFound("run 7f3a2c has no report");
  StatusOr<std::vector<RunInfo>> runs = std::vector<RunInfo>();
  StatusOr<std::vector<AgentInfo>> agents = std::vector<AgentInfo>();
  Status stop = absl::OkStatus();
  /// One watch each: the messages, then how the stream ends. The last one repeats. `before` is
  /// called ahead of each message (to press Ctrl-C, say).
  struct Stream {
    std::vector<report::Progress> messages;
    Status end;
    std::function<void(size_t message)> before = nullptr;
  };
  std::deque<Stream> streams;

  std::vector<Submission> submitted;
  std::vector<std::string> watched, stopped, reasons, connected;
  int agent_calls = 0;
};

class FakeClient : public OperatorClient {
 public:
  explicit FakeClient(FakeController& controller) : c_(controller) {}
  StatusOr<std::string> Submit(const Submission& submission) override;
  Status Watch(const std::string& run,
               const std::function<void(const report::Progress&)>& on_progress,
               const std::function<bool()>& on_tick) override;
  Status StopRun(const std::string& run, const std::string& reason) override;
  StatusOr<std::string> GetReport(const std::string&) override { return c_.report; }
  StatusOr<std::vector<RunInfo>> ListRuns(uint32_t) override { return c_.runs; }
  StatusOr<std::vector<AgentInfo>> ListAgents() override {
    ++c_.agent_calls;
    return c_.agents;
  }

 private:
  FakeController& c_;
};

class FakeCluster : public Cluster {
 public:
  FakeCluster(int& stops, int& kills, Status& check)
      : stops_(stops), kills_(kills), check_(check) {}
  std::string address() const override { return "127.0.0.1:7"; }
  std::string directory() const override { return "/store"; }
  Status Check() override { return check_; }
  void Stop() override { ++stops_; }
  void Kill() override { kills_ += 1; }

 private:
  int& stops_;
  int& kills_;
  Status& check_;
};

/// ctl with a world of the test's own.
struct World {
  World();
  /// Runs ctl; what it wrote is in out and err.
  int Ctl(const std::vector<std::string>& args);

  FakeController controller;
  std::map<std::string, std::string> variables = {{"BROADSIDE_CONTROLLER", "lab:7300"}};
  int interrupts = 0;
  int sleeps = 0;
  std::vector<ClusterOptions> clusters;
  StatusOr<int> cluster_start = 0;
  Status cluster_check;
  int cluster_stops = 0, cluster_kills = 0;
  Env env;
  std::stringstream in, out_stream, err_stream;
  std::string out, err;
};

/// A stored report whose run ended in `state` with these verdicts.
std::string StoredReport(const std::string& state, const std::string& validity,
                         const std::string& slo = "none", const std::string& breaker = "none");
report::Progress At(const std::string& state, int64_t elapsed_ms, bool closed = false);
/// A run that says two things and closes.
FakeController::Stream ShortRun(const std::string& end_state = "completed");

/// Writes a file into a fresh temporary directory and gives its path.
std::string TempFile(const std::string& name, const std::string& content);

}  // namespace broadside::ctl
