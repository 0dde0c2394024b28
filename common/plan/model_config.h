#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"

/// Triton's config.pbtxt, read leniently: unknown fields are skipped, the enclosing braces and
/// `name` may be missing, comments and separators are as protobuf's text format has them.
namespace broadside::plan {

struct TensorSpec {
  std::string name;
  std::string datatype;       ///< KServe v2 name: FP32, BYTES, … (TYPE_STRING → BYTES)
  std::vector<int64_t> dims;  ///< without the batch dimension; −1 = variable
  bool optional = false;
  friend bool operator==(const TensorSpec&, const TensorSpec&) = default;
};

struct ModelConfig {
  std::string name;
  int64_t max_batch_size = 0;  ///< 0: the model has no batch dimension
  bool decoupled = false;
  std::vector<TensorSpec> inputs, outputs;
};

StatusOr<ModelConfig> ParseModelConfigText(std::string_view text, const std::string& file_name);

}  // namespace broadside::plan
