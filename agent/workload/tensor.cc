#include "agent/workload/tensor.h"

#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>

namespace broadside::agent {
namespace {

static_assert(std::endian::native == std::endian::little, "tensors are little-endian");

struct TypeRow {
  std::string_view name;
  size_t size;
};
constexpr std::array<TypeRow, 14> kTypes = {{{"BOOL", 1},
                                             {"INT8", 1},
                                             {"INT16", 2},
                                             {"INT32", 4},
                                             {"INT64", 8},
                                             {"UINT8", 1},
                                             {"UINT16", 2},
                                             {"UINT32", 4},
                                             {"UINT64", 8},
                                             {"FP16", 2},
                                             {"BF16", 2},
                                             {"FP32", 4},
                                             {"FP64", 8},
                                             {"BYTES", 0}}};

template <class T>
void Put(T value, std::string& raw) {
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  raw.append(bytes, sizeof(T));
}

template <class T>
T Get(const char* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof(T));
  return value;
}

/// IEEE binary32 → binary16, to nearest even.
uint16_t ToHalf(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const auto sign = static_cast<uint16_t>((bits >> 16) & 0x8000);
  const uint32_t magnitude = bits & 0x7FFFFFFF;
  if (magnitude > 0x7F800000) return sign | 0x7E00;   // NaN
  if (magnitude >= 0x477FF000) return sign | 0x7C00;  // rounds to infinity
  if (magnitude < 0x38800000) {                       // subnormal: a multiple of 2^-24
    return sign |
           static_cast<uint16_t>(std::nearbyint(std::ldexp(std::bit_cast<float>(magnitude), 24)));
  }
  const uint32_t rebased = magnitude - 0x38000000;
  return sign | static_cast<uint16_t>((rebased + 0xFFF + ((rebased >> 13) & 1)) >> 13);
}

/// IEEE binary32 → bfloat16, to nearest even.
uint16_t ToBfloat(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7FFFFFFF) > 0x7F800000) return static_cast<uint16_t>((bits >> 16) | 0x40);
  return static_cast<uint16_t>((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
}

template <class T, class From>
Status PutInteger(From value, std::string& raw) {
  if (!std::in_range<T>(value)) {
    return InvalidArgument(std::to_string(value) + " does not fit");
  }
  Put(static_cast<T>(value), raw);
  return absl::OkStatus();
}

template <class From>
Status AppendAny(DataType type, From value, std::string& raw) {
  switch (type) {
    case DataType::kBool:
      if (value != 0 && value != 1) return InvalidArgument("a BOOL is true, false, 1 or 0");
      raw += static_cast<char>(value);
      return absl::OkStatus();
    case DataType::kInt8:
      return PutInteger<int8_t>(value, raw);
    case DataType::kInt16:
      return PutInteger<int16_t>(value, raw);
    case DataType::kInt32:
      return PutInteger<int32_t>(value, raw);
    case DataType::kInt64:
      return PutInteger<int64_t>(value, raw);
    case DataType::kUint8:
      return PutInteger<uint8_t>(value, raw);
    case DataType::kUint16:
      return PutInteger<uint16_t>(value, raw);
    case DataType::kUint32:
      return PutInteger<uint32_t>(value, raw);
    case DataType::kUint64:
      return PutInteger<uint64_t>(value, raw);
    case DataType::kBytes:
      return InvalidArgument("a number stands where a string is wanted");
    default:
      return AppendNumber(type, static_cast<double>(value), raw);
  }
}

template <class T>
void AppendText(T value, std::string& out) {
  char text[64];
  const auto [end, error] = std::to_chars(text, text + sizeof(text), value);
  out.append(text, error == std::errc() ? end : text);
}

/// Element at `at` as JSON; moves `at` on.
void AppendElement(DataType type, const std::string& raw, size_t& at, std::string& out) {
  const char* bytes = raw.data() + at;
  at += ElementSize(type);
  switch (type) {
    case DataType::kBool:
      out += *bytes != 0 ? "true" : "false";
      return;
    case DataType::kInt8:
      return AppendText<int>(Get<int8_t>(bytes), out);
    case DataType::kInt16:
      return AppendText(Get<int16_t>(bytes), out);
    case DataType::kInt32:
      return AppendText(Get<int32_t>(bytes), out);
    case DataType::kInt64:
      return AppendText(Get<int64_t>(bytes), out);
    case DataType::kUint8:
      return AppendText<int>(Get<uint8_t>(bytes), out);
    case DataType::kUint16:
      return AppendText(Get<uint16_t>(bytes), out);
    case DataType::kUint32:
      return AppendText(Get<uint32_t>(bytes), out);
    case DataType::kUint64:
      return AppendText(Get<uint64_t>(bytes), out);
    case DataType::kFp32:
      return AppendText(Get<float>(bytes), out);
    case DataType::kFp64:
      return AppendText(Get<double>(bytes), out);
    case DataType::kBytes: {
      const auto length = Get<uint32_t>(bytes);
      out += nlohmann::json(raw.substr(at + 4, length))
                 .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
      at += 4 + length;
      return;
    }
    case DataType::kFp16:
    case DataType::kBf16:
      return;  // EncodeJson refused them
  }
}

void AppendTensorHead(const Tensor& tensor, std::string& out) {
  out +=
      R"({"name":)" +
      nlohmann::json(tensor.name).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) +
      R"(,"datatype":")" + tensor.datatype + R"(","shape":)" + ShapeText(tensor.shape);
}

}  // namespace

