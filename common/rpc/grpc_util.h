#pragma once

#include <grpcpp/support/status.h>

#include <memory>
#include <string>

#include "common/base/status.h"

namespace grpc {
class Channel;
}

/// What both programs need around gRPC.
namespace broadside::rpc {

Status FromGrpc(const grpc::Status& status);
grpc::Status ToGrpc(const Status& status);

/// A channel of its own to HOST:PORT: connects anew at once, whatever earlier ones met.
std::shared_ptr<grpc::Channel> NewChannel(const std::string& address);

/// Largest message either side takes: a snapshot of many cells, a chunk of a file.
constexpr int kMaxMessageBytes = 64 << 20;
constexpr size_t kChunkBytes = size_t{1} << 20;

}  // namespace broadside::rpc
