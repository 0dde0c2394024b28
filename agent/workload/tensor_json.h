#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/plan/model_config.h"

/// JSON that speaks of tensors: perf_analyzer's data files and servers' model descriptions. Pure.
namespace broadside::agent {

struct DataTensor {
  std::string raw;
  int64_t elements = 0;
  std::optional<std::vector<int64_t>> shape;  ///< as the file gives it, usually without the batch
};
using DataStep = std::map<std::string, DataTensor>;

/// {"data":[{"INPUT0":[…] | {"content":[…],"shape":[…]} | {"b64":"…","shape":[…]}}, …]}; steps may
/// be grouped in arrays (streams), which are read one after another. Each step is a request.
/// Errors name the file, the step (from 1) and the input.
StatusOr<std::vector<DataStep>> ReadDataFile(const std::string& text, const std::string& file,
                                             const plan::ModelConfig& model);

/// Triton's GET /v2/models/M/config.
StatusOr<plan::ModelConfig> ReadTritonConfig(const std::string& text);
/// KServe v2's GET /v2/models/M. It does not say whether there is a batch dimension: a first
/// dimension of −1 in every input is taken as one.
StatusOr<plan::ModelConfig> ReadModelMetadata(const std::string& text);

}  // namespace broadside::agent
