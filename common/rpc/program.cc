#include "common/rpc/program.h"

#include <pthread.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>

#include "common/rpc/yaml_config.h"

namespace broadside::rpc {
namespace {

std::string WhatIsWrong(const CLI::App& app, const CLI::ParseError& error) {
  if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr) {
    const std::vector<std::string> unknown = app.remaining();
    if (!unknown.empty()) return "unknown option \"" + unknown.front() + "\"";
  }
  if (dynamic_cast<const CLI::FileError*>(&error) != nullptr)
    return std::string("--config: ") + error.what();
  return error.what();
}

}  // namespace

sigset_t SetUpDaemon() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  // What users must know of its errors is in our own; who looks for more sets the variable.
  setenv("GRPC_VERBOSITY", "NONE", /*overwrite=*/0);
  spdlog::set_default_logger(spdlog::stderr_logger_mt("broadside"));
  spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %l %v", spdlog::pattern_time_type::utc);
  spdlog::flush_on(spdlog::level::info);
  return signals;
}

void AddDaemonFlags(CLI::App& app, const std::string& program, DaemonFlags& flags) {
  app.name(program);
  app.option_defaults()->always_capture_default();
  app.add_option("--http", flags.http,
                 "HOST:PORT of /metrics, /healthz and /readyz; port 0 takes a free one");
  app.add_option("--port-file", flags.port_file,
                 "Write the bound ports to this file, a line each: NAME PORT");
  app.set_config("--config", "", "YAML file with the same keys");
  app.config_formatter(std::make_shared<YamlConfig>(app));
  app.set_version_flag("--version", BROADSIDE_VERSION);
}

std::optional<int> ParseFlags(CLI::App& app, int argc, char** argv) {
  try {
    app.parse(argc, argv);
    return std::nullopt;
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    return FailToStart(app.get_name(), InvalidArgument(WhatIsWrong(app, error) + ". See " +
                                                       app.get_name() + " --help."));
  }
}

Status WritePortFile(const std::string& path,
                     const std::vector<std::pair<std::string, uint16_t>>& ports) {
  if (path.empty()) return absl::OkStatus();
  std::ofstream file(path);
  for (const auto& [name, port] : ports) file << name << " " << port << "\n";
  file.flush();
  return file ? absl::OkStatus() : ErrnoStatus(errno, "cannot write --port-file " + path);
}

int FailToStart(const std::string& program, const Status& status) {
  std::fprintf(stderr, "%s: %s\n", program.c_str(), MessageOf(status).c_str());
  return 1;
}

}  // namespace broadside::rpc
