#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "agent/control/agent.h"
#include "agent/control/pages.h"
#include "common/base/digest.h"
#include "common/plan/parse.h"
#include "common/rate/schedule.h"
#include "common/rpc/http_server.h"
#include "common/rpc/program.h"
#include "common/stats/histogram.h"

namespace {

using namespace broadside;

struct Flags {
  std::string controller = "127.0.0.1:7300";
  std::string id;
  std::vector<std::string> allow;
  std::vector<std::string> labels;
  std::string secrets;
  std::string rate_ceiling;
  std::string record_requests;
  uint32_t loops = 0;
  std::string wait = "balanced";
  rpc::DaemonFlags daemon{.http = "127.0.0.1:7302", .port_file = ""};
};

constexpr char kProgram[] = "broadside-agent";

int Fail(const Status& status) { return rpc::FailToStart(kProgram, status); }

StatusOr<agent::WaitMode> WaitModeFrom(const std::string& word) {
  if (word == "eco") return agent::WaitMode::kEco;
  if (word == "balanced") return agent::WaitMode::kBalanced;
  if (word == "spin") return agent::WaitMode::kSpin;
  return InvalidArgument("--wait: \"" + word +
                         "\" is not one of its words. Write eco, balanced or spin.");
}

/// Said now rather than by the first run: these paths are the agent's own.
Status CheckPaths(const Flags& flags) {
  if (!flags.secrets.empty() && !std::filesystem::is_directory(flags.secrets))
    return InvalidArgument("--secrets: \"" + flags.secrets + "\" is not a directory");
  if (flags.record_requests.empty()) return absl::OkStatus();
  const std::ofstream file(flags.record_requests, std::ios::app);
  return file ? absl::OkStatus() : ErrnoStatus(errno, "--record-requests " + flags.record_requests);
}

std::string HostName() {
  char name[256] = {};
  gethostname(name, sizeof(name) - 1);
  return name;
}

StatusOr<agent::AgentOptions> OptionsFrom(const Flags& flags) {
  agent::AgentOptions out{.controller = flags.controller};
  const uint32_t cores = std::max(1u, std::thread::hardware_concurrency());
  const auto address = rpc::ParseHostPort(flags.controller, "--controller");
  BROADSIDE_RETURN_IF_ERROR(address.status());
  BROADSIDE_ASSIGN_OR_RETURN(const agent::WaitMode wait, WaitModeFrom(flags.wait));
  BROADSIDE_RETURN_IF_ERROR(CheckPaths(flags));
  BROADSIDE_ASSIGN_OR_RETURN(out.policy.allow, agent::AllowList::Make(flags.allow));
  out.policy.secrets_dir = flags.secrets;
  if (!flags.rate_ceiling.empty()) {
    const auto rate = plan::ParseRate(flags.rate_ceiling);
    if (!rate.ok()) return InvalidArgument("--rate-ceiling: " + MessageOf(rate.status()));
    out.policy.rate_ceiling = *rate;
  }
  out.policy.engine = {.loops = flags.loops == 0 ? cores : flags.loops,
                       .wait = wait,
                       .record_requests = flags.record_requests};
  wire::Hello& hello = out.core.hello;
  hello.schedule_version = rate::kScheduleVersion;
  hello.histogram_layout = stats::kLayoutVersion;
  hello.agent = AgentId(flags.id.empty() ? HostName() : flags.id);
  hello.incarnation = Incarnation(RandomBits() | 1);
  hello.loops = out.policy.engine.loops;
  hello.cores = cores;
  hello.rate_ceiling = out.policy.rate_ceiling;
  hello.version = BROADSIDE_VERSION;
  hello.host = HostName();
  for (const std::string& label : flags.labels) {
    const size_t equals = label.find('=');
    if (equals == 0 || equals == std::string::npos)
      return InvalidArgument("--label \"" + label + "\" is not KEY=VALUE. Write --label zone=a");
    hello.labels[label.substr(0, equals)] = label.substr(equals + 1);
  }
  return out;
}

int Serve(const Flags& flags, const sigset_t& signals) {
  auto options = OptionsFrom(flags);
  if (!options.ok()) return Fail(options.status());
  agent::Agent agent(*std::move(options));
  auto http = rpc::HttpServer::Start({.listen = flags.daemon.http}, agent::MakePages(agent));
  if (!http.ok()) return Fail(http.status());
  const Status told = rpc::WritePortFile(flags.daemon.port_file, {{"http", (*http)->bound_port()}});
  if (!told.ok()) return Fail(told);
  // The first signal drains, the second leaves at once. sigtimedwait lets this thread end with the
  // agent.
  std::atomic<bool> done = false;
  std::thread waiter([&] {
    const timespec slice{.tv_sec = 0, .tv_nsec = 200'000'000};
    for (int heard = 0; !done;) {
      if (sigtimedwait(&signals, nullptr, &slice) < 0) continue;
      ++heard == 1 ? agent.RequestDrain() : agent.RequestExit();
    }
  });
  agent.Run();
  done = true;
  waiter.join();
  (*http)->Stop(std::chrono::seconds(1));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const sigset_t signals = rpc::SetUpDaemon();
  Flags flags;
  CLI::App app("Fires a share of a cluster's inference requests and reports what it saw.");
  rpc::AddDaemonFlags(app, kProgram, flags.daemon);
  app.add_option("--controller", flags.controller, "HOST:PORT of the controller's gRPC port");
  app.add_option("--id", flags.id,
                 "Name of this agent, unique in the cluster; default: the host's name");
  app.add_option(
      "--allow", flags.allow,
      "HOST, IP or CIDR with optional :PORT that may be fired at (repeat); default: loopback only");
  app.add_option("--label", flags.labels, "KEY=VALUE that plans can select agents by (repeat)");
  app.add_option("--secrets", flags.secrets,
                 "Directory whose files are the values of ${secret:NAME}");
  app.add_option("--rate-ceiling", flags.rate_ceiling,
                 "Never fire faster than this, e.g. 5000/s; default: no ceiling");
  app.add_option("--loops", flags.loops,
                 "Request loops, each on a thread of its own; 0: one a core")
      ->check([](const std::string& text) -> std::string {
        const bool number = text.find_first_not_of("0123456789") == std::string::npos;
        return number && text.size() <= 4 ? ""
                                          : "\"" + text + "\" is not a whole number up to 9999";
      });
  app.add_option("--wait", flags.wait,
                 "How loops wait: eco (sleep), balanced (sleep, then poll), spin (poll)");
  app.add_option("--record-requests", flags.record_requests,
                 "Write one line a request to this file");
  if (const auto code = rpc::ParseFlags(app, argc, argv)) return *code;
  return Serve(flags, signals);
}
