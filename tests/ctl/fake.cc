#include "tests/ctl/fake.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>

#include "common/report/json.h"

namespace broadside::ctl {

StatusOr<std::string> FakeClient::Submit(const Submission& submission) {
  c_.submitted.push_back(submission);
  return c_.submit;
}

Status FakeClient::Watch(const std::string& run,
                         const std::function<void(const report::Progress&)>& on_progress,
                         const std::function<bool()>& on_tick) {
  c_.watched.push_back(run);
  FakeController::Stream stream;
  if (!c_.streams.empty()) stream = c_.streams.front();
  if (c_.streams.size() > 1) c_.streams.pop_front();
  for (size_t i = 0; i < stream.messages.size(); ++i) {
    if (stream.before) stream.before(i);
    if (!on_tick()) return Cancelled("left");
    on_progress(stream.messages[i]);
  }
  return stream.end;
}

Status FakeClient::StopRun(const std::string& run, const std::string& reason) {
  c_.stopped.push_back(run);
  c_.reasons.push_back(reason);
  return c_.stop;
}

World::World() {
  env.in = &in;
  env.out = &out_stream;
  env.err = &err_stream;
  env.user = "ann@lab";
  env.variable = [this](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    return found == variables.end() ? std::nullopt : std::optional<std::string>(found->second);
  };
  env.connect = [this](const std::string& address) -> StatusOr<std::unique_ptr<OperatorClient>> {
    controller.connected.push_back(address);
    return std::make_unique<FakeClient>(controller);
  };
  env.start_cluster = [this](const ClusterOptions& options) -> StatusOr<std::unique_ptr<Cluster>> {
    clusters.push_back(options);
    if (!cluster_start.ok()) return cluster_start.status();
    return std::make_unique<FakeCluster>(cluster_stops, cluster_kills, cluster_check);
  };
  env.interrupts = [this] { return interrupts; };
  env.sleep = [this](Nanos) { ++sleeps; };
}

int World::Ctl(const std::vector<std::string>& args) {
  out_stream.str("");
  err_stream.str("");
  const int code = Main(args, env);
  out = out_stream.str();
  err = err_stream.str();
  return code;
}

std::string StoredReport(const std::string& state, const std::string& validity,
                         const std::string& slo, const std::string& breaker) {
  report::Report report;
  report.run_id = "7f3a2c";
  report.name = "demo";
  report.state = state;
  report.validity.verdict = validity;
  report.slo = slo;
  report.breaker = breaker;
  return report::ReportJsonText(report);
}

report::Progress At(const std::string& state, int64_t elapsed_ms, bool closed) {
  report::Progress progress;
  progress.run_id = "7f3a2c";
  progress.name = "demo";
  progress.state = state;
  progress.agents = {"a", "b"};
  progress.agents_live = 2;
  progress.phases = {"hold"};
  progress.elapsed_ns = elapsed_ms * 1'000'000;
  progress.total_ns = 10'000'000'000;
  progress.offered = 100;
  progress.sent_rate = 100;
  progress.closed = closed;
  return progress;
}

FakeController::Stream ShortRun(const std::string& end_state) {
  return {{At("running", 1000), At(end_state, 2000, true)}, absl::OkStatus()};
}

std::string TempFile(const std::string& name, const std::string& content) {
  std::string directory = ::testing::TempDir() + "/ctl-test-XXXXXX";
  EXPECT_NE(mkdtemp(directory.data()), nullptr);
  const std::string path = directory + "/" + name;
  std::ofstream(path, std::ios::binary) << content;
  return path;
}

}  // namespace broadside::ctl
