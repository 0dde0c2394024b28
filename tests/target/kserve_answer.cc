#include "tests/target/kserve_answer.h"

#include <algorithm>
#include <cstring>

#include "tests/target/json_writer.h"
#include "tests/target/kserve.h"

namespace broadside::target {
namespace {

template <typename T, typename Write>
void WriteNumbers(std::string_view bytes, Write write) {
  for (size_t at = 0; at + sizeof(T) <= bytes.size(); at += sizeof(T)) {
    T value;
    std::memcpy(&value, bytes.data() + at, sizeof(T));
    write(value);
  }
}

void WriteData(JsonWriter& writer, std::string_view datatype, std::string_view bytes) {
  const auto as_double = [&](auto value) { writer.Double(static_cast<double>(value)); };
  const auto as_signed = [&](auto value) { writer.Int64(value); };
  const auto as_unsigned = [&](auto value) { writer.Uint64(value); };
  writer.StartArray();
  if (datatype == "FP32") {
    WriteNumbers<float>(bytes, as_double);
  } else if (datatype == "FP64") {
    WriteNumbers<double>(bytes, as_double);
  } else if (datatype == "INT8") {
    WriteNumbers<int8_t>(bytes, as_signed);
  } else if (datatype == "INT16") {
    WriteNumbers<int16_t>(bytes, as_signed);
  } else if (datatype == "INT32") {
    WriteNumbers<int32_t>(bytes, as_signed);
  } else if (datatype == "INT64") {
    WriteNumbers<int64_t>(bytes, as_signed);
  } else if (datatype == "UINT8") {
    WriteNumbers<uint8_t>(bytes, as_unsigned);
  } else if (datatype == "UINT16") {
    WriteNumbers<uint16_t>(bytes, as_unsigned);
  } else if (datatype == "UINT32") {
    WriteNumbers<uint32_t>(bytes, as_unsigned);
  } else if (datatype == "UINT64") {
    WriteNumbers<uint64_t>(bytes, as_unsigned);
  } else if (datatype == "BOOL") {
    WriteNumbers<uint8_t>(bytes, [&](uint8_t value) { writer.Bool(value != 0); });
  } else if (datatype == "BYTES") {
    while (bytes.size() >= 4) {
      uint32_t size;
      std::memcpy(&size, bytes.data(), 4);
      const std::string_view text = bytes.substr(4, size);
      writer.String(text.data(), static_cast<rapidjson::SizeType>(text.size()));
      bytes.remove_prefix(4 + text.size());
    }
  }
  writer.EndArray();
}

// The tensor that `model` answers with as its `index`-th output.
NamedTensor MakeOutput(const Model& model, size_t index, const ParsedRequest& parsed) {
  const Tensor& output = model.outputs[index];
  if (model.echo && index < parsed.inputs.size()) {
    NamedTensor result = parsed.inputs[index];
    result.name = output.name;
    return result;
  }
  NamedTensor result{output.name, output.datatype, FullShape(model, output), {}};
  for (size_t i = 0; i < result.shape.size(); ++i) {
    if (result.shape[i] < 0) {
      const std::vector<int64_t>& like = parsed.inputs.front().shape;
      result.shape[i] = i < like.size() ? like[i] : 1;
    }
  }
  const int element = std::max(ElementSize(output.datatype), 0);
  result.bytes.assign(static_cast<size_t>(Product(result.shape) * (element == 0 ? 4 : element)), 0);
  return result;
}

void WriteOutput(JsonWriter& writer, const NamedTensor& tensor, bool binary, std::string& tail) {
  writer.StartObject();
  writer.Key("name");
  writer.String(tensor.name.c_str());
  writer.Key("datatype");
  writer.String(tensor.datatype.c_str());
  writer.Key("shape");
  writer.StartArray();
  for (const int64_t dim : tensor.shape) writer.Int64(dim);
  writer.EndArray();
  if (binary) {
    writer.Key("parameters");
    writer.StartObject();
    writer.Key("binary_data_size");
    writer.Uint64(tensor.bytes.size());
    writer.EndObject();
    tail += tensor.bytes;
  } else {
    writer.Key("data");
    WriteData(writer, tensor.datatype, tensor.bytes);
  }
  writer.EndObject();
}

}  // namespace

int64_t Product(const std::vector<int64_t>& shape) {
  uint64_t product = 1;  // wraps where signed numbers would not: the sizes then just disagree
  for (const int64_t dim : shape) product *= static_cast<uint64_t>(dim);
  return static_cast<int64_t>(product);
}

std::vector<int64_t> FullShape(const Model& model, const Tensor& tensor) {
  std::vector<int64_t> shape = tensor.dims;
  if (model.max_batch_size > 0) shape.insert(shape.begin(), -1);
  return shape;
}

Reply Answer(const Model& model, const ParsedRequest& parsed) {
  JsonBuffer buffer;
  JsonWriter writer(buffer);
  std::string tail;
  bool any_binary = false;
  writer.StartObject();
  if (!parsed.id.empty()) {
    writer.Key("id");
    writer.String(parsed.id.c_str());
  }
  writer.Key("model_name");
  writer.String(model.name.c_str());
  writer.Key("model_version");
  writer.String("1");
  writer.Key("outputs");
  writer.StartArray();
  for (size_t i = 0; i < model.outputs.size(); ++i) {
    bool wanted = parsed.outputs.empty();
    bool binary = parsed.binary_outputs;
    for (const auto& [name, binary_output] : parsed.outputs) {
      if (name == model.outputs[i].name) {
        wanted = true;
        binary = binary_output;
      }
    }
    if (!wanted) continue;
    any_binary |= binary;
    WriteOutput(writer, MakeOutput(model, i, parsed), binary, tail);
  }
  writer.EndArray();
  writer.EndObject();
  std::string body(buffer.GetString(), buffer.GetSize());
  if (!any_binary || tail.empty()) return {200, WireReply(200, "application/json", body)};
  const std::string header =
      "Inference-Header-Content-Length: " + std::to_string(body.size()) + "\r\n";
  return {200, WireReply(200, "application/octet-stream", body + tail, header)};
}

}  // namespace broadside::target
