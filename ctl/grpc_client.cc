#include "ctl/grpc_client.h"

#include <algorithm>
#include <chrono>

#include <grpcpp/grpcpp.h>

#include "broadside/v1/operator.grpc.pb.h"

namespace broadside::ctl {
namespace {

using report::Progress;

constexpr auto kCallWithin = std::chrono::seconds(10);
constexpr auto kUploadWithin = std::chrono::seconds(120);
constexpr auto kTick = std::chrono::milliseconds(100);
constexpr size_t kChunk = 256U << 10U;
constexpr int kLargestReport = 512 << 20;

/// The end of gRPC's chain of causes: "Connection refused".
std::string LastCause(const std::string& message) {
  const size_t at = message.rfind(": ");
  return at == std::string::npos ? message : message.substr(at + 2);
}

Progress FromProto(const v1::Progress& from) {
  Progress to;
  to.run_id = from.run_id();
  to.name = from.name();
  to.seed = from.seed();
  to.state = from.state();
  to.message = from.message();
  to.agents.assign(from.agents().begin(), from.agents().end());
  to.phases.assign(from.phases().begin(), from.phases().end());
  to.phase = from.phase();
  to.elapsed_ns = from.elapsed_ns();
  to.total_ns = from.total_ns();
  to.offered = from.offered();
  to.sent_rate = from.sent_rate();
  to.recent_rates.assign(from.recent_rates().begin(), from.recent_rates().end());
  to.in_flight = from.in_flight();
  to.n = from.n();
  if (from.n() > 0) {
    to.p50_ns = from.p50_ns();
    to.p99_ns = from.p99_ns();
  }
  if (from.sent() > 0) {
    to.lag_p99_ns = from.lag_p99_ns();
    to.wait_p99_ns = from.wait_p99_ns();
  }
  to.outcomes.insert(from.outcomes().begin(), from.outcomes().end());
  to.agents_live = from.agents_live();
  if (from.clock_bound_ns() > 0) to.clock_bound_ns = from.clock_bound_ns();
  to.closed = from.closed();
  to.interval = from.interval();
  to.scheduled = from.scheduled();
  to.sent = from.sent();
  return to;
}

class GrpcClient : public OperatorClient {
 public:
  explicit GrpcClient(const std::string& address) : address_(address) {
    grpc::ChannelArguments arguments;
    // A proxy for web pages is not the way to a controller.
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    arguments.SetMaxReceiveMessageSize(kLargestReport);
    // A controller that vanished without a word is noticed within half a minute.
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 20'000);
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 5'000);
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1'000);
    channel_ = grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
    stub_ = v1::Operator::NewStub(channel_);
  }

  StatusOr<std::string> Submit(const Submission& submission) override;
  Status Watch(const std::string& run, const std::function<void(const Progress&)>& on_progress,
               const std::function<bool()>& on_tick) override;
  Status StopRun(const std::string& run, const std::string& reason) override;
  StatusOr<std::string> GetReport(const std::string& run) override;
  StatusOr<std::vector<RunInfo>> ListRuns(uint32_t limit) override;
  StatusOr<std::vector<AgentInfo>> ListAgents() override;

 private:
  Status Upload(const std::string& sha256, const std::string& content);
  Status FromGrpc(const grpc::Status& status) const;
  Status NotAController() const;

  template <typename Request, typename Reply, typename Method>
  StatusOr<Reply> Call(Method method, const Request& request) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kCallWithin);
    Reply reply;
    BROADSIDE_RETURN_IF_ERROR(FromGrpc(((*stub_).*method)(&context, request, &reply)));
    return reply;
  }

  std::string address_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::Operator::Stub> stub_;
};

Status GrpcClient::NotAController() const {
  return Unavailable("what listens at " + address_ +
                     " is no Broadside controller of this version; give the gRPC port (7300), not "
                     "the HTTP one");
}

Status GrpcClient::FromGrpc(const grpc::Status& status) const {
  if (status.ok()) return absl::OkStatus();
  switch (status.error_code()) {
    case grpc::StatusCode::UNAVAILABLE:
      if (status.error_message().find("http1") != std::string::npos) return NotAController();
      return Unavailable("cannot reach the controller at " + address_ + ": " +
                         LastCause(status.error_message()) +
                         "; is it running? Start broadside-controller, or give its --controller "
                         "HOST:PORT.");
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return DeadlineExceeded(
          "the controller at " + address_ +
          " did not answer in time; is that its gRPC port, and is the way to it "
          "open?");
    case grpc::StatusCode::UNIMPLEMENTED:
      return NotAController();
    default:
      // The controller's own words; the codes of gRPC and Abseil are the same numbers.
      return Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
  }
}

Status GrpcClient::Upload(const std::string& sha256, const std::string& content) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kUploadWithin);
  v1::PutFileReply reply;
  const auto writer = stub_->PutFile(&context, &reply);
  size_t at = 0;
  do {
    v1::PutFileRequest request;
    if (at == 0) request.set_sha256(sha256);
    request.set_data(content.substr(at, kChunk));
    at += kChunk;
    // A write that fails has its reason in Finish.
    if (!writer->Write(request)) break;
  } while (at < content.size());
  writer->WritesDone();
  return FromGrpc(writer->Finish());
}

