#include "ctl/grpc_client.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <thread>

#include "broadside/v1/fleet.grpc.pb.h"
#include "broadside/v1/operator.grpc.pb.h"

namespace broadside::ctl {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

/// A controller that says what the test tells it to.
class Scripted final : public v1::Operator::Service {
 public:
  grpc::Status MissingFiles(grpc::ServerContext*, const v1::MissingFilesRequest* request,
                            v1::MissingFilesReply* reply) override {
    for (const std::string& sha256 : request->sha256()) {
      if (sha256 != known) reply->add_sha256(sha256);
    }
    return status;
  }
  grpc::Status PutFile(grpc::ServerContext*, grpc::ServerReader<v1::PutFileRequest>* reader,
                       v1::PutFileReply*) override {
    v1::PutFileRequest request;
    std::string sha256, content;
    while (reader->Read(&request)) {
      if (!request.sha256().empty()) sha256 = request.sha256();
      content += request.data();
      ++chunks;
    }
    files[sha256] = content;
    return status;
  }
  grpc::Status Submit(grpc::ServerContext*, const v1::SubmitRequest* request,
                      v1::SubmitReply* reply) override {
    submitted = *request;
    reply->set_run_id("7f3a2c");
    return status;
  }
  grpc::Status Watch(grpc::ServerContext* context, const v1::WatchRequest*,
                     grpc::ServerWriter<v1::Progress>* writer) override {
    for (const v1::Progress& message : messages) writer->Write(message);
    // Without an end of its own the stream lasts until the client leaves.
    while (endless && !context->IsCancelled()) std::this_thread::yield();
    return status;
  }
  grpc::Status StopRun(grpc::ServerContext*, const v1::StopRunRequest* request,
                       v1::StopRunReply*) override {
    stopped = request->run_id() + ": " + request->reason();
    return status;
  }
  grpc::Status GetReport(grpc::ServerContext*, const v1::GetReportRequest*,
                         v1::GetReportReply* reply) override {
    reply->set_report_json(report);
    return status;
  }
  grpc::Status ListRuns(grpc::ServerContext*, const v1::ListRunsRequest* request,
                        v1::ListRunsReply* reply) override {
    v1::RunInfo* run = reply->add_runs();
    run->set_run_id("7f3a2c");
    run->set_name("limit " + std::to_string(request->limit()));
    run->set_submitted_wall_ns(5);
    return status;
  }
  grpc::Status ListAgents(grpc::ServerContext*, const v1::ListAgentsRequest*,
                          v1::ListAgentsReply* reply) override {
    v1::AgentInfo* agent = reply->add_agents();
    agent->set_id("a");
    agent->set_rate_ceiling(1500);
    (*agent->mutable_labels())["zone"] = "b";
    return status;
  }

  grpc::Status status;
  std::string known, report = "{}", stopped;
  std::map<std::string, std::string> files;
  int chunks = 0;
  v1::SubmitRequest submitted;
  std::vector<v1::Progress> messages;
  bool endless = false;
};

class GrpcClientTest : public ::testing::Test {
 protected:
  void Serve(grpc::Service* service) {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(service);
    server_ = builder.BuildAndStart();
    ASSERT_NE(server_, nullptr);
    address_ = "127.0.0.1:" + std::to_string(port);
    client_ = MakeGrpcClient(address_);
  }
  ~GrpcClientTest() override {
    client_.reset();
    if (server_ != nullptr) server_->Shutdown(std::chrono::system_clock::now());
  }

