#pragma once

#include <functional>
#include <memory>
#include <string>

#include "broadside/v1/operator.grpc.pb.h"
#include "common/base/status.h"

namespace broadside::controller {

/// Where a watcher's progress goes. Any thread.
class ProgressSink {
 public:
  virtual ~ProgressSink() = default;
  /// The newest value counts: one that could not be sent yet is replaced. `closed` ends the stream.
  virtual void Push(const v1::Progress& progress) = 0;
  virtual void Fail(const Status& status) = 0;
  virtual bool gone() const = 0;
};

/// What the service asks of the core thread. Each is called on gRPC's threads and answers through
/// its callback, on any thread, once.
struct OperatorCalls {
  std::function<void(v1::SubmitRequest, std::function<void(StatusOr<std::string> run_id)>)> submit;
  std::function<void(std::string run_id, std::string reason, std::function<void(Status)>)> stop;
  std::function<void(std::string run_id, std::shared_ptr<ProgressSink>)> watch;
  std::function<void(std::function<void(v1::ListAgentsReply)>)> list_agents;
  std::function<StatusOr<v1::ListRunsReply>(uint32_t limit)> list_runs;
  std::function<StatusOr<std::string>(const std::string& run_id)> report;
  std::function<StatusOr<bool>(const std::string& sha256)> has_file;
  std::function<void(std::string sha256, std::string content, std::function<void(Status)>)>
      put_file;
};

/// The Operator API over gRPC's callback interface.
std::unique_ptr<grpc::Service> MakeOperatorService(OperatorCalls calls);

}  // namespace broadside::controller
