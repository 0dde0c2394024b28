#pragma once

#include <yaml-cpp/yaml.h>

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace broadside::rpc {

/// Reads `--config FILE` as YAML: the names of `app`'s flags without dashes as keys, lists for
/// repeated ones. `app` must outlive it.
class YamlConfig : public CLI::Config {
 public:
  explicit YamlConfig(const CLI::App& app) : app_(app) {}

  std::string to_config(const CLI::App*, bool, bool, std::string) const override { return ""; }

  std::vector<CLI::ConfigItem> from_config(std::istream& input) const override {
    std::vector<CLI::ConfigItem> found;
    try {
      const YAML::Node root = YAML::Load(input);
      if (root.IsNull()) return found;
      if (!root.IsMap()) throw CLI::ConfigError("--config: the file must hold KEY: VALUE lines");
      for (const auto& pair : root) found.push_back(ItemOf(pair.first, pair.second));
    } catch (const YAML::Exception& error) {
      throw ErrorAt(error.mark, error.msg);
    }
    return found;
  }

 private:
  static CLI::ConfigError ErrorAt(const YAML::Mark& mark, const std::string& message) {
    return CLI::ConfigError("--config: line " + std::to_string(mark.line + 1) + ": " + message);
  }

  CLI::ConfigItem ItemOf(const YAML::Node& key, const YAML::Node& value) const {
    CLI::ConfigItem item;
    item.name = key.as<std::string>();
    const CLI::Option* option = app_.get_option_no_throw("--" + item.name);
    if (option == nullptr || !option->get_configurable())
      throw ErrorAt(key.Mark(), "unknown key \"" + item.name + "\". Known here are " + KnownKeys());
    if (value.IsMap() || value.IsNull())
      throw ErrorAt(key.Mark(), item.name + ": write one value, or a list of them");
    if (value.IsSequence())
      for (const auto& each : value) item.inputs.push_back(each.as<std::string>());
    else
      item.inputs.push_back(value.as<std::string>());
    return item;
  }

  std::string KnownKeys() const {
    std::string out;
    for (const CLI::Option* option : app_.get_options())
      if (option->get_configurable())
        for (const std::string& name : option->get_lnames())
          out += (out.empty() ? "" : ", ") + name;
    return out;
  }

  const CLI::App& app_;
};

}  // namespace broadside::rpc
