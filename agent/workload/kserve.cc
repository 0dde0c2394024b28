#include "agent/workload/kserve.h"

#include <algorithm>
#include <map>
#include <utility>

#include "agent/workload/tensor_json.h"

namespace broadside::agent {
namespace {

std::string Where(const plan::Target& target) { return "target \"" + target.name + "\": "; }

Status Prefixed(const plan::Target& target, const Status& status) {
  return Status(status.code(), Where(target) + MessageOf(status));
}

StatusOr<Tensor> EmptyTensor(const plan::TensorSpec& spec) {
  const std::optional<DataType> type = DataTypeFromName(spec.datatype);
  if (!type) {
    return InvalidArgument("input \"" + spec.name + "\" has datatype \"" + spec.datatype +
                           "\", which is not a KServe v2 datatype");
  }
  Tensor tensor;
  tensor.name = spec.name;
  tensor.datatype = spec.datatype;
  tensor.type = *type;
  return tensor;
}

/// The dims of an `auto` input: the model's, with its −1 taken from `shapes`.
StatusOr<std::vector<int64_t>> AutoDims(const plan::TensorSpec& spec,
                                        const plan::AutoInput& input) {
  const auto given = input.shapes.find(spec.name);
  const bool open =
      std::any_of(spec.dims.begin(), spec.dims.end(), [](int64_t d) { return d < 0; });
  if (given == input.shapes.end()) {
    if (!open) return spec.dims;
    std::vector<int64_t> example = spec.dims;
    for (int64_t& dim : example) dim = dim < 0 ? 16 : dim;
    return InvalidArgument("input \"" + spec.name + "\" has dims " + ShapeText(spec.dims) +
                           ", and -1 may be any length; say which: input: {auto: {shapes: {" +
                           spec.name + ": " + ShapeText(example) + "}}}");
  }
  const std::vector<int64_t>& dims = given->second;
  bool fits = dims.size() == spec.dims.size();
  for (size_t i = 0; fits && i < dims.size(); ++i) {
    fits = dims[i] > 0 && (spec.dims[i] < 0 || spec.dims[i] == dims[i]);
  }
  if (!fits) {
    return InvalidArgument("shapes: " + spec.name + ": " + ShapeText(dims) +
                           " does not fit the model's dims " + ShapeText(spec.dims) +
                           " (without the batch dimension)");
  }
  return dims;
}

Status CheckAuto(const plan::ModelConfig& model, const plan::AutoInput& input) {
  if (input.batch == 0) return InvalidArgument("batch: 0 is no batch; write 1 or more");
  if (input.batch > 1 && model.max_batch_size == 0) {
    return InvalidArgument("batch: " + std::to_string(input.batch) +
                           ", but the model has no batch dimension (max_batch_size 0); remove it");
  }
  if (model.max_batch_size > 0 && static_cast<int64_t>(input.batch) > model.max_batch_size) {
    return InvalidArgument("batch: " + std::to_string(input.batch) +
                           " is over the model's max_batch_size " +
                           std::to_string(model.max_batch_size));
  }
  for (const auto& [name, shape] : input.shapes) {
    const bool known = std::any_of(model.inputs.begin(), model.inputs.end(),
                                   [&name = name](const auto& spec) { return spec.name == name; });
    if (known) continue;
    std::string names;
    for (const plan::TensorSpec& spec : model.inputs) {
      names += (names.empty() ? "" : ", ") + spec.name;
    }
    return InvalidArgument("shapes: \"" + name + "\" is no input of the model; it has " +
                           (names.empty() ? "none" : names));
  }
  return absl::OkStatus();
}

StatusOr<KserveBody> Encode(const plan::Target& target, const std::vector<Tensor>& tensors,
                            const plan::ModelConfig& model) {
  KserveBody body;
  if (target.encoding == plan::Encoding::kBinary) {
    size_t json_size = 0;
    body.bytes = EncodeBinary(tensors, json_size);
    body.json_size = static_cast<int64_t>(json_size);
  } else {
    BROADSIDE_ASSIGN_OR_RETURN(body.bytes, EncodeJson(tensors));
  }
  if (model.max_batch_size > 0 && !tensors.empty() && !tensors[0].shape.empty()) {
    body.inferences = static_cast<uint32_t>(std::max<int64_t>(1, tensors[0].shape[0]));
  }
  return body;
}

StatusOr<std::vector<KserveBody>> AutoBodies(const plan::Target& target,
                                             const plan::AutoInput& input,
                                             const plan::ModelConfig& model, uint64_t seed) {
  BROADSIDE_RETURN_IF_ERROR(CheckAuto(model, input));
  std::vector<Tensor> tensors;
  for (const plan::TensorSpec& spec : model.inputs) {
    if (spec.optional && !input.shapes.contains(spec.name)) continue;
    BROADSIDE_ASSIGN_OR_RETURN(Tensor tensor, EmptyTensor(spec));
    BROADSIDE_ASSIGN_OR_RETURN(tensor.shape, AutoDims(spec, input));
    if (model.max_batch_size > 0) tensor.shape.insert(tensor.shape.begin(), input.batch);
    const std::optional<int64_t> count = ElementCount(tensor.shape);
    if (!count) {
      return InvalidArgument("input \"" + spec.name + "\" with shape " + ShapeText(tensor.shape) +
                             " is too large");
    }
    tensors.push_back(std::move(tensor));
  }
  if (tensors.empty()) {
    return InvalidArgument("the model has no inputs to make up; give input: {payload: FILE}");
  }
  // Another target, another stream of numbers.
  for (const char c : target.name) seed = seed * 0x100000001B3 + static_cast<unsigned char>(c);
  std::vector<KserveBody> bodies;
  int wanted = input.data == plan::AutoInput::Data::kZero ? 1 : kRandomPayloads;
  for (int i = 0; i < wanted; ++i) {
    Random random(seed + static_cast<uint64_t>(i) * 0xD1342543DE82EF95);
    for (Tensor& tensor : tensors) {
      tensor.raw = MakeElements(tensor.type, *ElementCount(tensor.shape), input.data,
                                input.string_length, random);
    }
    BROADSIDE_ASSIGN_OR_RETURN(KserveBody body, Encode(target, tensors, model));
    constexpr size_t kAll = size_t{kRandomPayloads} * 64 * 1024;
    wanted = std::clamp(static_cast<int>(kAll / std::max<size_t>(body.bytes.size(), 1)), 1, wanted);
    bodies.push_back(std::move(body));
  }
  return bodies;
}

/// The shape of elements that came from a file: as given, or the model's dims, whose one −1
/// follows from the number of elements. Adds the batch dimension.
Status ShapeOf(const plan::TensorSpec& spec, const plan::ModelConfig& model, int64_t elements,
               const std::optional<std::vector<int64_t>>& given, Tensor& tensor) {
  std::vector<int64_t> dims = given.value_or(spec.dims);
  if (!given) {
    int64_t known = 1;
    int open = 0;
    for (const int64_t dim : dims) dim < 0 ? static_cast<void>(++open) : void(known *= dim);
    if (open > 1) {
      return InvalidArgument("input \"" + spec.name + "\" has dims " + ShapeText(dims) +
                             "; the data file must give its \"shape\"");
    }
    for (int64_t& dim : dims) {
      if (dim < 0 && known > 0 && elements % known == 0) dim = elements / known;
    }
  }
  const bool batched = given && dims.size() == spec.dims.size() + 1;
  if (model.max_batch_size > 0 && !batched) dims.insert(dims.begin(), 1);
  const std::optional<int64_t> count = ElementCount(dims);
  if (!count || *count != elements) {
    return InvalidArgument("input \"" + spec.name + "\" has " + std::to_string(elements) +
                           " elements, and shape " + ShapeText(dims) + " wants " +
                           (count ? std::to_string(*count) : "another number"));
  }
  tensor.shape = std::move(dims);
  return absl::OkStatus();
}

StatusOr<std::vector<KserveBody>> FileBodies(const plan::Target& target, const std::string& file,
                                             const std::string& text,
                                             const plan::ModelConfig& model) {
  BROADSIDE_ASSIGN_OR_RETURN(const std::vector<DataStep> steps, ReadDataFile(text, file, model));
  std::vector<KserveBody> bodies;
  for (size_t i = 0; i < steps.size(); ++i) {
    std::vector<Tensor> tensors;
    for (const plan::TensorSpec& spec : model.inputs) {
      const auto found = steps[i].find(spec.name);
      if (found == steps[i].end()) {
        if (spec.optional) continue;
        return InvalidArgument(file + ": step " + std::to_string(i + 1) + " has no \"" + spec.name +
                               "\", which the model wants");
      }
      BROADSIDE_ASSIGN_OR_RETURN(Tensor tensor, EmptyTensor(spec));
      tensor.raw = found->second.raw;
      const Status fits = ShapeOf(spec, model, found->second.elements, found->second.shape, tensor);
      if (!fits.ok()) {
        return Status(fits.code(),
                      file + ": step " + std::to_string(i + 1) + ": " + MessageOf(fits));
      }
      tensors.push_back(std::move(tensor));
    }
    BROADSIDE_ASSIGN_OR_RETURN(KserveBody body, Encode(target, tensors, model));
    bodies.push_back(std::move(body));
  }
  return bodies;
}

/// One file a tensor, named as the input, raw elements; a BYTES input's file is one string.
StatusOr<std::vector<KserveBody>> DirectoryBodies(const plan::Target& target,
                                                  const plan::DirectoryInput& input,
                                                  const plan::ModelConfig& model,
                                                  const WorkloadInputs& inputs) {
  std::vector<Tensor> tensors;
  for (const plan::TensorSpec& spec : model.inputs) {
    const auto file = std::find_if(input.files.begin(), input.files.end(), [&](const auto& path) {
      const size_t slash = path.rfind('/');
      return path.substr(slash == std::string::npos ? 0 : slash + 1) == spec.name;
    });
    if (file == input.files.end()) {
      if (spec.optional) continue;
      return InvalidArgument(input.directory + ": has no file \"" + spec.name +
                             "\"; the model's inputs are read from files of their names");
    }
    BROADSIDE_ASSIGN_OR_RETURN(const std::string content, inputs.read(*file));
    BROADSIDE_ASSIGN_OR_RETURN(Tensor tensor, EmptyTensor(spec));
    if (tensor.type == DataType::kBytes) {
      AppendString(content, tensor.raw);
    } else {
      tensor.raw = content;
    }
    const std::optional<int64_t> elements = CountElements(tensor.type, tensor.raw);
    if (!elements) {
      return InvalidArgument(*file + ": " + std::to_string(content.size()) +
                             " bytes are no whole number of " + spec.datatype + " elements");
    }
    BROADSIDE_RETURN_IF_ERROR(ShapeOf(spec, model, *elements, std::nullopt, tensor));
    tensors.push_back(std::move(tensor));
  }
  BROADSIDE_ASSIGN_OR_RETURN(KserveBody body, Encode(target, tensors, model));
  return std::vector<KserveBody>{std::move(body)};
}

StatusOr<plan::ModelConfig> ModelOf(const plan::Target& target, const WorkloadInputs& inputs) {
  if (const auto* input = std::get_if<plan::AutoInput>(&target.input);
      input != nullptr && !input->config.empty()) {
    BROADSIDE_ASSIGN_OR_RETURN(const std::string text, inputs.read(input->config));
    return plan::ParseModelConfigText(text, input->config);
  }
  if (!inputs.model) {
    return FailedPrecondition("needs the model's metadata, and the server cannot be asked here");
  }
  StatusOr<plan::ModelConfig> model = inputs.model(target);
  if (model.ok()) return model;
  return Status(model.status().code(),
                MessageOf(model.status()) +
                    "; write input: {config: config.pbtxt} if the server cannot be asked");
}

StatusOr<std::vector<KserveBody>> Build(const plan::Target& target, const WorkloadInputs& inputs) {
  if (const auto* text = std::get_if<plan::TextInput>(&target.input)) {
    return std::vector<KserveBody>{{text->text, -1, 1}};
  }
  if (const auto* payload = std::get_if<plan::PayloadInput>(&target.input)) {
    BROADSIDE_ASSIGN_OR_RETURN(std::string bytes, inputs.read(payload->file));
    // Header length 0: the body is the raw tensor of the model's only input.
    const int64_t json_size = target.encoding == plan::Encoding::kBinary ? 0 : -1;
    return std::vector<KserveBody>{{std::move(bytes), json_size, 1}};
  }
  if (std::holds_alternative<plan::PromptsInput>(target.input)) {
    return Unimplemented("\"prompts\" is not in this version yet");
  }
  BROADSIDE_ASSIGN_OR_RETURN(const plan::ModelConfig model, ModelOf(target, inputs));
  if (const auto* file = std::get_if<plan::FileInput>(&target.input)) {
    BROADSIDE_ASSIGN_OR_RETURN(const std::string text, inputs.read(file->file));
    return FileBodies(target, file->file, text, model);
  }
  if (const auto* directory = std::get_if<plan::DirectoryInput>(&target.input)) {
    return DirectoryBodies(target, *directory, model, inputs);
  }
  const auto* input = std::get_if<plan::AutoInput>(&target.input);
  return AutoBodies(target, input != nullptr ? *input : plan::AutoInput{}, model, inputs.seed);
}

}  // namespace

StatusOr<std::vector<KserveBody>> BuildKserveBodies(const plan::Target& target,
                                                    const WorkloadInputs& inputs) {
  StatusOr<std::vector<KserveBody>> bodies = Build(target, inputs);
  if (!bodies.ok()) return Prefixed(target, bodies.status());
  return bodies;
}

}  // namespace broadside::agent
