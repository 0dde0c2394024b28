#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "tests/target/http.h"
#include "tests/target/model.h"

/// From a request that was read and found right to its reply. Pure. Any thread.
namespace broadside::target {

struct NamedTensor {
  std::string name, datatype;
  std::vector<int64_t> shape;
  std::string bytes;
};

struct ParsedRequest {
  std::string id;
  std::vector<NamedTensor> inputs;
  std::vector<std::pair<std::string, bool>> outputs;  ///< name, binary
  bool binary_outputs = false;
};

/// The outputs that were asked for, as JSON or in binary behind it.
Reply Answer(const Model& model, const ParsedRequest& parsed);

/// The number of elements of a shape.
int64_t Product(const std::vector<int64_t>& shape);
/// A tensor's dims with the batch's, which the model does not write down.
std::vector<int64_t> FullShape(const Model& model, const Tensor& tensor);

}  // namespace broadside::target