  Scripted scripted_;
  v1::Fleet::Service fleet_;  // answers every call, but not these
  std::unique_ptr<grpc::Server> server_;
  std::string address_;
  std::unique_ptr<OperatorClient> client_;
};

v1::Progress Message(const std::string& state, bool closed) {
  v1::Progress message;
  message.set_run_id("7f3a2c");
  message.set_state(state);
  message.add_agents("a");
  message.set_closed(closed);
  return message;
}

TEST_F(GrpcClientTest, SubmitSendsOnlyTheFilesThatAreMissing) {
  Serve(&scripted_);
  scripted_.known = "aa";
  const std::string large(600'000, 'x');
  const auto run = client_->Submit({.plan_json = "{}",
                                    .files = {{"aa", "old"}, {"bb", large}, {"cc", ""}},
                                    .submitted_by = "ann@lab",
                                    .no_wait = true});
  ASSERT_TRUE(run.ok()) << MessageOf(run.status());
  EXPECT_EQ(*run, "7f3a2c");
  EXPECT_EQ(scripted_.files, (std::map<std::string, std::string>{{"bb", large}, {"cc", ""}}));
  EXPECT_EQ(scripted_.chunks, 4);
  EXPECT_EQ(scripted_.submitted.submitted_by(), "ann@lab");
  EXPECT_TRUE(scripted_.submitted.no_wait());
}

TEST_F(GrpcClientTest, WatchEndsWithTheLastWord) {
  Serve(&scripted_);
  v1::Progress running = Message("running", false);
  running.set_n(3);
  running.set_p99_ns(7);
  scripted_.messages = {Message("waiting", false), running, Message("completed", true)};
  std::vector<report::Progress> seen;
  int ticks = 0;
  const Status status = client_->Watch(
      "7f", [&](const report::Progress& progress) { seen.push_back(progress); },
      [&] { return ++ticks > 0; });
  ASSERT_TRUE(status.ok()) << MessageOf(status);
  ASSERT_EQ(seen.size(), 3U);
  EXPECT_EQ(seen[1].p99_ns, 7);
  EXPECT_FALSE(seen[0].p99_ns.has_value());
  EXPECT_TRUE(seen[2].closed);
  EXPECT_GT(ticks, 0);
}

TEST_F(GrpcClientTest, WatchIsLeftWhenTheTickSaysSo) {
  Serve(&scripted_);
  scripted_.messages = {Message("running", false)};
  scripted_.endless = true;
  bool seen = false;
  const Status status = client_->Watch(
      "7f", [&](const report::Progress&) { seen = true; }, [&] { return !seen; });
  EXPECT_TRUE(absl::IsCancelled(status));
  EXPECT_TRUE(seen);
}

TEST_F(GrpcClientTest, AStreamWithoutALastWordIsALoss) {
  Serve(&scripted_);
  scripted_.messages = {Message("running", false)};
  const Status status = client_->Watch(
      "7f", [](const report::Progress&) {}, [] { return true; });
  EXPECT_TRUE(absl::IsUnavailable(status));
  EXPECT_THAT(MessageOf(status), HasSubstr("ended the stream before the run was closed"));
}

TEST_F(GrpcClientTest, ListsAndStops) {
  Serve(&scripted_);
  const auto runs = client_->ListRuns(9);
  ASSERT_TRUE(runs.ok());
  EXPECT_EQ(runs->at(0).name, "limit 9");
  EXPECT_EQ(runs->at(0).submitted_wall_ns, 5);
  const auto agents = client_->ListAgents();
  ASSERT_TRUE(agents.ok());
  EXPECT_EQ(agents->at(0).rate_ceiling, 1500);
  EXPECT_EQ(agents->at(0).labels.at("zone"), "b");
  EXPECT_TRUE(client_->StopRun("7f", "enough").ok());
  EXPECT_EQ(scripted_.stopped, "7f: enough");
  scripted_.report = std::string(20U << 20U, ' ');
  const auto report = client_->GetReport("7f");
  ASSERT_TRUE(report.ok()) << "reports may be larger than gRPC's 4 MB: "
                           << MessageOf(report.status());
  EXPECT_EQ(report->size(), scripted_.report.size());
}

TEST_F(GrpcClientTest, TheControllersOwnWordsPass) {
  Serve(&scripted_);
  scripted_.status = grpc::Status(grpc::StatusCode::NOT_FOUND, "no run \"zz\"");
  EXPECT_EQ(client_->GetReport("zz").status(), NotFound("no run \"zz\""));
  EXPECT_EQ(client_->StopRun("zz", ""), NotFound("no run \"zz\""));
}

TEST_F(GrpcClientTest, NobodyThereIsSaidInOneLine) {
  Serve(&scripted_);
  server_->Shutdown(std::chrono::system_clock::now());
  const Status status = client_->ListRuns(1).status();
  EXPECT_TRUE(absl::IsUnavailable(status));
  EXPECT_EQ(MessageOf(status), "cannot reach the controller at " + address_ +
                                   ": Connection refused; is it running? Start "
                                   "broadside-controller, or give its --controller HOST:PORT.");
}

TEST_F(GrpcClientTest, AnotherServiceIsNamedAsSuch) {
  Serve(&fleet_);
  const Status status = client_->ListRuns(1).status();
  EXPECT_TRUE(absl::IsUnavailable(status));
  EXPECT_THAT(MessageOf(status), StartsWith("what listens at " + address_ + " is no Broadside"));
}

}  // namespace
}  // namespace broadside::ctl
