#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <string>

#include "common/rpc/grpc_util.h"
#include "common/rpc/http_server.h"
#include "common/rpc/program.h"
#include "controller/server/pages.h"
#include "controller/server/shell.h"

namespace {

using namespace broadside;

struct Flags {
  std::string listen = "127.0.0.1:7300";
  std::string store = "broadside-store";
  rpc::DaemonFlags daemon{.http = "127.0.0.1:7301", .port_file = ""};
};

constexpr char kProgram[] = "broadside-controller";

int Fail(const Status& status) { return rpc::FailToStart(kProgram, status); }

/// Why gRPC could not listen: it does not say, the other server does.
Status WhyNoPort(const std::string& listen) {
  const auto probe =
      rpc::HttpServer::Start({.listen = listen, .flag = "--listen"}, rpc::ServePaths({}));
  return probe.ok() ? Unavailable("cannot listen on " + listen + "; try again") : probe.status();
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
  if (!server || grpc_port == 0) return Fail(WhyNoPort(flags.listen));
  auto http = rpc::HttpServer::Start({.listen = flags.daemon.http}, controller::MakePages(**shell));
  if (!http.ok()) return Fail(http.status());
  const Status told = rpc::WritePortFile(
      flags.daemon.port_file,
      {{"grpc", static_cast<uint16_t>(grpc_port)}, {"http", (*http)->bound_port()}});
  if (!told.ok()) return Fail(told);
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
  rpc::AddDaemonFlags(app, kProgram, flags.daemon);
  app.add_option("--listen", flags.listen,
                 "HOST:PORT of the gRPC APIs for agents and ctl; port 0 takes a free one");
  app.add_option("--store", flags.store, "Directory for runs, snapshots and reports");
  if (const auto code = rpc::ParseFlags(app, argc, argv)) return *code;
  return Serve(flags, signals);
}
