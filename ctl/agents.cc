#include <memory>
#include <ostream>

#include <nlohmann/json.hpp>

#include "absl/strings/str_format.h"
#include "common/report/format.h"
#include "common/report/table.h"
#include "ctl/command.h"
#include "ctl/exit_codes.h"

namespace broadside::ctl {
namespace {

struct Options {
  std::string controller, output = "text";
};

nlohmann::json AgentsJson(const std::vector<AgentInfo>& agents) {
  nlohmann::json list = nlohmann::json::array();
  for (const AgentInfo& agent : agents) {
    list.push_back({{"id", agent.id},
                    {"incarnation", agent.incarnation},
                    {"state", agent.state},
                    {"reason", agent.reason},
                    {"run", agent.run_id.empty() ? nlohmann::json() : nlohmann::json(agent.run_id)},
                    {"host", agent.host},
                    {"version", agent.version},
                    {"loops", agent.loops},
                    {"cores", agent.cores},
                    {"rate_ceiling", agent.rate_ceiling > 0 ? nlohmann::json(agent.rate_ceiling)
                                                            : nlohmann::json()},
                    {"labels", agent.labels},
                    {"last_heard_s", agent.last_heard_s}});
  }
  return {{"agents", list}};
}

std::string AgentsText(const Env& env, const std::vector<AgentInfo>& agents) {
  if (agents.empty()) {
    return "no agents; start one with broadside-agent --controller HOST:PORT --id NAME --allow "
           "TARGET\n";
  }
  using report::Printable;
  using Align = report::Table::Align;
  report::Table table({{"agent", Align::kLeft},
                       {"state", Align::kLeft},
                       {"run", Align::kLeft},
                       {"host", Align::kLeft},
                       {"loops"},
                       {"cores"},
                       {"ceiling"},
                       {"heard"},
                       {"version", Align::kLeft},
                       {"labels", Align::kLeft},
                       {"", Align::kLeft}},
                      env.unicode);
  for (const AgentInfo& agent : agents) {
    std::string labels;
    for (const auto& [key, value] : agent.labels) {
      labels += (labels.empty() ? "" : " ") + Printable(key) + "=" + Printable(value);
    }
    table.Add({{Printable(agent.id)},
               {Printable(agent.state)},
               {agent.run_id.empty() ? "–" : Printable(agent.run_id)},
               {Printable(agent.host)},
               {absl::StrFormat("%d", agent.loops)},
               {absl::StrFormat("%d", agent.cores)},
               {agent.rate_ceiling > 0 ? report::FormatRate(agent.rate_ceiling) : "none"},
               {absl::StrFormat("%.1f s ago", agent.last_heard_s)},
               {Printable(agent.version)},
               {labels},
               {Printable(agent.reason)}});
  }
  return table.Render(TextOptionsOf(env).colour);
}

int Agents(const Env& env, const Options& options) {
  const auto client = ConnectTo(env, options.controller);
  if (!client.ok()) return Fail(env, client.status());
  const auto agents = (*client)->ListAgents();
  if (!agents.ok()) return Fail(env, agents.status());
  if (IsJson(options.output)) {
    *env.out << AgentsJson(*agents).dump(2, ' ', false, nlohmann::json::error_handler_t::replace)
             << "\n";
  } else {
    *env.out << AgentsText(env, *agents);
  }
  return kExitOk;
}

}  // namespace

Command AgentsCommand(Env& env) {
  auto o = std::make_shared<Options>();
  return {
      .name = "agents",
      .summary = "list the agents that a controller knows",
      .usage = {"[options]"},
      .details = "",
      .options = {ControllerOption(&o->controller), OutputOption(&o->output)},
      .examples = {"ctl agents --controller lab:7300"},
      .run = [&env, o] { return Agents(env, *o); },
  };
}

}  // namespace broadside::ctl
