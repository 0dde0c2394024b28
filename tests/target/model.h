#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "tests/target/fault.h"
#include "tests/target/latency.h"
#include "tests/target/station.h"

namespace broadside::target {

struct Tensor {
  std::string name;
  std::string datatype;       ///< "FP32", as the protocol writes it
  std::vector<int64_t> dims;  ///< without the batch dimension; -1: any
};

/// A model that the server plays.
struct Model {
  std::string name;
  std::string platform = "python";
  int64_t max_batch_size = 0;  ///< 0: requests have no batch dimension
  std::vector<Tensor> inputs, outputs;
  bool echo = false;  ///< output i is input i; else zeros
  Latency latency;
  StationOptions capacity;
  FaultMix faults;
  std::unique_ptr<Station> station;
};

struct StallOptions {
  std::optional<Nanos> at;     ///< once, after the first inference request
  std::optional<Nanos> every;  ///< and again and again, after the first inference request
  Nanos length{0};
};

/// Everything that the server does, from flags and a YAML file (`ReadConfig`).
struct Config {
  uint64_t seed = 1;
  Latency latency;          ///< of models that say nothing else
  StationOptions capacity;  ///< likewise, each model has its own workers
  FaultMix faults;          ///< likewise
  StallOptions stall;
  std::map<std::string, Model, std::less<>> models;
  /// Plain requests (`GET /anything`) for targets that are no inference servers.
  Model plain;
};

/// resnet50, bert-base, ensemble_model and preprocess with the shapes of examples/model_repository,
/// and the echoes: echo_fp32, echo_bytes.
void AddBuiltInModels(Config& config);

/// Keys: seed, latency, workers, queue, queue_timeout, faults: {KIND: share}, stall: {at, every,
/// for} and models: {NAME: {latency, workers, queue, queue_timeout, faults, max_batch_size, echo,
/// inputs: {NAME: {datatype, dims}}, outputs: …}}. A model of a built-in name starts from it.
Status ReadConfig(const std::string& file, Config& config);

/// Gives each model its station and the defaults; call once, after flags and file.
void Finish(Config& config);

}  // namespace broadside::target