std::optional<DataType> DataTypeFromName(std::string_view name) {
  for (size_t i = 0; i < kTypes.size(); ++i) {
    if (kTypes[i].name == name) return static_cast<DataType>(i);
  }
  return std::nullopt;
}

size_t ElementSize(DataType type) { return kTypes[static_cast<size_t>(type)].size; }

std::optional<int64_t> ElementCount(const std::vector<int64_t>& shape) {
  int64_t count = 1;
  for (const int64_t dim : shape) {
    if (dim < 0) return std::nullopt;
    if (dim > 0 && count > (int64_t{1} << 31) / dim) return std::nullopt;
    count *= dim;
  }
  return count;
}

std::string ShapeText(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (const int64_t dim : shape) {
    if (text.size() > 1) text += ',';
    text += std::to_string(dim);
  }
  return text + "]";
}

std::string MakeElements(DataType type, int64_t count, plan::AutoInput::Data data,
                         uint32_t string_length, Random& random) {
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz0123456789";
  const bool zero = data == plan::AutoInput::Data::kZero;
  std::string raw;
  raw.reserve(static_cast<size_t>(count) *
              (type == DataType::kBytes ? 4 + string_length : ElementSize(type)));
  for (int64_t i = 0; i < count; ++i) {
    if (type == DataType::kBytes) {
      std::string text(string_length, '0');
      for (char& c : text) {
        if (!zero) c = kLetters[random.Next() % kLetters.size()];
      }
      AppendString(text, raw);
      continue;
    }
    const uint64_t drawn = zero ? 0 : random.Next();
    Status fits;
    if (type == DataType::kBool) {
      fits = AppendInteger(type, static_cast<int64_t>(drawn & 1), raw);
    } else if (type >= DataType::kFp16) {
      // 24 bits: exact in FP32, and never rounds up to 1.
      fits = AppendNumber(type, static_cast<double>(drawn >> 40) / double{1 << 24}, raw);
    } else {
      fits = AppendInteger(type, static_cast<int64_t>(drawn % 100), raw);
    }
    if (!fits.ok()) return raw;
  }
  return raw;
}

Status AppendNumber(DataType type, double value, std::string& raw) {
  switch (type) {
    case DataType::kFp16:
      Put(ToHalf(static_cast<float>(value)), raw);
      return absl::OkStatus();
    case DataType::kBf16:
      Put(ToBfloat(static_cast<float>(value)), raw);
      return absl::OkStatus();
    case DataType::kFp32:
      Put(static_cast<float>(value), raw);
      return absl::OkStatus();
    case DataType::kFp64:
      Put(value, raw);
      return absl::OkStatus();
    default:
      if (value != std::floor(value) || std::abs(value) > 9e15) {
        return InvalidArgument(std::to_string(value) + " is not an integer");
      }
      return AppendAny(type, static_cast<int64_t>(value), raw);
  }
}

Status AppendInteger(DataType type, int64_t value, std::string& raw) {
  return AppendAny(type, value, raw);
}

Status AppendUnsigned(DataType type, uint64_t value, std::string& raw) {
  return AppendAny(type, value, raw);
}

void AppendString(std::string_view text, std::string& raw) {
  Put(static_cast<uint32_t>(text.size()), raw);
  raw.append(text);
}

std::optional<int64_t> CountElements(DataType type, std::string_view raw) {
  const size_t size = ElementSize(type);
  if (size > 0) {
    if (raw.size() % size != 0) return std::nullopt;
    return static_cast<int64_t>(raw.size() / size);
  }
  int64_t count = 0;
  while (!raw.empty()) {
    if (raw.size() < 4) return std::nullopt;
    const auto length = Get<uint32_t>(raw.data());
    if (raw.size() - 4 < length) return std::nullopt;
    raw.remove_prefix(size_t{4} + length);
    ++count;
  }
  return count;
}

StatusOr<std::string> EncodeJson(const std::vector<Tensor>& tensors) {
  std::string out = R"({"inputs":[)";
  for (size_t i = 0; i < tensors.size(); ++i) {
    const Tensor& tensor = tensors[i];
    if (tensor.type == DataType::kFp16 || tensor.type == DataType::kBf16) {
      return InvalidArgument("input \"" + tensor.name + "\" is " + tensor.datatype +
                             ", which JSON cannot carry; set encoding: binary");
    }
    if (i > 0) out += ',';
    AppendTensorHead(tensor, out);
    out += R"(,"data":[)";
    for (size_t at = 0; at < tensor.raw.size();) {
      if (at > 0) out += ',';
      AppendElement(tensor.type, tensor.raw, at, out);
    }
    out += "]}";
  }
  return out + "]}";
}

std::string EncodeBinary(const std::vector<Tensor>& tensors, size_t& json_size) {
  std::string out = R"({"inputs":[)";
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (i > 0) out += ',';
    AppendTensorHead(tensors[i], out);
    out += R"(,"parameters":{"binary_data_size":)" + std::to_string(tensors[i].raw.size()) + "}}";
  }
  out += R"(],"parameters":{"binary_data_output":true}})";
  json_size = out.size();
  for (const Tensor& tensor : tensors) out += tensor.raw;
  return out;
}

}  // namespace broadside::agent
