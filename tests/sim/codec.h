#pragma once

#include "common/stats/snapshot.h"
#include "common/wire/messages.h"

/// What travels as bytes. In a build without gRPC, messages travel as values always.
namespace broadside::sim {

constexpr bool kHaveWire =
#ifdef BROADSIDE_SIM_WIRE
    true;
#else
    false;
#endif

/// Through protobuf bytes and back.
wire::AgentMessage ThroughWire(const wire::AgentMessage& message);
wire::ControllerMessage ThroughWire(const wire::ControllerMessage& message);

/// With `real` as agents pack them (zstd and protobuf), else compactly. Cells do not travel in the
/// compact form.
wire::SnapshotEnvelope Pack(const stats::Snapshot& snapshot, bool real, bool thin);
stats::Snapshot Unpack(const wire::SnapshotEnvelope& envelope);

}  // namespace broadside::sim
