#include "agent/control/fleet_stream.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <thread>
#include <utility>

#include "absl/synchronization/mutex.h"
#include "broadside/v1/fleet.grpc.pb.h"
#include "common/base/digest.h"
#include "common/rpc/grpc_util.h"
#include "common/rpc/write_queue.h"
#include "common/time/clock.h"
#include "common/wire/convert.h"

namespace broadside::agent {
namespace {

constexpr size_t kMaxQueuedBytes = size_t{128} << 20;

class Stream final : public FleetStream,
                     public grpc::ClientBidiReactor<v1::AgentMessage, v1::ControllerMessage> {
 public:
  Stream(const std::string& controller, Post post)
      : stub_(v1::Fleet::NewStub(rpc::NewChannel(controller))), post_(std::move(post)) {}

  /// gRPC's callbacks need the object until OnDone; `self` keeps it.
  void Begin(std::shared_ptr<Stream> self) {
    self_ = std::move(self);
    stub_->async()->Attach(&context_, this);
    AddHold();  // writes come from outside of callbacks
    StartRead(&incoming_);
    StartCall();
  }

  void Send(const wire::AgentMessage& message) override {
    v1::AgentMessage out = wire::ToProto(message);
    absl::MutexLock lock(&mutex_);
    if (done_ || closing_) return;
    if (!queue_.Push(std::move(out))) return CloseLocked("the controller does not read");
    WriteNext();
  }

  void Close(const std::string& reason) override {
    absl::MutexLock lock(&mutex_);
    if (!done_ && !closing_) CloseLocked(reason);
  }

  void OnReadInitialMetadataDone(bool ok) override {
    if (ok) post_(StreamUp{});
  }

  void OnReadDone(bool ok) override {
    if (!ok) {
      absl::MutexLock lock(&mutex_);
      return ReleaseLocked();
    }
    const Instant received = SystemClock().Now();
    StatusOr<wire::ControllerMessage> message = wire::FromProto(std::move(incoming_));
    if (message.ok())
      post_(FromController{*std::move(message), received});
    else
      Close("the controller sent " + MessageOf(message.status()));
    incoming_.Clear();
    StartRead(&incoming_);
  }

  void OnWriteDone(bool ok) override {
    absl::MutexLock lock(&mutex_);
    queue_.Written();
    if (ok && !closing_) WriteNext();
  }

  void OnDone(const grpc::Status& status) override {
    std::string reason;
    {
      absl::MutexLock lock(&mutex_);
      done_ = true;
      reason = !why_.empty() ? why_ : status.ok() ? "it closed the stream" : status.error_message();
    }
    post_(StreamDown{reason});
    // The end of a process's last channel joins gRPC's callback threads, and this is one of them.
    std::thread([self = std::move(self_)] {}).detach();
  }

 private:
  void WriteNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (const v1::AgentMessage* next = queue_.StartNext()) StartWrite(next);
  }
  void CloseLocked(const std::string& reason) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    closing_ = true;
    why_ = reason;
    context_.TryCancel();
    ReleaseLocked();
  }
  void ReleaseLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (!std::exchange(hold_released_, true)) RemoveHold();
    closing_ = true;
  }

  std::unique_ptr<v1::Fleet::Stub> stub_;
  grpc::ClientContext context_;
  Post post_;
  v1::ControllerMessage incoming_;
  std::shared_ptr<Stream> self_;
  absl::Mutex mutex_;
  rpc::WriteQueue<v1::AgentMessage> queue_ ABSL_GUARDED_BY(mutex_){kMaxQueuedBytes};
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
  bool done_ ABSL_GUARDED_BY(mutex_) = false;
  bool hold_released_ ABSL_GUARDED_BY(mutex_) = false;
  std::string why_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

std::shared_ptr<FleetStream> FleetStream::Open(const std::string& controller, Post post) {
  auto stream = std::make_shared<Stream>(controller, std::move(post));
  stream->Begin(stream);
  return stream;
}

StatusOr<std::string> FetchFile(const std::string& controller, const std::string& sha256,
                                Nanos deadline) {
  const auto stub = v1::Fleet::NewStub(rpc::NewChannel(controller));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + deadline);
  v1::FetchFileRequest request;
  request.set_sha256(sha256);
  const auto reader = stub->FetchFile(&context, request);
  std::string content;
  v1::FileChunk chunk;
  while (reader->Read(&chunk)) content += chunk.data();
  BROADSIDE_RETURN_IF_ERROR(rpc::FromGrpc(reader->Finish()));
  if (Sha256Hex(content) != sha256)
    return DataLoss("file " + sha256.substr(0, 12) + "… arrived damaged from the controller");
  return content;
}

}  // namespace broadside::agent
