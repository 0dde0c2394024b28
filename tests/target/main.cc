#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/numbers.h"
#include "tests/target/loop.h"
#include "tests/target/world.h"

namespace broadside::target {
namespace {

struct Flags {
  std::string listen = "127.0.0.1:0";
  std::string port_file, arrivals, config;
  std::string latency = "0ms";
  uint32_t workers = 0;
  int64_t queue = -1;
  std::string queue_timeout, stall_at, stall_every, stall_for;
  std::vector<std::string> faults;
  uint64_t seed = 1;
  uint32_t threads = 1;
};

void AddFlags(CLI::App& app, Flags& flags) {
  app.add_option("--listen", flags.listen, "HOST:PORT (IPv4); port 0 lets the kernel choose");
  app.add_option("--port-file", flags.port_file, "write `http PORT` here once bound");
  app.add_option("--arrivals", flags.arrivals,
                 "log every request: `ns connection stamp model status`");
  app.add_option("--config", flags.config, "YAML with models; it wins over the flags below");
  app.add_option("--latency", flags.latency,
                 "40ms, uniform:10ms..20ms, lognormal:40ms,0.3, exponential:40ms, "
                 "bimodal:5ms,80ms,0.1");
  app.add_option("--workers", flags.workers, "requests served at a time, each model; 0: no limit");
  app.add_option("--queue", flags.queue, "requests that may wait for a worker; -1: any number");
  app.add_option("--queue-timeout", flags.queue_timeout, "longest wait for a worker");
  app.add_option("--stall-at", flags.stall_at, "freeze once, this long after the first request");
  app.add_option("--stall-every", flags.stall_every, "freeze again and again");
  app.add_option("--stall-for", flags.stall_for, "length of a freeze");
  app.add_option("--fault", flags.faults,
                 "KIND=SHARE, e.g. queue_full=0.05; repeatable. Kinds: " + FaultNames());
  app.add_option("--seed", flags.seed, "of latencies and faults");
  app.add_option("--threads", flags.threads, "event loops")->check(CLI::Range(1, 64));
}

Status ReadDuration(const std::string& text, std::optional<Nanos>& out) {
  if (text.empty()) return absl::OkStatus();
  BROADSIDE_ASSIGN_OR_RETURN(out, ParseNanos(text));
  return absl::OkStatus();
}

StatusOr<Config> MakeConfig(const Flags& flags) {
  Config config;
  config.seed = flags.seed;
  BROADSIDE_ASSIGN_OR_RETURN(config.latency, Latency::Parse(flags.latency));
  config.capacity.workers = flags.workers;
  if (flags.queue >= 0) config.capacity.queue = static_cast<uint32_t>(flags.queue);
  BROADSIDE_RETURN_IF_ERROR(ReadDuration(flags.queue_timeout, config.capacity.queue_timeout));
  BROADSIDE_RETURN_IF_ERROR(ReadDuration(flags.stall_at, config.stall.at));
  BROADSIDE_RETURN_IF_ERROR(ReadDuration(flags.stall_every, config.stall.every));
  std::optional<Nanos> length;
  BROADSIDE_RETURN_IF_ERROR(ReadDuration(flags.stall_for, length));
  config.stall.length = length.value_or(Nanos(0));
  for (const std::string& fault : flags.faults) {
    const size_t equals = fault.find('=');
    double share = 0;
    if (equals == std::string::npos || !absl::SimpleAtod(fault.substr(equals + 1), &share)) {
      return InvalidArgument("--fault \"" + fault + "\": write KIND=SHARE, e.g. queue_full=0.05");
    }
    BROADSIDE_RETURN_IF_ERROR(config.faults.Set(fault.substr(0, equals), share));
  }
  AddBuiltInModels(config);
  if (!flags.config.empty()) BROADSIDE_RETURN_IF_ERROR(ReadConfig(flags.config, config));
  if (config.stall.every && *config.stall.every <= Nanos(0)) {
    return InvalidArgument("stall: every must be above 0");
  }
  Finish(config);
  return config;
}

/// A listening socket on `address`; with port 0 the kernel's choice is written back.
/// `shared` lets several loops of this program listen on one port; alone, a port that another
/// program holds is an error.
StatusOr<int> Listen(sockaddr_in& address, bool shared) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return ErrnoStatus(errno, "socket");
  const int one = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
  if (shared) setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0 ||
      listen(fd, 4096) != 0) {
    const int error = errno;
    close(fd);
    return ErrnoStatus(error, "listening on port " + std::to_string(ntohs(address.sin_port)));
  }
  socklen_t size = sizeof(address);
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  return fd;
}

