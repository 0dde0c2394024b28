#include "agent/control/prepare.h"

#include <algorithm>
#include <condition_variable>
#include <fstream>
#include <mutex>
#include <optional>
#include <set>
#include <sstream>
#include <utility>

#include "agent/workload/model_fetch.h"
#include "common/plan/parse.h"
#include "common/rpc/http_server.h"

namespace broadside::agent {
namespace {

constexpr Nanos kModelDeadline = std::chrono::seconds(10);

StatusOr<std::string> ReadSecret(const std::string& dir, const std::string& name) {
  if (dir.empty())
    return FailedPrecondition("secret " + name +
                              " is not known: start this agent with --secrets DIR");
  if (name.empty() || name.find('/') != std::string::npos || name.front() == '.')
    return InvalidArgument("\"" + name + "\" is not a secret's name");
  std::ifstream file(dir + "/" + name, std::ios::binary);
  if (!file) return NotFound("secret " + name + " is not in " + dir + " on this agent");
  std::stringstream content;
  content << file.rdbuf();
  std::string value = content.str();
  while (!value.empty() && (value.back() == '\n' || value.back() == '\r')) value.pop_back();
  return value;
}

/// Where connections really go: `connect_to` stands in for the URL's address. The resolver checks.
Status CheckEndpoint(Resolver& resolver, const plan::Target& target) {
  if (!target.connect_to.empty()) {
    BROADSIDE_ASSIGN_OR_RETURN(const auto address,
                               rpc::ParseHostPort(target.connect_to, "connect_to"));
    return resolver.Resolve(address.host, address.port).status();
  }
  if (!target.endpoint) return absl::OkStatus();
  return resolver.Resolve(target.endpoint->host, target.endpoint->port).status();
}

/// Waits for Engine::Warm. The state outlives the wait, since `done` may come after the deadline.
Status WarmUp(Engine& engine, Nanos deadline) {
  struct State {
    std::mutex mutex;
    std::condition_variable changed;
    std::optional<Status> result;
  };
  const auto state = std::make_shared<State>();
  engine.Warm(deadline, [state](Status status) {
    const std::lock_guard lock(state->mutex);
    state->result = std::move(status);
    state->changed.notify_all();
  });
  std::unique_lock lock(state->mutex);
  const Nanos grace = std::chrono::seconds(5);
  if (!state->changed.wait_for(lock, deadline + grace, [&] { return state->result.has_value(); }))
    return DeadlineExceeded("connections were not warm in time");
  return *state->result;
}

}  // namespace

StatusOr<PreparedRun> Prepare(const wire::Assignment& assignment, Incarnation self,
                              const LocalPolicy& policy, const FileFetcher& fetch,
                              Nanos warm_deadline, SnapshotSink sink) {
  PreparedRun out;
  BROADSIDE_ASSIGN_OR_RETURN(plan::Plan parsed,
                             plan::ParsePlan(assignment.plan_json, {.file_name = "plan"}));
  out.plan = std::make_shared<const plan::Plan>(std::move(parsed));
  for (const auto& [path, sha256] : out.plan->files) {
    if (out.files.contains(sha256)) continue;
    BROADSIDE_ASSIGN_OR_RETURN(out.files[sha256], fetch(sha256));
  }
  RunSetup setup{.run = assignment.run,
                 .owner = self,
                 .seed = assignment.seed,
                 .plan = out.plan,
                 .in_flight = assignment.in_flight,
                 .connections = assignment.connections,
                 .share = assignment.share};
  // A name is resolved once: its addresses are checked here, and the engine uses these.
  setup.resolver =
      std::make_shared<Resolver>([allow = policy.allow](const std::string& host, uint16_t port,
                                                        const std::vector<Address>& addresses) {
        return allow.Check(host, port, addresses);
      });
  for (const plan::Target& target : out.plan->targets) {
    // Checked before anything is asked of it, metadata included.
    BROADSIDE_RETURN_IF_ERROR(CheckEndpoint(*setup.resolver, target));
    const SecretReader secret = [&policy](const std::string& name) {
      return ReadSecret(policy.secrets_dir, name);
    };
    const WorkloadInputs inputs{.read = [&out](const std::string& path) -> StatusOr<std::string> {
                                  const auto file = out.plan->files.find(path);
                                  if (file == out.plan->files.end())
                                    return NotFound("file " + path + " did not come with the plan");
                                  return out.files.at(file->second);
                                },
                                .secret = secret,
                                .model =
                                    [&secret, &resolver = *setup.resolver](const plan::Target& t) {
                                      return FetchModelConfig(t, secret, resolver, kModelDeadline);
                                    },
                                .seed = assignment.seed};
    BROADSIDE_ASSIGN_OR_RETURN(auto workload, BuildWorkload(target, inputs));
    for (const Endpoint& endpoint : workload->endpoints)
      BROADSIDE_RETURN_IF_ERROR(setup.resolver->Resolve(endpoint.host, endpoint.port).status());
    setup.workloads.push_back(std::move(workload));
  }
  BROADSIDE_ASSIGN_OR_RETURN(out.engine,
                             Engine::Create(policy.engine, std::move(setup), std::move(sink)));
  BROADSIDE_RETURN_IF_ERROR(WarmUp(*out.engine, warm_deadline));
  return out;
}

Status CheckCeiling(const rate::Deal& deal, const std::vector<rate::Segment>& segments,
                    Incarnation self, rate::MicroRate ceiling) {
  if (ceiling == 0) return absl::OkStatus();
  const auto me = std::find(deal.owners.begin(), deal.owners.end(), self);
  if (me == deal.owners.end()) return absl::OkStatus();
  const auto mine = std::count(deal.slots.begin(), deal.slots.end(),
                               static_cast<int32_t>(me - deal.owners.begin()));
  rate::MicroRate peak = 0;
  for (const rate::Segment& segment : segments)
    for (const rate::Knot& knot : segment.knots) peak = std::max(peak, knot.rate);
  // Shares are rounded to slots: a thousandth over the ceiling is not a breach.
  const double asked = static_cast<double>(peak) * static_cast<double>(mine) /
                       static_cast<double>(deal.slots.size());
  if (asked <= static_cast<double>(ceiling) * 1.001) return absl::OkStatus();
  return PermissionDenied("epoch " + std::to_string(deal.epoch.value()) + " asks for " +
                          std::to_string(static_cast<int64_t>(asked) / rate::kMicroPerUnit) +
                          "/s of this agent, its --rate-ceiling is " +
                          std::to_string(ceiling / rate::kMicroPerUnit) +
                          "/s: it sends nothing of it");
}

}  // namespace broadside::agent
