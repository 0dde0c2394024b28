// CPU of one request: the engine, or the floor under every HTTP/1.1 client (blocking sends and
// receives without epoll, parsing or clock), against a server on loopback.
//
//   engine_bench floor  PORT SECONDS CONNECTIONS
//   engine_bench engine PORT SECONDS CONNECTIONS RATE [eco|balanced|spin]
//   engine_bench burst  PORT REQUESTS CONNECTIONS
//
// A burst is due at once and waits for the connections, so that every reply is followed by the next
// request: what a closed-loop tool does. Prints one JSON line. Exit 1 on a mismatch.

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>
#include <vector>

#include "agent/engine/engine.h"
#include "common/rate/profile.h"
#include "common/stats/codec.h"
#include "common/time/clock.h"

namespace broadside::agent {
namespace {

constexpr char kRequest[] = "GET /v2/health/ready HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";

struct Options {
  std::string mode;
  uint16_t port = 0;
  int seconds = 0;
  uint32_t connections = 0;
  int64_t rate = 0;
  uint32_t in_flight = 0;
  Nanos length{};
  WaitMode wait = WaitMode::kBalanced;
};

struct Cpu {
  double user_us = 0, sys_us = 0;
};
Cpu CpuNow() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto micros = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) * 1e6 + static_cast<double>(t.tv_usec);
  };
  return {micros(usage.ru_utime), micros(usage.ru_stime)};
}

int Dial(uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    std::perror("connect");
    std::exit(1);
  }
  return fd;
}

void Print(const Options& options, uint64_t requests, double seconds, const Cpu& before,
           const std::string& more) {
  const Cpu after = CpuNow();
  const auto n = static_cast<double>(requests);
  std::printf(
      "{\"client\":\"%s\",\"requests\":%llu,\"rate\":%.0f,\"cpu_us\":%.3f,\"user_us\":%.3f,"
      "\"sys_us\":%.3f%s}\n",
      options.mode.c_str(), static_cast<unsigned long long>(requests), n / seconds,
      (after.user_us - before.user_us + after.sys_us - before.sys_us) / n,
      (after.user_us - before.user_us) / n, (after.sys_us - before.sys_us) / n, more.c_str());
}

int Floor(const Options& options) {
  std::vector<int> sockets;
  for (uint32_t i = 0; i < options.connections; ++i) sockets.push_back(Dial(options.port));
  static char bytes[64 << 10];
  uint64_t requests = 0;
  const Cpu before = CpuNow();
  const Instant end = SystemClock().Now() + std::chrono::seconds(options.seconds);
  while (SystemClock().Now() < end) {
    for (const int fd : sockets) {
      if (send(fd, kRequest, sizeof(kRequest) - 1, MSG_NOSIGNAL) < 0) return 1;
    }
    for (const int fd : sockets) {
      if (recv(fd, bytes, sizeof(bytes), 0) <= 0) return 1;
    }
    requests += sockets.size();
  }
  Print(options, requests, options.seconds, before, "");
  return 0;
}

RunSetup MakeSetup(const Options& options) {
  auto plan = std::make_shared<plan::Plan>();
  plan->targets.push_back({.name = "t"});
  plan::Phase phase;
  phase.load = plan::ConstantLoad{options.rate * rate::kMicroPerUnit};
  phase.duration = options.length;
  plan->phases.push_back(phase);
  plan->limits.timeout.total = std::chrono::minutes(2);
  auto workload = std::make_shared<Workload>();
  workload->endpoints.push_back({"127.0.0.1", options.port, false, ""});
  PreparedRequest request;
  request.bytes = kRequest;
  request.stamp_at = request.bytes.size() - 2;
  workload->requests.push_back(request);
  return {.run = RunId("bench1"),
          .owner = Incarnation(1),
          .plan = plan,
          .workloads = {workload},
          .in_flight = options.in_flight,
          .connections = options.connections};
}