StatusOr<sockaddr_in> ParseAddress(const std::string& text) {
  const size_t colon = text.rfind(':');
  sockaddr_in address{};
  address.sin_family = AF_INET;
  uint32_t port = 0;
  if (colon == std::string::npos || !absl::SimpleAtoi(text.substr(colon + 1), &port) ||
      port > 65535 || inet_pton(AF_INET, text.substr(0, colon).c_str(), &address.sin_addr) != 1) {
    return InvalidArgument("--listen \"" + text +
                           "\": write an IPv4 address and a port, 127.0.0.1:0");
  }
  address.sin_port = htons(static_cast<uint16_t>(port));
  return address;
}

// The signal's number is read by the main thread; workers have it blocked.
int WaitForSignal(const sigset_t& signals) {
  int number = 0;
  while (sigwait(&signals, &number) != 0) {
  }
  return number;
}

Status Serve(const Flags& flags) {
  BROADSIDE_ASSIGN_OR_RETURN(Config config, MakeConfig(flags));
  const uint64_t seed = config.seed;
  World world(std::move(config));
  int log_fd = -1;
  if (!flags.arrivals.empty()) {
    log_fd =
        open(flags.arrivals.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
    if (log_fd < 0) return ErrnoStatus(errno, flags.arrivals);
  }
  BROADSIDE_ASSIGN_OR_RETURN(sockaddr_in address, ParseAddress(flags.listen));
  std::vector<std::unique_ptr<Loop>> loops;
  std::vector<Loop*> all;
  for (uint32_t i = 0; i < flags.threads; ++i) {
    BROADSIDE_ASSIGN_OR_RETURN(const int fd, Listen(address, flags.threads > 1));
    loops.push_back(std::make_unique<Loop>(world, fd, log_fd, seed + i));
    all.push_back(loops.back().get());
  }
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::vector<std::jthread> threads;
  for (auto& loop : loops) {
    loop->SetPeers(all);
    threads.emplace_back([&loop] { loop->Run(); });
  }
  const int port = ntohs(address.sin_port);
  if (!flags.port_file.empty()) {
    // Written beside and renamed, so that a reader never sees half of it.
    const std::string part = flags.port_file + ".part";
    std::ofstream(part) << "http " << port << "\n";
    if (rename(part.c_str(), flags.port_file.c_str()) != 0) {
      std::fprintf(stderr, "broadside-scripted-target: cannot write %s\n", flags.port_file.c_str());
    }
  }
  std::fprintf(stderr, "broadside-scripted-target: http://%s:%d\n",
               flags.listen.substr(0, flags.listen.rfind(':')).c_str(), port);
  WaitForSignal(signals);
  for (Loop* loop : all) loop->Stop();
  threads.clear();
  if (log_fd >= 0) close(log_fd);
  return absl::OkStatus();
}

}  // namespace
}  // namespace broadside::target

int main(int argc, char** argv) {
  CLI::App app(
      "An inference server for tests that behaves as it is told: KServe v2 over HTTP with "
      "given latencies, capacity, stalls and errors.",
      "broadside-scripted-target");
  broadside::target::Flags flags;
  broadside::target::AddFlags(app, flags);
  CLI11_PARSE(app, argc, argv);
  const broadside::Status status = broadside::target::Serve(flags);
  if (!status.ok()) {
    std::fprintf(stderr, "broadside-scripted-target: %s\n", broadside::MessageOf(status).c_str());
    return 1;
  }
  return 0;
}
