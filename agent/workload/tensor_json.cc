#include "agent/workload/tensor_json.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "agent/workload/tensor.h"
#include "common/stats/codec.h"

namespace broadside::agent {
namespace {

using nlohmann::json;

/// Arrays in arrays are read in row order; the depth is bounded because files come from anyone.
Status AppendContent(const json& value, DataType type, int depth, DataTensor& out) {
  if (value.is_array()) {
    if (depth > 16) return InvalidArgument("arrays are nested too deeply");
    for (const json& element : value) {
      BROADSIDE_RETURN_IF_ERROR(AppendContent(element, type, depth + 1, out));
    }
    return absl::OkStatus();
  }
  ++out.elements;
  if (type == DataType::kBytes) {
    if (!value.is_string()) return InvalidArgument("a BYTES element must be a string");
    AppendString(value.get_ref<const std::string&>(), out.raw);
    return absl::OkStatus();
  }
  if (value.is_boolean()) return AppendInteger(type, value.get<bool>() ? 1 : 0, out.raw);
  if (value.is_number_unsigned()) return AppendUnsigned(type, value.get<uint64_t>(), out.raw);
  if (value.is_number_integer()) return AppendInteger(type, value.get<int64_t>(), out.raw);
  if (value.is_number()) return AppendNumber(type, value.get<double>(), out.raw);
  return InvalidArgument(value.dump() + " is not a number");
}

StatusOr<std::vector<int64_t>> ReadShape(const json& value) {
  std::vector<int64_t> shape;
  if (!value.is_array()) return InvalidArgument("\"shape\" must be an array of integers");
  for (const json& dim : value) {
    if (!dim.is_number_integer() || dim.get<int64_t>() < 0) {
      return InvalidArgument("\"shape\" must be an array of integers");
    }
    shape.push_back(dim.get<int64_t>());
  }
  return shape;
}

StatusOr<DataTensor> ReadDataTensor(const json& value, DataType type) {
  DataTensor out;
  const json* content = &value;
  const json* b64 = nullptr;
  if (value.is_object()) {
    for (const auto& [key, part] : value.items()) {
      if (key == "shape") {
        BROADSIDE_ASSIGN_OR_RETURN(out.shape, ReadShape(part));
      } else if (key == "b64") {
        b64 = &part;
      } else if (key != "content") {
        return InvalidArgument("unknown key \"" + key + "\"; allowed are content, b64, shape");
      }
    }
    if (b64 == nullptr && !value.contains("content")) {
      return InvalidArgument("has neither \"content\" nor \"b64\"");
    }
    if (b64 == nullptr) content = &value["content"];
  }
  if (b64 == nullptr) {
    BROADSIDE_RETURN_IF_ERROR(AppendContent(*content, type, 0, out));
    return out;
  }
  if (!b64->is_string()) return InvalidArgument("\"b64\" must be a string");
  StatusOr<std::string> raw = stats::Base64Decode(b64->get_ref<const std::string&>());
  if (!raw.ok()) return InvalidArgument("\"b64\" is not base64");
  if (type == DataType::kBytes) {
    // perf_analyzer's meaning: the bytes are one element.
    AppendString(*raw, out.raw);
    out.elements = 1;
    return out;
  }
  out.raw = *std::move(raw);
  const std::optional<int64_t> elements = CountElements(type, out.raw);
  if (!elements) return InvalidArgument("\"b64\" holds no whole number of elements");
  out.elements = *elements;
  return out;
}

StatusOr<DataStep> ReadStep(const json& value, const plan::ModelConfig& model) {
  DataStep step;
  for (const auto& [name, tensor] : value.items()) {
    const auto spec =
        std::find_if(model.inputs.begin(), model.inputs.end(),
                     [&name = name](const auto& input) { return input.name == name; });
    if (spec == model.inputs.end()) {
      return InvalidArgument("\"" + name + "\" is no input of the model");
    }
    const std::optional<DataType> type = DataTypeFromName(spec->datatype);
    if (!type) return InvalidArgument("\"" + name + "\": unknown datatype " + spec->datatype);
    StatusOr<DataTensor> read = ReadDataTensor(tensor, *type);
    if (!read.ok()) return InvalidArgument("\"" + name + "\": " + MessageOf(read.status()));
    step.emplace(name, *std::move(read));
  }
  return step;
}

int64_t IntegerOf(const json& value) {
  // Protobuf's JSON writes 64-bit integers as strings, Triton as numbers.
  if (value.is_string()) {
    const std::string& text = value.get_ref<const std::string&>();
    return json::accept(text) && json::parse(text).is_number_integer()
               ? json::parse(text).get<int64_t>()
               : std::numeric_limits<int64_t>::min();
  }
  return value.is_number_integer() ? value.get<int64_t>() : std::numeric_limits<int64_t>::min();
}

StatusOr<std::vector<plan::TensorSpec>> ReadSpecs(const json& list, const char* type_key,
                                                  const char* dims_key) {
  std::vector<plan::TensorSpec> specs;
  if (!list.is_array()) return specs;
  for (const json& item : list) {
    if (!item.is_object() || !item.value("name", json()).is_string() ||
        !item.value(type_key, json()).is_string() || !item.value(dims_key, json()).is_array()) {
      return InvalidArgument("a tensor without name, datatype or shape");
    }
    plan::TensorSpec spec;
    spec.name = item["name"].get<std::string>();
    spec.datatype = item[type_key].get<std::string>();
    if (spec.datatype.starts_with("TYPE_")) spec.datatype = spec.datatype.substr(5);
    if (spec.datatype == "STRING") spec.datatype = "BYTES";
    for (const json& dim : item[dims_key]) {
      const int64_t length = IntegerOf(dim);
      if (length < -1) return InvalidArgument("tensor \"" + spec.name + "\" has a bad shape");
      spec.dims.push_back(length);
    }
    spec.optional = item.value("optional", json(false)) == json(true);
    specs.push_back(std::move(spec));
  }
  return specs;
}

}  // namespace

StatusOr<std::vector<DataStep>> ReadDataFile(const std::string& text, const std::string& file,
                                             const plan::ModelConfig& model) {
  const json root = json::parse(text, nullptr, false);
  if (root.is_discarded()) return InvalidArgument(file + ": is not JSON");
  if (!root.is_object() || !root.contains("data") || !root["data"].is_array()) {
    return InvalidArgument(file +
                           ": has no \"data\" array; the form is {\"data\":[{\"INPUT\":[…]}]}");
  }
  std::vector<const json*> found;
  for (const json& item : root["data"]) {
    if (item.is_array()) {
      for (const json& step : item) found.push_back(&step);
    } else {
      found.push_back(&item);
    }
  }
  if (found.empty()) return InvalidArgument(file + ": \"data\" is empty");
  std::vector<DataStep> steps;
  for (const json* item : found) {
    const std::string where = file + ": step " + std::to_string(steps.size() + 1) + ": ";
    if (!item->is_object()) return InvalidArgument(where + "is not an object");
    StatusOr<DataStep> step = ReadStep(*item, model);
    if (!step.ok()) return InvalidArgument(where + MessageOf(step.status()));
    steps.push_back(*std::move(step));
  }
  return steps;
}

StatusOr<plan::ModelConfig> ReadTritonConfig(const std::string& text) {
  const json root = json::parse(text, nullptr, false);
  if (!root.is_object() || !root.contains("input")) {
    return InvalidArgument("no model configuration: an object with \"input\" was expected");
  }
  plan::ModelConfig model;
  if (root.value("name", json()).is_string()) model.name = root["name"].get<std::string>();
  model.max_batch_size = std::max<int64_t>(0, IntegerOf(root.value("max_batch_size", json(0))));
  const json policy = root.value("model_transaction_policy", json::object());
  if (policy.is_object()) model.decoupled = policy.value("decoupled", json(false)) == json(true);
  BROADSIDE_ASSIGN_OR_RETURN(model.inputs, ReadSpecs(root["input"], "data_type", "dims"));
  BROADSIDE_ASSIGN_OR_RETURN(model.outputs,
                             ReadSpecs(root.value("output", json::array()), "data_type", "dims"));
  return model;
}

StatusOr<plan::ModelConfig> ReadModelMetadata(const std::string& text) {
  const json root = json::parse(text, nullptr, false);
  if (!root.is_object() || !root.contains("inputs")) {
    return InvalidArgument("no model metadata: an object with \"inputs\" was expected");
  }
  plan::ModelConfig model;
  if (root.value("name", json()).is_string()) model.name = root["name"].get<std::string>();
  BROADSIDE_ASSIGN_OR_RETURN(model.inputs, ReadSpecs(root["inputs"], "datatype", "shape"));
  BROADSIDE_ASSIGN_OR_RETURN(model.outputs,
                             ReadSpecs(root.value("outputs", json::array()), "datatype", "shape"));
  const bool batched =
      !model.inputs.empty() &&
      std::all_of(model.inputs.begin(), model.inputs.end(), [](const plan::TensorSpec& spec) {
        return spec.dims.size() >= 2 && spec.dims[0] == -1;
      });
  if (batched) {
    model.max_batch_size = std::numeric_limits<int32_t>::max();
    for (auto* specs : {&model.inputs, &model.outputs}) {
      for (plan::TensorSpec& spec : *specs) {
        if (!spec.dims.empty()) spec.dims.erase(spec.dims.begin());
      }
    }
  }
  return model;
}

}  // namespace broadside::agent