StatusOr<std::string> GrpcClient::Submit(const Submission& submission) {
  v1::MissingFilesRequest have;
  for (const auto& [sha256, content] : submission.files) have.add_sha256(sha256);
  if (!submission.files.empty()) {
    BROADSIDE_ASSIGN_OR_RETURN(const v1::MissingFilesReply missing,
                               (Call<v1::MissingFilesRequest, v1::MissingFilesReply>(
                                   &v1::Operator::Stub::MissingFiles, have)));
    for (const std::string& sha256 : missing.sha256()) {
      const auto file = submission.files.find(sha256);
      if (file != submission.files.end()) BROADSIDE_RETURN_IF_ERROR(Upload(sha256, file->second));
    }
  }
  v1::SubmitRequest request;
  request.set_plan_json(submission.plan_json);
  request.set_submitted_by(submission.submitted_by);
  request.set_no_wait(submission.no_wait);
  BROADSIDE_ASSIGN_OR_RETURN(
      const v1::SubmitReply reply,
      (Call<v1::SubmitRequest, v1::SubmitReply>(&v1::Operator::Stub::Submit, request)));
  return reply.run_id();
}

Status GrpcClient::Watch(const std::string& run,
                         const std::function<void(const Progress&)>& on_progress,
                         const std::function<bool()>& on_tick) {
  v1::WatchRequest request;
  request.set_run_id(run);
  grpc::CompletionQueue queue;
  grpc::ClientContext context;
  v1::Progress message;
  grpc::Status status;
  bool closed = false, left = false, finishing = false;
  // The queue has one event at a time: the start, then reads, then the finish.
  int started = 0, read = 0, finish = 0;
  const auto reader = stub_->AsyncWatch(&context, request, &queue, &started);
  while (true) {
    void* tag = nullptr;
    bool good = false;
    const auto next = queue.AsyncNext(&tag, &good, std::chrono::system_clock::now() + kTick);
    if (!left && !on_tick()) {
      left = true;
      context.TryCancel();
    }
    if (next == grpc::CompletionQueue::TIMEOUT) continue;
    if (tag == &finish) break;
    if (tag == &read && good) {
      closed = closed || message.closed();
      if (!left) on_progress(FromProto(message));
    }
    if (good && !closed) {
      reader->Read(&message, &read);
    } else if (!finishing) {
      finishing = true;
      if (closed) context.TryCancel();  // nothing follows the last word
      reader->Finish(&status, &finish);
    }
  }
  queue.Shutdown();
  void* tag = nullptr;
  bool good = false;
  while (queue.Next(&tag, &good)) {
  }
  if (closed) return absl::OkStatus();
  if (left) return Cancelled("left");
  if (status.ok()) {
    return Unavailable("the controller at " + address_ +
                       " ended the stream before the run was closed");
  }
  return FromGrpc(status);
}

Status GrpcClient::StopRun(const std::string& run, const std::string& reason) {
  v1::StopRunRequest request;
  request.set_run_id(run);
  request.set_reason(reason);
  return Call<v1::StopRunRequest, v1::StopRunReply>(&v1::Operator::Stub::StopRun, request).status();
}

StatusOr<std::string> GrpcClient::GetReport(const std::string& run) {
  v1::GetReportRequest request;
  request.set_run_id(run);
  BROADSIDE_ASSIGN_OR_RETURN(
      const v1::GetReportReply reply,
      (Call<v1::GetReportRequest, v1::GetReportReply>(&v1::Operator::Stub::GetReport, request)));
  return reply.report_json();
}

StatusOr<std::vector<RunInfo>> GrpcClient::ListRuns(uint32_t limit) {
  v1::ListRunsRequest request;
  request.set_limit(limit);
  BROADSIDE_ASSIGN_OR_RETURN(
      const v1::ListRunsReply reply,
      (Call<v1::ListRunsRequest, v1::ListRunsReply>(&v1::Operator::Stub::ListRuns, request)));
  std::vector<RunInfo> runs;
  for (const v1::RunInfo& run : reply.runs()) {
    runs.push_back({run.run_id(), run.name(), run.state(), run.reason(), run.submitted_wall_ns(),
                    run.ended_wall_ns(), run.validity()});
  }
  return runs;
}

StatusOr<std::vector<AgentInfo>> GrpcClient::ListAgents() {
  BROADSIDE_ASSIGN_OR_RETURN(
      const v1::ListAgentsReply reply,
      (Call<v1::ListAgentsRequest, v1::ListAgentsReply>(&v1::Operator::Stub::ListAgents, {})));
  std::vector<AgentInfo> agents;
  for (const v1::AgentInfo& from : reply.agents()) {
    AgentInfo to;
    to.id = from.id();
    to.incarnation = from.incarnation();
    to.state = from.state();
    to.reason = from.reason();
    to.run_id = from.run_id();
    to.host = from.host();
    to.version = from.version();
    to.loops = from.loops();
    to.cores = from.cores();
    to.rate_ceiling = from.rate_ceiling();
    to.labels.insert(from.labels().begin(), from.labels().end());
    to.last_heard_s = from.last_heard_s();
    agents.push_back(std::move(to));
  }
  return agents;
}

}  // namespace

std::unique_ptr<OperatorClient> MakeGrpcClient(const std::string& address) {
  return std::make_unique<GrpcClient>(address);
}

}  // namespace broadside::ctl
