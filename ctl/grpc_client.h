#pragma once

#include <memory>
#include <string>

#include "ctl/operator_client.h"

namespace broadside::ctl {

/// The Operator API of the controller at `address` (HOST:PORT), without TLS. Nothing is sent before
/// the first call.
std::unique_ptr<OperatorClient> MakeGrpcClient(const std::string& address);

}  // namespace broadside::ctl
