#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "common/plan/plan.h"

/// KServe v2 tensors as the binary extension has them: little-endian elements in row order; BYTES
/// elements are a 4-byte length and the bytes. Pure.
namespace broadside::agent {

enum class DataType : uint8_t {
  kBool,
  kInt8,
  kInt16,
  kInt32,
  kInt64,
  kUint8,
  kUint16,
  kUint32,
  kUint64,
  kFp16,
  kBf16,
  kFp32,
  kFp64,
  kBytes,
};
std::optional<DataType> DataTypeFromName(std::string_view name);
/// Bytes of an element; 0 for BYTES.
size_t ElementSize(DataType type);

struct Tensor {
  std::string name;
  std::string datatype;
  DataType type = DataType::kFp32;
  std::vector<int64_t> shape;  ///< with the batch dimension
  std::string raw;
};

/// Elements of `shape`; empty when it is negative somewhere or over 2^31.
std::optional<int64_t> ElementCount(const std::vector<int64_t>& shape);
std::string ShapeText(const std::vector<int64_t>& shape);  // "[1,3,224,224]"

/// SplitMix64: a stream of well-mixed numbers from a seed (Steele, Lea, Flood 2014).
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t Next() {
    uint64_t z = (state_ += 0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return z ^ (z >> 31);
  }

 private:
  uint64_t state_;
};

/// Made-up elements: floats in [0, 1), integers 0 … 99 (they fit every type and are ids of any
/// vocabulary), strings of `string_length` letters and digits; or zeros ("0" · string_length).
std::string MakeElements(DataType type, int64_t count, plan::AutoInput::Data data,
                         uint32_t string_length, Random& random);

/// Appends one number as an element. InvalidArgument when it does not fit the type.
Status AppendNumber(DataType type, double value, std::string& raw);
Status AppendInteger(DataType type, int64_t value, std::string& raw);
Status AppendUnsigned(DataType type, uint64_t value, std::string& raw);
void AppendString(std::string_view text, std::string& raw);

/// Elements in `raw`; empty when its length does not fit the type.
std::optional<int64_t> CountElements(DataType type, std::string_view raw);

/// The request body {"inputs":[…]} with the elements as JSON. FP16 and BF16 have no JSON form.
StatusOr<std::string> EncodeJson(const std::vector<Tensor>& tensors);
/// JSON and raw bytes; `json_size` is the value of Inference-Header-Content-Length. Outputs are
/// asked for in binary too.
std::string EncodeBinary(const std::vector<Tensor>& tensors, size_t& json_size);

}  // namespace broadside::agent
