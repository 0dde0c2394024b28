#pragma once

#include "broadside/v1/fleet.pb.h"
#include "common/base/status.h"
#include "common/wire/messages.h"

/// Value types ⇄ protobuf. Reading checks what a hostile or newer peer could send: ranges, counts,
/// sizes; the error names the field. Any thread.
namespace broadside::wire {

v1::AgentMessage ToProto(const AgentMessage& message);
v1::ControllerMessage ToProto(const ControllerMessage& message);
StatusOr<AgentMessage> FromProto(v1::AgentMessage&& message);
StatusOr<ControllerMessage> FromProto(v1::ControllerMessage&& message);

/// A schedule entry as stored bytes, and back.
std::string PackEntry(const Entry& entry);
StatusOr<Entry> UnpackEntry(const std::string& bytes);

}  // namespace broadside::wire
