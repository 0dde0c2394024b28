#include "controller/server/fleet_service.h"

#include <utility>

#include "absl/synchronization/mutex.h"
#include "common/rpc/grpc_util.h"
#include "common/rpc/write_queue.h"
#include "common/time/clock.h"
#include "common/wire/convert.h"
#include "common/wire/snapshot.h"

namespace broadside::controller {
namespace {

constexpr size_t kMaxQueuedBytes = size_t{32} << 20;

class Stream final : public AgentStream,
                     public grpc::ServerBidiReactor<v1::AgentMessage, v1::ControllerMessage> {
 public:
  explicit Stream(const FleetEvents& events) : events_(events) {}

  /// gRPC's callbacks need the object until OnDone; `self` keeps it.
  void Begin(std::shared_ptr<Stream> self) {
    self_ = std::move(self);
    // At once, so that the agent knows that somebody is there before it speaks.
    StartSendInitialMetadata();
    StartRead(&incoming_);
  }

  void Send(const wire::ControllerMessage& message) override { Queue(wire::ToProto(message)); }

  void Close(const std::string& reason) override {
    absl::MutexLock lock(&mutex_);
    FinishLocked(grpc::Status(grpc::StatusCode::ABORTED, reason));
  }

  void OnReadDone(bool ok) override {
    const Instant received = SystemClock().Now();
    if (!ok) {
      // An agent that leaves cancels its stream; whoever reads this sent something else.
      absl::MutexLock lock(&mutex_);
      return FinishLocked(
          grpc::Status(grpc::StatusCode::INVALID_ARGUMENT,
                       "the stream ended, or what came is no AgentMessage of broadside.v1"));
    }
    if (const Status status = Take(received); !status.ok()) return Close(MessageOf(status));
    incoming_.Clear();
    StartRead(&incoming_);
  }

  void OnWriteDone(bool ok) override {
    absl::MutexLock lock(&mutex_);
    queue_.Written();
    if (ok && !finished_) WriteNext();
  }

  void OnCancel() override {
    absl::MutexLock lock(&mutex_);
    FinishLocked(grpc::Status::CANCELLED);
  }

  void OnDone() override {
    if (greeted_) events_.disconnected(self_, "the stream broke");
    self_.reset();
  }

 private:
  Status Take(Instant received) {
    BROADSIDE_ASSIGN_OR_RETURN(wire::AgentMessage message, wire::FromProto(std::move(incoming_)));
    if (auto* hello = std::get_if<wire::Hello>(&message)) {
      if (greeted_) return InvalidArgument("a second hello on one stream");
      greeted_ = true;
      events_.connected(self_, std::move(*hello));
      return absl::OkStatus();
    }
    if (!greeted_) return InvalidArgument("the first message of a stream must be hello");
    if (auto* snapshot = std::get_if<wire::SnapshotEnvelope>(&message)) {
      BROADSIDE_ASSIGN_OR_RETURN(stats::Snapshot unpacked, wire::UnpackSnapshot(*snapshot));
      events_.snapshot(self_, std::move(*snapshot), std::move(unpacked));
      return absl::OkStatus();
    }
    // The time is told here, without waiting for the core thread: the round trip bounds the clock.
    if (const auto* beat = std::get_if<wire::Heartbeat>(&message))
      Send(wire::HeartbeatReply{beat->sent, received, SystemClock().Now(), BootId()});
    events_.received(self_, std::move(message));
    return absl::OkStatus();
  }

  void Queue(v1::ControllerMessage message) {
    absl::MutexLock lock(&mutex_);
    if (finished_) return;
    if (!queue_.Push(std::move(message)))
      return FinishLocked(
          grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "the agent does not read"));
    WriteNext();
  }
  void WriteNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (const v1::ControllerMessage* next = queue_.StartNext()) StartWrite(next);
  }
  void FinishLocked(const grpc::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (std::exchange(finished_, true)) return;
    Finish(status);
  }

  const FleetEvents& events_;
  v1::AgentMessage incoming_;
  std::shared_ptr<Stream> self_;
  bool greeted_ = false;  // only in read callbacks and OnDone, which never overlap
  absl::Mutex mutex_;
  rpc::WriteQueue<v1::ControllerMessage> queue_ ABSL_GUARDED_BY(mutex_){kMaxQueuedBytes};
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
};

/// Sends one file in chunks.
class FileSender final : public grpc::ServerWriteReactor<v1::FileChunk> {
 public:
  explicit FileSender(StatusOr<std::string> content) {
    if (content.ok()) {
      content_ = *std::move(content);
      Next();
    } else {
      Finish(rpc::ToGrpc(content.status()));
    }
  }
  void OnWriteDone(bool ok) override { ok ? Next() : Finish(grpc::Status::CANCELLED); }
  void OnDone() override { delete this; }

 private:
  void Next() {
    if (at_ >= content_.size()) return Finish(grpc::Status::OK);
    chunk_.set_data(content_.substr(at_, rpc::kChunkBytes));
    at_ += rpc::kChunkBytes;
    StartWrite(&chunk_);
  }
  std::string content_;
  size_t at_ = 0;
  v1::FileChunk chunk_;
};

class Service final : public v1::Fleet::CallbackService {
 public:
  explicit Service(FleetEvents events) : events_(std::move(events)) {}

  grpc::ServerBidiReactor<v1::AgentMessage, v1::ControllerMessage>* Attach(
      grpc::CallbackServerContext*) override {
    auto stream = std::make_shared<Stream>(events_);
    stream->Begin(stream);
    return stream.get();
  }
  grpc::ServerWriteReactor<v1::FileChunk>* FetchFile(grpc::CallbackServerContext*,
                                                     const v1::FetchFileRequest* request) override {
    return new FileSender(events_.file(request->sha256()));
  }

 private:
  FleetEvents events_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeFleetService(FleetEvents events) {
  return std::make_unique<Service>(std::move(events));
}

}  // namespace broadside::controller
