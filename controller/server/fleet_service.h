#pragma once

#include <functional>
#include <memory>
#include <string>

#include "broadside/v1/fleet.grpc.pb.h"
#include "common/base/status.h"
#include "common/stats/snapshot.h"
#include "common/wire/messages.h"

namespace broadside::controller {

/// The controller's end of one agent's stream. Any thread may send.
class AgentStream {
 public:
  virtual ~AgentStream() = default;
  /// Queues a message; beyond the limit the stream is given up (the agent has stopped reading).
  virtual void Send(const wire::ControllerMessage& message) = 0;
  virtual void Close(const std::string& reason) = 0;
};

/// What the service tells the core thread. Called on gRPC's threads; must only queue.
struct FleetEvents {
  std::function<void(std::shared_ptr<AgentStream>, wire::Hello)> connected;
  std::function<void(std::shared_ptr<AgentStream>, wire::AgentMessage)> received;
  /// A snapshot comes with its unpacked body: unpacking is done here, off the core thread.
  std::function<void(std::shared_ptr<AgentStream>, wire::SnapshotEnvelope, stats::Snapshot)>
      snapshot;
  std::function<void(std::shared_ptr<AgentStream>, std::string reason)> disconnected;
  std::function<StatusOr<std::string>(const std::string& sha256)> file;
};

/// The Fleet API over gRPC's callback interface.
std::unique_ptr<grpc::Service> MakeFleetService(FleetEvents events);

}  // namespace broadside::controller
