#pragma once

#include <string>
#include <vector>

#include "agent/workload/tensor.h"
#include "agent/workload/workload.h"
#include "common/base/status.h"
#include "common/plan/plan.h"

/// Bodies of KServe v2 infer requests. Pure but for what `inputs` reads.
namespace broadside::agent {

struct KserveBody {
  std::string bytes;
  int64_t json_size = -1;  ///< Inference-Header-Content-Length; −1: all JSON
  uint32_t inferences = 1;
};

/// Distinct bodies made up at random for `auto`; fewer when a body is over 64 KiB.
constexpr int kRandomPayloads = 8;

/// One body for each request that the target's `input:` stands for.
StatusOr<std::vector<KserveBody>> BuildKserveBodies(const plan::Target& target,
                                                    const WorkloadInputs& inputs);

}  // namespace broadside::agent
