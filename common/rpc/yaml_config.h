#pragma once

#include <yaml-cpp/yaml.h>

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace broadside::rpc {

/// Reads `--config FILE` as YAML: the flags' names without dashes as keys, lists for repeated ones.
class YamlConfig : public CLI::Config {
 public:
  std::string to_config(const CLI::App*, bool, bool, std::string) const override { return ""; }

  std::vector<CLI::ConfigItem> from_config(std::istream& input) const override {
    std::vector<CLI::ConfigItem> found;
    try {
      const YAML::Node root = YAML::Load(input);
      if (root.IsNull()) return found;
      if (!root.IsMap()) throw CLI::ConfigError("--config: the file must hold KEY: VALUE lines");
      for (const auto& pair : root) {
        CLI::ConfigItem item;
        item.name = pair.first.as<std::string>();
        if (pair.second.IsSequence())
          for (const auto& value : pair.second) item.inputs.push_back(value.as<std::string>());
        else
          item.inputs.push_back(pair.second.as<std::string>());
        found.push_back(std::move(item));
      }
    } catch (const YAML::Exception& error) {
      throw CLI::ConfigError("--config:" + std::to_string(error.mark.line + 1) + ": " + error.msg);
    }
    return found;
  }
};

}  // namespace broadside::rpc