std::string LagText(const std::vector<stats::Snapshot>& snapshots) {
  stats::Histogram lag;
  for (const stats::Snapshot& snapshot : snapshots) {
    for (const stats::Cell& cell : snapshot.cells) {
      if (cell.measure != stats::Measure::kLag) continue;
      if (!stats::DecodeCounts(cell.counts, lag).ok()) std::exit(1);
      lag.AddExact(cell.exact);
    }
  }
  char text[160];
  std::snprintf(text, sizeof(text), ",\"lag_p50_us\":%.1f,\"lag_p99_us\":%.1f",
                static_cast<double>(lag.Percentile(500'000).value_or(0)) / 1e3,
                static_cast<double>(lag.Percentile(990'000).value_or(0)) / 1e3);
  return text;
}

int Load(const Options& options) {
  const Nanos length = options.length;
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<stats::Snapshot> snapshots;
  bool warm = false;
  auto engine = Engine::Create({.loops = 1, .wait = options.wait}, MakeSetup(options),
                               [&](stats::Snapshot snapshot) {
                                 const std::lock_guard lock(mutex);
                                 snapshots.push_back(std::move(snapshot));
                                 changed.notify_all();
                               });
  if (!engine.ok()) return 1;
  (*engine)->Warm(std::chrono::seconds(5), [&](Status) {
    const std::lock_guard lock(mutex);
    warm = true;
    changed.notify_all();
  });
  std::unique_lock lock(mutex);
  changed.wait_for(lock, std::chrono::seconds(10), [&] { return warm; });
  rate::Segment segment;
  segment.length = length;
  segment.knots = rate::ConstantKnots(options.rate * rate::kMicroPerUnit, length);
  segment.mix = {{TargetIndex(0), 1}};
  (*engine)->AddSegment(*rate::CompiledSegment::Make(segment));
  (*engine)->AddDeal(rate::MakeDeal(ShardEpoch(1), 0, {Incarnation(1)}, {1}));
  const Cpu before = CpuNow();
  const Instant now = SystemClock().Now();
  (*engine)->SetClock({now + std::chrono::milliseconds(5), RunStart(), 0, Nanos(0)}, Nanos(0),
                      Nanos(0));
  (*engine)->Grant(ShardEpoch(1), length / std::chrono::seconds(1), now + std::chrono::hours(1));
  (*engine)->Finish(RunStart() + length);
  changed.wait_for(lock, length + std::chrono::minutes(3),
                   [&] { return !snapshots.empty() && snapshots.back().final_totals; });
  const stats::Counters& totals = snapshots.back().counters.at(0).counters;
  if (!totals.Closes() || totals.ok != totals.sent) return 1;
  const double seconds = std::chrono::duration<double>(SystemClock().Now() - now).count();
  Print(options, totals.ok, seconds, before,
        LagText(snapshots) + ",\"dropped\":" + std::to_string(totals.dropped));
  return 0;
}

}  // namespace
}  // namespace broadside::agent

int main(int argc, char** argv) {
  using broadside::agent::WaitMode;
  broadside::agent::Options options;
  if (argc >= 5) {
    options.mode = argv[1];
    options.port = static_cast<uint16_t>(std::atoi(argv[2]));
    options.seconds = std::atoi(argv[3]);
    options.connections = static_cast<uint32_t>(std::atoi(argv[4]));
  }
  if (argc >= 6) options.rate = std::atoll(argv[5]);
  if (argc >= 7) {
    options.wait = std::strcmp(argv[6], "eco") == 0    ? WaitMode::kEco
                   : std::strcmp(argv[6], "spin") == 0 ? WaitMode::kSpin
                                                       : WaitMode::kBalanced;
  }
  if (options.mode == "floor") return broadside::agent::Floor(options);
  options.length = std::chrono::seconds(options.seconds);
  options.in_flight = options.connections * 2;
  if (options.mode == "burst") {
    options.rate = 10'000'000;
    options.length = std::chrono::nanoseconds(int64_t{options.seconds} * 100);
    options.in_flight = static_cast<uint32_t>(options.seconds);
    options.wait = WaitMode::kEco;
  }
  if (options.rate > 0) return broadside::agent::Load(options);
  std::fprintf(stderr,
               "usage: engine_bench floor PORT SECONDS CONNECTIONS\n"
               "       engine_bench engine PORT SECONDS CONNECTIONS RATE [eco|balanced|spin]\n"
               "       engine_bench burst  PORT REQUESTS CONNECTIONS\n");
  return 1;
}
