#include "tests/target/model.h"

#include <exception>
#include <string_view>

#include "tests/target/kserve.h"
#include "yaml-cpp/yaml.h"

namespace broadside::target {
namespace {

void AddModel(Config& config, const std::string& name, int64_t max_batch,
              std::vector<Tensor> inputs, std::vector<Tensor> outputs, bool echo) {
  Model& model = config.models[name];
  model.name = name;
  model.max_batch_size = max_batch;
  model.inputs = std::move(inputs);
  model.outputs = std::move(outputs);
  model.echo = echo;
}

Status ReadFaults(const YAML::Node& node, FaultMix& faults) {
  for (const auto& entry : node) {
    BROADSIDE_RETURN_IF_ERROR(faults.Set(entry.first.as<std::string>(), entry.second.as<double>()));
  }
  return absl::OkStatus();
}

// latency, workers, queue, queue_timeout and faults stand at the top and in each model. True: read.
StatusOr<bool> ReadBehaviour(const std::string& key, const YAML::Node& value, Latency& latency,
                             StationOptions& capacity, FaultMix& faults) {
  if (key == "latency") {
    BROADSIDE_ASSIGN_OR_RETURN(latency, Latency::Parse(value.as<std::string>()));
  } else if (key == "workers") {
    capacity.workers = value.as<uint32_t>();
  } else if (key == "queue") {
    capacity.queue = value.as<uint32_t>();
  } else if (key == "queue_timeout") {
    BROADSIDE_ASSIGN_OR_RETURN(capacity.queue_timeout, ParseNanos(value.as<std::string>()));
  } else if (key == "faults") {
    BROADSIDE_RETURN_IF_ERROR(ReadFaults(value, faults));
  } else {
    return false;
  }
  return true;
}

StatusOr<std::vector<Tensor>> ReadTensors(const YAML::Node& node) {
  std::vector<Tensor> tensors;
  for (const auto& entry : node) {
    Tensor tensor;
    tensor.name = entry.first.as<std::string>();
    tensor.datatype = entry.second["datatype"].as<std::string>();
    tensor.dims = entry.second["dims"].as<std::vector<int64_t>>();
    if (ElementSize(tensor.datatype) < 0) {
      return InvalidArgument("\"" + tensor.datatype +
                             "\" is no datatype. Write FP32, INT64, BYTES …");
    }
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

Status ReadModel(const std::string& name, const YAML::Node& node, Config& config) {
  Model& model = config.models[name];
  model.name = name;
  model.latency = config.latency;
  model.capacity = config.capacity;
  model.faults = config.faults;
  for (const auto& entry : node) {
    const std::string key = entry.first.as<std::string>();
    BROADSIDE_ASSIGN_OR_RETURN(const bool read, ReadBehaviour(key, entry.second, model.latency,
                                                              model.capacity, model.faults));
    if (read) continue;
    if (key == "max_batch_size") {
      model.max_batch_size = entry.second.as<int64_t>();
    } else if (key == "echo") {
      model.echo = entry.second.as<bool>();
    } else if (key == "inputs") {
      BROADSIDE_ASSIGN_OR_RETURN(model.inputs, ReadTensors(entry.second));
    } else if (key == "outputs") {
      BROADSIDE_ASSIGN_OR_RETURN(model.outputs, ReadTensors(entry.second));
    } else {
      return InvalidArgument("models." + name + ": unknown key \"" + key + "\"");
    }
  }
  if (model.inputs.empty() || model.outputs.empty()) {
    return InvalidArgument("models." + name + ": a model needs inputs and outputs");
  }
  return absl::OkStatus();
}

Status ReadStall(const YAML::Node& node, StallOptions& stall) {
  for (const auto& entry : node) {
    const std::string key = entry.first.as<std::string>();
    BROADSIDE_ASSIGN_OR_RETURN(const Nanos value, ParseNanos(entry.second.as<std::string>()));
    if (key == "at") {
      stall.at = value;
    } else if (key == "every") {
      stall.every = value;
    } else if (key == "for") {
      stall.length = value;
    } else {
      return InvalidArgument("stall: unknown key \"" + key + "\". Known: at, every, for.");
    }
  }
  return absl::OkStatus();
}

Status ReadDocument(const YAML::Node& document, Config& config) {
  for (const auto& entry : document) {
    const std::string key = entry.first.as<std::string>();
    BROADSIDE_ASSIGN_OR_RETURN(const bool read, ReadBehaviour(key, entry.second, config.latency,
                                                              config.capacity, config.faults));
    if (read || key == "models") continue;
    if (key == "seed") {
      config.seed = entry.second.as<uint64_t>();
    } else if (key == "stall") {
      BROADSIDE_RETURN_IF_ERROR(ReadStall(entry.second, config.stall));
    } else {
      return InvalidArgument("unknown key \"" + key + "\"");
    }
  }
  return absl::OkStatus();
}

// Top-level keys first: they are the defaults of the models, wherever they stand.
Status ReadAll(const std::string& file, Config& config) {
  const YAML::Node document = YAML::LoadFile(file);
  if (!document.IsMap()) return InvalidArgument("the file must be a map");
  BROADSIDE_RETURN_IF_ERROR(ReadDocument(document, config));
  for (auto& [name, model] : config.models) {
    model.latency = config.latency;
    model.capacity = config.capacity;
    model.faults = config.faults;
  }
  for (const auto& entry : document["models"]) {
    BROADSIDE_RETURN_IF_ERROR(ReadModel(entry.first.as<std::string>(), entry.second, config));
  }
  return absl::OkStatus();
}

}  // namespace

void AddBuiltInModels(Config& config) {
  AddModel(config, "resnet50", 128, {{"input", "FP32", {3, 224, 224}}},
           {{"output", "FP32", {1000}}}, false);
  AddModel(config, "bert-base", 32,
           {{"input_ids", "INT64", {-1}}, {"attention_mask", "INT64", {-1}}},
           {{"pooler_output", "FP32", {768}}}, false);
  AddModel(config, "preprocess", 128, {{"image", "UINT8", {224, 224, 3}}},
           {{"tensor", "FP32", {3, 224, 224}}}, false);
  AddModel(config, "ensemble_model", 128, {{"image", "UINT8", {224, 224, 3}}},
           {{"output", "FP32", {1000}}}, false);
  config.models["ensemble_model"].platform = "ensemble";
  AddModel(config, "echo_fp32", 8, {{"INPUT0", "FP32", {-1}}}, {{"OUTPUT0", "FP32", {-1}}}, true);
  AddModel(config, "echo_bytes", 8, {{"TEXT", "BYTES", {-1}}}, {{"TEXT_OUT", "BYTES", {-1}}}, true);
  for (auto& [name, model] : config.models) {
    model.latency = config.latency;
    model.capacity = config.capacity;
    model.faults = config.faults;
  }
}

Status ReadConfig(const std::string& file, Config& config) {
  try {
    const Status status = ReadAll(file, config);
    return status.ok() ? status : InvalidArgument(file + ": " + MessageOf(status));
  } catch (const std::exception& error) {
    return InvalidArgument(file + ": " + error.what());
  }
}

void Finish(Config& config) {
  for (auto& [name, model] : config.models) {
    model.station = std::make_unique<Station>(model.capacity);
  }
  config.plain.name = "plain";
  config.plain.latency = config.latency;
  config.plain.capacity = config.capacity;
  config.plain.faults = config.faults;
  config.plain.station = std::make_unique<Station>(config.capacity);
}

}  // namespace broadside::target
