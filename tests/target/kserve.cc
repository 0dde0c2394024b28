#include "tests/target/kserve.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>

#include "rapidjson/document.h"
#include "rapidjson/error/en.h"
#include "tests/target/kserve_answer.h"

namespace broadside::target {
namespace {

using rapidjson::Value;

// Empty where all is well, as a Reply has no such state.
using Failure = std::optional<Reply>;

Failure Fail(int status, std::string_view text, bool json_type = true) {
  return ErrorReply(status, text, json_type);
}

Failure Unparsable(std::string_view member, std::string_view what) {
  return Fail(500, "Unable to parse '" + std::string(member) + "': " + std::string(what));
}

Failure Missing(std::string_view member) {
  return Unparsable(member,
                    "attempt to access non-existing object member '" + std::string(member) + "'");
}

std::string Prefixed(const std::string& id, const std::string& text) {
  return "[request id: " + (id.empty() ? "<id_unknown>" : id) + "] " + text;
}

std::string ShapeText(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (const int64_t dim : shape) text += (text.size() > 1 ? "," : "") + std::to_string(dim);
  return text + "]";
}

Failure GetString(const Value& object, const char* name, std::string& out) {
  const auto found = object.FindMember(name);
  if (found == object.MemberEnd()) return Missing(name);
  if (!found->value.IsString()) {
    return Unparsable(name, "attempt to access JSON non-string as string");
  }
  out.assign(found->value.GetString(), found->value.GetStringLength());
  return {};
}

template <typename T>
void AppendRaw(std::string& bytes, T value) {
  char raw[sizeof(T)];
  std::memcpy(raw, &value, sizeof(T));
  bytes.append(raw, sizeof(T));
}

// One JSON number (or string, or truth value) as the bytes of `datatype`.
Failure AppendElement(const Value& value, std::string_view datatype, std::string& bytes) {
  if (datatype == "BYTES") {
    if (!value.IsString()) {
      return Unparsable("data", "attempt to access JSON non-string as string");
    }
    AppendRaw(bytes, static_cast<uint32_t>(value.GetStringLength()));
    bytes.append(value.GetString(), value.GetStringLength());
  } else if (datatype == "FP32" || datatype == "FP64") {
    if (!value.IsNumber()) {
      return Unparsable("data", "attempt to access JSON non-number as double");
    }
    datatype == "FP32" ? AppendRaw(bytes, static_cast<float>(value.GetDouble()))
                       : AppendRaw(bytes, value.GetDouble());
  } else if (datatype == "BOOL") {
    if (!value.IsBool()) return Unparsable("data", "attempt to access JSON non-boolean as boolean");
    AppendRaw(bytes, static_cast<uint8_t>(value.GetBool()));
  } else if (datatype.starts_with("UINT")) {
    if (!value.IsUint64()) {
      return Unparsable("data", "attempt to access JSON non-unsigned-integer as unsigned-integer");
    }
    const uint64_t number = value.GetUint64();
    bytes.append(reinterpret_cast<const char*>(&number),
                 static_cast<size_t>(ElementSize(datatype)));
  } else {
    if (!value.IsInt64()) {
      return Unparsable("data", "attempt to access JSON non-signed-integer as signed-integer");
    }
    const int64_t number = value.GetInt64();
    bytes.append(reinterpret_cast<const char*>(&number),
                 static_cast<size_t>(ElementSize(datatype)));
  }
  return {};
}

// `data` may be flat or nested; only the number of elements is checked.
Failure AppendData(const Value& data, const NamedTensor& tensor, int64_t wanted, int64_t& count,
                   std::string& bytes) {
  for (const Value& value : data.GetArray()) {
    if (value.IsArray()) {
      if (Failure failure = AppendData(value, tensor, wanted, count, bytes)) return failure;
      continue;
    }
    if (++count > wanted) {
      return Unparsable("data", "Shape does not match true shape of 'data' field");
    }
    if (Failure failure = AppendElement(value, tensor.datatype, bytes)) return failure;
  }
  return {};
}

Failure ReadShape(const Value& input, std::vector<int64_t>& shape) {
  const auto found = input.FindMember("shape");
  if (found == input.MemberEnd()) return Missing("shape");
  if (!found->value.IsArray()) {
    return Unparsable("shape", "attempt to access JSON non-array as array");
  }
  for (const Value& dim : found->value.GetArray()) {
    if (!dim.IsUint64()) {
      return Unparsable("shape", "attempt to access JSON non-unsigned-integer as unsigned-integer");
    }
    shape.push_back(static_cast<int64_t>(dim.GetUint64()));
  }
  return {};
}

const Value* Parameter(const Value& object, const char* name) {
  const auto parameters = object.FindMember("parameters");
  if (parameters == object.MemberEnd() || !parameters->value.IsObject()) return nullptr;
  const auto found = parameters->value.FindMember(name);
  return found == parameters->value.MemberEnd() ? nullptr : &found->value;
}

bool TrueParameter(const Value& object, const char* name) {
  const Value* value = Parameter(object, name);
  return value != nullptr && value->IsBool() && value->GetBool();
}

// `rest` holds the binary tensors that no input has taken yet.
Failure ReadInput(const Model& model, const Value& input, std::string_view& rest,
                  NamedTensor& tensor) {
  if (!input.IsObject()) return Missing("name");
  if (Failure failure = GetString(input, "name", tensor.name)) return failure;
  if (Failure failure = GetString(input, "datatype", tensor.datatype)) return failure;
  if (Failure failure = ReadShape(input, tensor.shape)) return failure;
  if (ElementSize(tensor.datatype) < 0) {
    return Fail(400, "invalid datatype for input " + tensor.name);
  }
  const Value* size = Parameter(input, "binary_data_size");
  if (size != nullptr && size->IsUint64()) {
    const uint64_t wanted = size->GetUint64();
    if (wanted > rest.size()) {
      return Fail(400, "unexpected size for input '" + tensor.name + "', expecting " +
                           std::to_string(wanted - rest.size()) + " additional bytes for model '" +
                           model.name + "'");
    }
    tensor.bytes = rest.substr(0, wanted);
    rest.remove_prefix(wanted);
    return {};
  }
  const auto data = input.FindMember("data");
  if (data == input.MemberEnd()) {
    return Fail(400,
                "Input must set only one of the following fields: 'data', 'binary_data_size' in "
                "'parameters', 'shared_memory_region' in 'parameters'. But no field is set");
  }
  if (!data->value.IsArray()) {
    return Unparsable("data", "attempt to access JSON non-array as array");
  }
  const int64_t wanted = Product(tensor.shape);
  int64_t count = 0;
  if (Failure failure = AppendData(data->value, tensor, wanted, count, tensor.bytes)) {
    return failure;
  }
  if (count != wanted) return Unparsable("data", "Shape does not match true shape of 'data' field");
  return {};
}

Failure ReadJson(const Model& model, std::string_view json, std::string_view binary,
                 ParsedRequest& parsed) {
  rapidjson::Document document;
  document.Parse<rapidjson::kParseNanAndInfFlag>(json.data(), json.size());
  if (document.HasParseError()) {
    return Fail(500, std::string("failed to parse the request JSON buffer: ") +
                         rapidjson::GetParseError_En(document.GetParseError()) + " at " +
                         std::to_string(document.GetErrorOffset()));
  }
  if (!document.IsObject()) return Missing("inputs");
  if (document.HasMember("id")) {
    if (Failure failure = GetString(document, "id", parsed.id)) return failure;
  }
  parsed.binary_outputs = TrueParameter(document, "binary_data_output");
  const auto inputs = document.FindMember("inputs");
  if (inputs == document.MemberEnd()) return Missing("inputs");
  if (!inputs->value.IsArray()) {
    return Unparsable("inputs", "attempt to access JSON non-array as array");
  }
  for (const Value& input : inputs->value.GetArray()) {
    if (Failure failure = ReadInput(model, input, binary, parsed.inputs.emplace_back())) {
      return failure;
    }
    const std::string& name = parsed.inputs.back().name;
    const auto twice = std::count_if(parsed.inputs.begin(), parsed.inputs.end(),
                                     [&](const NamedTensor& other) { return other.name == name; });
    if (twice > 1) {
      return Fail(400, Prefixed(parsed.id, "input '" + name + "' already exists in request"));
    }
  }
  if (!binary.empty()) {
    return Fail(400, "unexpected additional input data for model '" + model.name + "'");
  }
  const auto outputs = document.FindMember("outputs");
  if (outputs == document.MemberEnd()) return {};
  if (!outputs->value.IsArray()) {
    return Unparsable("outputs", "attempt to access JSON non-array as array");
  }
  for (const Value& output : outputs->value.GetArray()) {
    auto& [name, binary_output] = parsed.outputs.emplace_back();
    if (Failure failure = GetString(output, "name", name)) return failure;
    binary_output = parsed.binary_outputs || TrueParameter(output, "binary_data");
  }
  return {};
}

// A body that is one tensor and nothing else.
Failure ReadRawTensor(const Model& model, std::string_view body, ParsedRequest& parsed) {
  NamedTensor& tensor = parsed.inputs.emplace_back();
  const Tensor& wanted = model.inputs.front();
  tensor.name = wanted.name;
  tensor.datatype = wanted.datatype;
  tensor.bytes = body;
  tensor.shape = FullShape(model, wanted);
  if (model.max_batch_size > 0) tensor.shape[0] = 1;
  int64_t fixed = std::max(1, ElementSize(wanted.datatype));
  for (const int64_t dim : tensor.shape) fixed *= dim > 0 ? dim : 1;
  for (int64_t& dim : tensor.shape) {
    if (dim < 0) dim = static_cast<int64_t>(body.size()) / fixed;
  }
  parsed.binary_outputs = true;
  return {};
}

Failure CheckInput(const Model& model, const Tensor& wanted, const NamedTensor& given,
                   const std::string& id) {
  if (given.datatype != wanted.datatype) {
    return Fail(400, Prefixed(id, "inference input '" + given.name + "' data-type is '" +
                                      given.datatype + "', but model '" + model.name +
                                      "' expects '" + wanted.datatype + "'"));
  }
  const std::vector<int64_t> full = FullShape(model, wanted);
  bool fits = given.shape.size() == full.size();
  for (size_t i = 0; fits && i < full.size(); ++i) fits = full[i] < 0 || full[i] == given.shape[i];
  if (!fits) {
    const std::string note =
        model.max_batch_size > 0
            ? " NOTE: Setting a non-zero max_batch_size in the model config requires a batch "
              "dimension to be prepended to each input shape. If you want to specify the full "
              "shape including the batch dim in your input dims config, try setting "
              "max_batch_size to zero. See the model configuration docs for more info on "
              "max_batch_size."
            : "";
    return Fail(400, Prefixed(id, "unexpected shape for input '" + given.name + "' for model '" +
                                      model.name + "'. Expected " + ShapeText(full) + ", got " +
                                      ShapeText(given.shape) + "." + note));
  }
  return {};
}

Failure CheckSize(const Model& model, const NamedTensor& given, const std::string& id) {
  const int element = ElementSize(given.datatype);
  if (element == 0) return {};  // BYTES carry their own lengths
  std::vector<int64_t> shape = given.shape;
  if (model.max_batch_size > 0) shape[0] = std::max<int64_t>(1, shape[0]);
  const int64_t expected = Product(shape) * element;
  if (expected == static_cast<int64_t>(given.bytes.size())) return {};
  return Fail(400,
              Prefixed(id, "input byte size mismatch for input '" + given.name + "' for model '" +
                               model.name + "'. Expected " + std::to_string(expected) + ", got " +
                               std::to_string(given.bytes.size())));
}

Failure CheckInputCount(const Model& model, const ParsedRequest& parsed) {
  if (parsed.inputs.size() == model.inputs.size()) return {};
  std::string got, missing;
  for (const NamedTensor& input : parsed.inputs)
    got += (got.empty() ? "'" : ",'") + input.name + "'";
  for (const Tensor& wanted : model.inputs) {
    const bool there = std::any_of(parsed.inputs.begin(), parsed.inputs.end(),
                                   [&](const NamedTensor& x) { return x.name == wanted.name; });
    if (!there) missing += (missing.empty() ? "'" : ",'") + wanted.name + "'";
  }
  return Fail(
      400, Prefixed(parsed.id, "expected " + std::to_string(model.inputs.size()) +
                                   " inputs but got " + std::to_string(parsed.inputs.size()) +
                                   " inputs for model '" + model.name + "'. Got input(s) [" + got +
                                   "], but missing required input(s) [" + missing +
                                   "]. Please provide all required input(s)."));
}

Failure Check(const Model& model, const ParsedRequest& parsed) {
  for (const NamedTensor& given : parsed.inputs) {
    const bool known = std::any_of(model.inputs.begin(), model.inputs.end(),
                                   [&](const Tensor& x) { return x.name == given.name; });
    if (!known) {
      return Fail(400,
                  "unexpected inference input '" + given.name + "' for model '" + model.name + "'");
    }
  }
  for (const auto& [name, binary] : parsed.outputs) {
    const bool known = std::any_of(model.outputs.begin(), model.outputs.end(),
                                   [&](const Tensor& x) { return x.name == name; });
    if (!known) {
      return Fail(400, "unexpected inference output '" + name + "' for model '" + model.name + "'");
    }
  }
  if (Failure failure = CheckInputCount(model, parsed)) return failure;
  for (const NamedTensor& given : parsed.inputs) {
    const auto wanted = std::find_if(model.inputs.begin(), model.inputs.end(),
                                     [&](const Tensor& x) { return x.name == given.name; });
    if (model.max_batch_size > 0 && !given.shape.empty() && given.shape[0] > model.max_batch_size) {
      return Fail(400, Prefixed(parsed.id, "inference request batch-size must be <= " +
                                               std::to_string(model.max_batch_size) + " for '" +
                                               model.name + "'"));
    }
    if (Failure failure = CheckInput(model, *wanted, given, parsed.id)) return failure;
    if (Failure failure = CheckSize(model, given, parsed.id)) return failure;
  }
  return {};
}

}  // namespace

int ElementSize(std::string_view datatype) {
  static constexpr std::pair<std::string_view, int> kSizes[] = {
      {"BOOL", 1}, {"UINT8", 1}, {"UINT16", 2}, {"UINT32", 4}, {"UINT64", 8},
      {"INT8", 1}, {"INT16", 2}, {"INT32", 4},  {"INT64", 8},  {"FP16", 2},
      {"BF16", 2}, {"FP32", 4},  {"FP64", 8},   {"BYTES", 0}};
  for (const auto& [name, size] : kSizes) {
    if (name == datatype) return size;
  }
  return -1;
}

Reply Infer(const Model& model, const Request& request, std::string& id) {
  ParsedRequest parsed;
  const std::string_view length_text = request.Header("inference-header-content-length");
  Failure failure;
  if (request.body.empty()) {
    failure = ReadRawTensor(model, {}, parsed);
  } else if (length_text.empty()) {
    failure = ReadJson(model, request.body, {}, parsed);
  } else {
    size_t length = 0;
    std::from_chars(length_text.data(), length_text.data() + length_text.size(), length);
    if (length > request.body.size()) {
      failure = Fail(400,
                     "inference header size should be in range (0, " +
                         std::to_string(request.body.size()) + "), got: " + std::to_string(length),
                     false);
    } else if (length == 0) {
      failure = ReadRawTensor(model, request.body, parsed);
    } else {
      failure =
          ReadJson(model, request.body.substr(0, length), request.body.substr(length), parsed);
    }
  }
  id = parsed.id;
  if (!failure) failure = Check(model, parsed);
  return failure ? *std::move(failure) : Answer(model, parsed);
}

}  // namespace broadside::target
