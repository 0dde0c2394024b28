#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <string>

#include "common/rpc/grpc_util.h"
#include "common/rpc/http_server.h"
#include "common/rpc/program.h"
#include "common/rpc/yaml_config.h"
#include "controller/server/pages.h"
#include "controller/server/shell.h"

namespace {

using namespace broadside;

struct Flags {
  std::string listen = "127.0.0.1:7300";
  std::string http = "127.0.0.1:7301";
  std::string store = "broadside-store";
  std::string port_file;
};

int Fail(const Status& status) {
  std::fprintf(stderr, "broadside-controller: %s\n", MessageOf(status).c_str());
  return 1;
}

int Serve(const Flags& flags, const sigset_t& signals) {
  const auto listen = rpc::ParseHostPort(flags.listen, "--listen");
  if (!listen.ok()) return Fail(listen.status());
  auto shell = controller::Shell::Start(flags.store);
  if (!shell.ok()) return Fail(shell.status());
  const auto fleet = controller::MakeFleetService((*shell)->fleet_events());
  const auto operators = controller::MakeOperatorService((*shell)->operator_calls());
  grpc::ServerBuilder builder;
  int grpc_port = 0;
  builder.AddListeningPort(flags.listen, grpc::InsecureServerCredentials(), &grpc_port);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.SetMaxReceiveMessageSize(rpc::kMaxMessageBytes);
  builder.SetMaxSendMessageSize(rpc::kMaxMessageBytes);
  builder.RegisterService(fleet.get());
  builder.RegisterService(operators.get());
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (!server || grpc_port == 0)
    return Fail(Unavailable("cannot listen on " + flags.listen +
                            ": the address is in use or not this host's; choose another with "
                            "--listen HOST:PORT, or port 0"));
  auto http = rpc::HttpServer::Start({.listen = flags.http}, controller::MakePages(**shell));
  if (!http.ok()) return Fail(http.status());
  if (!flags.port_file.empty()) {
    std::ofstream file(flags.port_file);
    file << "grpc " << grpc_port << "\nhttp " << (*http)->bound_port() << "\n";
    if (!file.flush()) return Fail(Unavailable("cannot write --port-file " + flags.port_file));
  }
  spdlog::info("broadside-controller {}: grpc port {}, http port {}, store {}", BROADSIDE_VERSION,
               grpc_port, (*http)->bound_port(), flags.store);
  int signal = 0;
  sigwait(&signals, &signal);
  spdlog::info("stopping");
  server->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(2));
  (*http)->Stop(std::chrono::seconds(1));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const sigset_t signals = rpc::SetUpDaemon();
  Flags flags;
  CLI::App app("Shards test plans over agents, merges what they measure, and keeps the reports.");
  app.name("broadside-controller");
  app.option_defaults()->always_capture_default();
  app.add_option("--listen", flags.listen,
                 "HOST:PORT of the gRPC APIs for agents and ctl; port 0 takes a free one");
  app.add_option("--http", flags.http,
                 "HOST:PORT of /metrics, /healthz and /readyz; port 0 takes a free one");
  app.add_option("--store", flags.store, "Directory for runs, snapshots and reports");
  app.add_option("--port-file", flags.port_file,
                 "Write the bound ports to this file: \"grpc N\", \"http N\"");
  app.set_config("--config", "", "YAML file with the same keys");
  app.config_formatter(std::make_shared<rpc::YamlConfig>());
  app.allow_config_extras(CLI::config_extras_mode::error);
  app.set_version_flag("--version", BROADSIDE_VERSION);
  CLI11_PARSE(app, argc, argv);
  return Serve(flags, signals);
}
