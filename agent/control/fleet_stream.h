#pragma once

#include <functional>
#include <memory>
#include <string>

#include "agent/control/agent_core.h"
#include "common/base/status.h"

namespace broadside::agent {

/// One attempt at a stream to the controller. Everything it has to say comes through `post`, on
/// gRPC's threads: StreamUp once, messages, StreamDown once and last.
class FleetStream {
 public:
  using Post = std::function<void(CoreEvent)>;

  static std::shared_ptr<FleetStream> Open(const std::string& controller, Post post);
  virtual ~FleetStream() = default;
  /// Queues a message. Beyond the limit the stream is given up: the peer has stopped reading.
  virtual void Send(const wire::AgentMessage& message) = 0;
  /// Gives the stream up; StreamDown{reason} follows.
  virtual void Close(const std::string& reason) = 0;
};

/// A plan file by its hash, checked. Blocks for at most `deadline`.
StatusOr<std::string> FetchFile(const std::string& controller, const std::string& sha256,
                                Nanos deadline);

}  // namespace broadside::agent
