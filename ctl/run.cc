#include <algorithm>
#include <memory>
#include <ostream>

#include <nlohmann/json.hpp>

#include "absl/strings/str_format.h"
#include "common/report/json.h"
#include "ctl/command.h"
#include "ctl/dry_run.h"
#include "ctl/exit_codes.h"
#include "ctl/plan_input.h"
#include "ctl/watcher.h"

namespace broadside::ctl {
namespace {

struct Options {
  PlanInput input;
  std::string controller, output = "text", save, store, secrets, record_requests;
  bool dry_run = false, detach = false, strict = false, no_wait = false;
  uint32_t agents = 0, agent_loops = 1;
};

constexpr Nanos kPoll = std::chrono::milliseconds(50);
constexpr int kAgentPolls = 400;  // with kPoll: 20 s

/// A controller, and where it came from.
struct Connection {
  std::unique_ptr<Cluster> cluster;  ///< ctl's own; null with --controller
  std::unique_ptr<OperatorClient> client;
};

Status Interrupted() { return Cancelled("interrupted before the load began; nothing was sent"); }

/// Until `count` agents have said hello: a plan takes all that are there when it begins.
Status WaitForAgents(const Env& env, Connection& connection, uint32_t count) {
  for (int poll = 0; poll < kAgentPolls; ++poll) {
    if (env.interrupts() > 0) return Interrupted();
    BROADSIDE_RETURN_IF_ERROR(connection.cluster->Check());
    BROADSIDE_ASSIGN_OR_RETURN(const std::vector<AgentInfo> agents,
                               connection.client->ListAgents());
    const auto idle = std::count_if(agents.begin(), agents.end(),
                                    [](const AgentInfo& agent) { return agent.state == "idle"; });
    if (static_cast<uint64_t>(idle) >= count) return absl::OkStatus();
    env.sleep(kPoll);
  }
  return Internal(absl::StrFormat(
      "the local agents did not reach the local controller within 20 s; their logs are in %s",
      connection.cluster->directory()));
}

StatusOr<Connection> StartLocal(const Env& env, const Options& options, const LoadedPlan& loaded) {
  if (options.detach) {
    return InvalidArgument(
        "--detach needs a controller that goes on without ctl: give --controller "
        "HOST:PORT.");
  }
  const uint32_t agents =
      options.agents > 0 ? options.agents : std::max<uint32_t>(1, loaded.plan.agents.min);
  Connection connection;
  BROADSIDE_ASSIGN_OR_RETURN(connection.cluster,
                             env.start_cluster({.store_dir = options.store,
                                                .agents = agents,
                                                .loops = options.agent_loops,
                                                .allow = loaded.endpoints,
                                                .secrets_dir = options.secrets,
                                                .record_requests = options.record_requests}));
  BROADSIDE_ASSIGN_OR_RETURN(connection.client, env.connect(connection.cluster->address()));
  BROADSIDE_RETURN_IF_ERROR(WaitForAgents(env, connection, agents));
  return connection;
}

/// Flags that shape a local cluster mean nothing to a running one.
Status RefuseLocalFlags(const Options& options) {
  const std::pair<const char*, bool> given[] = {
      {"--agents", options.agents != 0},
      {"--agent-loops", options.agent_loops != 1},
      {"--store", !options.store.empty()},
      {"--secrets", !options.secrets.empty()},
      {"--record-requests", !options.record_requests.empty()}};
  for (const auto& [flag, is_given] : given) {
    if (is_given) {
      return InvalidArgument(std::string(flag) +
                             " is for local runs; with a controller it is the agents' own matter.");
    }
  }
  return absl::OkStatus();
}

StatusOr<Connection> Connect(const Env& env, const Options& options, const LoadedPlan& loaded) {
  BROADSIDE_ASSIGN_OR_RETURN(const std::string address, ControllerAddress(env, options.controller));
  if (address.empty()) return StartLocal(env, options, loaded);
  BROADSIDE_RETURN_IF_ERROR(RefuseLocalFlags(options));
  Connection connection;
  BROADSIDE_ASSIGN_OR_RETURN(connection.client, env.connect(address));
  return connection;
}

int PrintDryRun(const Env& env, const Options& options, const LoadedPlan& loaded) {
  std::vector<AgentInfo> agents;
  const StatusOr<std::string> address = ControllerAddress(env, options.controller);
  if (!address.ok()) return Fail(env, address.status());
  if (!address->empty()) {
    const auto client = env.connect(*address);
    if (!client.ok()) return Fail(env, client.status());
    auto listed = (*client)->ListAgents();
    if (!listed.ok()) return Fail(env, listed.status());
    agents = std::move(*listed);
  }
  const uint32_t count =
      options.agents > 0 ? options.agents : std::max<uint32_t>(1, loaded.plan.agents.min);
  const StatusOr<std::string> text = DryRun(env, loaded, agents, count, IsJson(options.output));
  if (!text.ok()) return Fail(env, text.status());
  *env.out << *text;
  return kExitOk;
}

int PrintDetached(const Env& env, const Options& options, const std::string& run) {
  if (IsJson(options.output)) {
    *env.out << nlohmann::json({{"run", run}}).dump() << "\n";
  } else {
    *env.out << run << "\n";
    *env.err << "run " << run << " goes on; follow it with ctl watch " << run << "\n";
  }
  return kExitOk;
}

int Run(const Env& env, const Options& options) {
  const StatusOr<LoadedPlan> loaded = LoadPlan(env, options.input);
  if (!loaded.ok()) {
    // A plan's error starts with its place; editors and people look for that at the line's start.
    *env.err << MessageOf(loaded.status()) << "\n";
    return kExitUsage;
  }
  if (options.dry_run) return PrintDryRun(env, options, *loaded);
  StatusOr<Connection> connection = Connect(env, options, *loaded);
  if (!connection.ok()) return Fail(env, connection.status());
  if (env.interrupts() > 0) return Fail(env, Interrupted());
  OperatorClient& client = *connection->client;
  const StatusOr<std::string> run = client.Submit({.plan_json = loaded->canonical_json,
                                                   .files = loaded->files,
                                                   .submitted_by = env.user,
                                                   .no_wait = options.no_wait});
  if (!run.ok()) return Fail(env, run.status());
  if (options.detach) return PrintDetached(env, options, *run);
  Watcher watcher(env, client, {.cancels = true, .cluster = connection->cluster.get()});
  const StatusOr<Watcher::End> end = watcher.Follow(*run);
  if (!end.ok()) return Fail(env, end.status());
  if (*end == Watcher::End::kLeft) {
    if (connection->cluster != nullptr) connection->cluster->Kill();
    return kExitInterrupted;
  }
  const int code =
      ShowReport(env, client, *run, watcher.last(), options.output, options.strict, options.save);
  if (connection->cluster != nullptr) {
    connection->cluster->Stop();
    if (!options.store.empty()) {
      *env.err << "store and logs: " << connection->cluster->directory() << "\n";
    }
  }
  return code;
}

std::vector<Option> RunOptions(Options& o) {
  const std::string flags = "Without a plan file";
  const std::string local = "Local runs (no --controller)";
  plan::OneLiner& one = o.input.one_liner;
  return {
      {.name = "PLAN",
       .to = &o.input.file,
       .value = "",
       .help = "the plan, a YAML file; - reads stdin"},
      {"--target", &one.target, "URL", "what to load: http://host:port/path", flags},
      {"--rate", &one.rate, "R", "how fast: 100/s, 6000/min, 0.5/s", flags},
      {"--duration", &one.duration, "D", "how long: 30s, 5m, 1h30m", flags},
      {"--targets", &one.targets_file, "FILE", "a Vegeta target file instead of --target", flags},
      {"--method", &one.method, "M", "GET, or POST when there is a body", flags},
      {"--header", &one.headers, "K:V", "a header; may be given again", flags},
      {"--body", &one.body_file, "FILE", "sent as it is", flags},
      {"--set", &o.input.overrides, "PATH=VALUE",
       "override a value of the plan: load.a.rate=2000/s; may be\ngiven again"},
      {"--dry-run", &o.dry_run, "", "print the resolved plan and each agent's rate; send nothing"},
      {"--detach", &o.detach, "", "print the run's id and leave; the run goes on"},
      {"--strict", &o.strict, "", "a DEGRADED run ends with 7 as an INVALID one does"},
      {"--no-wait", &o.no_wait, "", "fail now when there are too few agents"},
      {"--send-secrets", &o.input.send_secrets, "", "allow ${env:} and ${file:} inside headers"},
      OutputOption(&o.output),
      {"--save", &o.save, "FILE", "write the report's JSON there too"},
      ControllerOption(&o.controller),
      {"--agents", &o.agents, "N", "how many agents; the plan's minimum when not given", local},
      {"--agent-loops", &o.agent_loops, "N", "event loops of each agent; 1 when not given", local},
      {"--store", &o.store, "DIR", "keep the controller's store and the logs there", local},
      {"--secrets", &o.secrets, "DIR", "files that ${secret:NAME} in headers reads", local},
      {"--record-requests", &o.record_requests, "PREFIX",
       "dump every request's times to PREFIX-agent-N.csv", local},
  };
}

}  // namespace

Command RunCommand(Env& env) {
  auto o = std::make_shared<Options>();
  return {
      .name = "run",
      .summary = "fire a plan's load and report what it did",
      .usage = {"PLAN [options]", "--target URL --rate R --duration D [options]"},
      .details =
          "With a controller, its agents fire the load. Without one, ctl starts a controller and "
          "agents on\n"
          "this machine for this run alone, and lets them fire at the targets you named and "
          "nowhere else.\n"
          "Progress goes to stderr, the report to stdout. Ctrl-C cancels the run everywhere within "
          "3 s;\n"
          "a second one leaves at once, and the cancel stands.",
      .options = RunOptions(*o),
      .examples =
          {"ctl run --target http://127.0.0.1:8000/v2/health/ready --rate 100/s --duration 10s",
           "ctl run plan.yaml --dry-run", "ctl run plan.yaml --agents 3",
           "ctl run plan.yaml --controller lab:7300 --set load.hold.rate=2000/s",
           "ctl run plan.yaml --output json | jq .total.latency_ns.p99"},
      .run = [&env, o] { return Run(env, *o); },
  };
}

}  // namespace broadside::ctl
