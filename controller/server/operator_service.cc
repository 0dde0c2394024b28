#include "controller/server/operator_service.h"

#include <atomic>
#include <optional>
#include <utility>

#include "absl/synchronization/mutex.h"
#include "common/base/digest.h"
#include "common/rpc/grpc_util.h"

namespace broadside::controller {
namespace {

constexpr size_t kMaxFileBytes = size_t{256} << 20;

class Watcher final : public ProgressSink, public grpc::ServerWriteReactor<v1::Progress> {
 public:
  void Begin(std::shared_ptr<Watcher> self) { self_ = std::move(self); }

  void Push(const v1::Progress& progress) override {
    absl::MutexLock lock(&mutex_);
    if (finished_) return;
    next_ = progress;
    if (!writing_) WriteNext();
  }
  void Fail(const Status& status) override {
    absl::MutexLock lock(&mutex_);
    FinishLocked(rpc::ToGrpc(status));
  }
  bool gone() const override { return gone_; }

  void OnWriteDone(bool ok) override {
    absl::MutexLock lock(&mutex_);
    writing_ = false;
    if (!ok) return FinishLocked(grpc::Status::CANCELLED);
    if (current_.closed()) return FinishLocked(grpc::Status::OK);
    if (next_) WriteNext();
  }
  void OnCancel() override {
    gone_ = true;
    absl::MutexLock lock(&mutex_);
    FinishLocked(grpc::Status::CANCELLED);
  }
  void OnDone() override {
    gone_ = true;
    self_.reset();
  }

 private:
  void WriteNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    writing_ = true;
    current_ = *std::exchange(next_, std::nullopt);
    StartWrite(&current_);
  }
  void FinishLocked(const grpc::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (!std::exchange(finished_, true)) Finish(status);
  }

  std::shared_ptr<Watcher> self_;
  std::atomic<bool> gone_ = false;
  absl::Mutex mutex_;
  std::optional<v1::Progress> next_ ABSL_GUARDED_BY(mutex_);
  v1::Progress current_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
};

/// Collects one file and hands it over.
class FileTaker final : public grpc::ServerReadReactor<v1::PutFileRequest> {
 public:
  explicit FileTaker(const OperatorCalls& calls) : calls_(calls) { StartRead(&chunk_); }

  void OnReadDone(bool ok) override {
    if (!ok) return Done();
    if (!chunk_.sha256().empty()) sha256_ = chunk_.sha256();
    if (content_.size() + chunk_.data().size() > kMaxFileBytes)
      return Finish(grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED,
                                 "a plan's file may have 256 MiB at most"));
    content_ += chunk_.data();
    chunk_.Clear();
    StartRead(&chunk_);
  }
  void OnDone() override { delete this; }

 private:
  void Done() {
    if (Sha256Hex(content_) != sha256_)
      return Finish(grpc::Status(grpc::StatusCode::DATA_LOSS,
                                 "the file's content is not what its hash says"));
    calls_.put_file(sha256_, std::move(content_),
                    [this](const Status& status) { Finish(rpc::ToGrpc(status)); });
  }
  const OperatorCalls& calls_;
  v1::PutFileRequest chunk_;
  std::string sha256_;
  std::string content_;
};

class Service final : public v1::Operator::CallbackService {
 public:
  explicit Service(OperatorCalls calls) : calls_(std::move(calls)) {}

  grpc::ServerUnaryReactor* MissingFiles(grpc::CallbackServerContext* context,
                                         const v1::MissingFilesRequest* request,
                                         v1::MissingFilesReply* reply) override {
    Status status;
    for (const std::string& sha256 : request->sha256()) {
      const StatusOr<bool> has = calls_.has_file(sha256);
      if (!has.ok()) status = has.status();
      if (has.ok() && !*has) reply->add_sha256(sha256);
    }
    return Answer(context, status);
  }

  grpc::ServerReadReactor<v1::PutFileRequest>* PutFile(grpc::CallbackServerContext*,
                                                       v1::PutFileReply*) override {
    return new FileTaker(calls_);
  }

  grpc::ServerUnaryReactor* Submit(grpc::CallbackServerContext* context,
                                   const v1::SubmitRequest* request,
                                   v1::SubmitReply* reply) override {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    calls_.submit(*request, [reactor, reply](const StatusOr<std::string>& run_id) {
      if (run_id.ok()) reply->set_run_id(*run_id);
      reactor->Finish(rpc::ToGrpc(run_id.status()));
    });
    return reactor;
  }

  grpc::ServerWriteReactor<v1::Progress>* Watch(grpc::CallbackServerContext*,
                                                const v1::WatchRequest* request) override {
    auto watcher = std::make_shared<Watcher>();
    watcher->Begin(watcher);
    Watcher* raw = watcher.get();
    calls_.watch(request->run_id(), std::move(watcher));
    return raw;
  }

  grpc::ServerUnaryReactor* StopRun(grpc::CallbackServerContext* context,
                                    const v1::StopRunRequest* request, v1::StopRunReply*) override {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    calls_.stop(request->run_id(), request->reason(),
                [reactor](const Status& status) { reactor->Finish(rpc::ToGrpc(status)); });
    return reactor;
  }

  grpc::ServerUnaryReactor* GetReport(grpc::CallbackServerContext* context,
                                      const v1::GetReportRequest* request,
                                      v1::GetReportReply* reply) override {
    StatusOr<std::string> json = calls_.report(request->run_id());
    if (json.ok()) reply->set_report_json(*std::move(json));
    return Answer(context, json.status());
  }

  grpc::ServerUnaryReactor* ListRuns(grpc::CallbackServerContext* context,
                                     const v1::ListRunsRequest* request,
                                     v1::ListRunsReply* reply) override {
    StatusOr<v1::ListRunsReply> runs = calls_.list_runs(request->limit());
    if (runs.ok()) *reply = *std::move(runs);
    return Answer(context, runs.status());
  }

  grpc::ServerUnaryReactor* ListAgents(grpc::CallbackServerContext* context,
                                       const v1::ListAgentsRequest*,
                                       v1::ListAgentsReply* reply) override {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    calls_.list_agents([reactor, reply](v1::ListAgentsReply agents) {
      *reply = std::move(agents);
      reactor->Finish(grpc::Status::OK);
    });
    return reactor;
  }

 private:
  static grpc::ServerUnaryReactor* Answer(grpc::CallbackServerContext* context,
                                          const Status& status) {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(rpc::ToGrpc(status));
    return reactor;
  }
  OperatorCalls calls_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeOperatorService(OperatorCalls calls) {
  return std::make_unique<Service>(std::move(calls));
}

}  // namespace broadside::controller
