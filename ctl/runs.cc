#include <memory>
#include <ostream>

#include <nlohmann/json.hpp>

#include "common/report/format.h"
#include "common/report/table.h"
#include "common/time/clock.h"
#include "ctl/command.h"
#include "ctl/exit_codes.h"

namespace broadside::ctl {
namespace {

struct Options {
  uint32_t limit = 20;
  std::string controller, output = "text";
};

nlohmann::json RunsJson(const std::vector<RunInfo>& runs) {
  nlohmann::json list = nlohmann::json::array();
  const auto when = [](int64_t wall) {
    return wall == 0 ? nlohmann::json() : nlohmann::json(wall);
  };
  for (const RunInfo& run : runs) {
    list.push_back(
        {{"id", run.run_id},
         {"name", run.name},
         {"state", run.state},
         {"reason", run.reason},
         {"submitted", when(run.submitted_wall_ns)},
         {"ended", when(run.ended_wall_ns)},
         {"validity", run.validity.empty() ? nlohmann::json() : nlohmann::json(run.validity)}});
  }
  return {{"runs", list}};
}

std::string RunsText(const Env& env, const std::vector<RunInfo>& runs) {
  if (runs.empty()) return "no runs yet; start one with ctl run plan.yaml\n";
  using report::Printable;
  using Align = report::Table::Align;
  report::Table table({{"run", Align::kLeft},
                       {"plan", Align::kLeft},
                       {"state", Align::kLeft},
                       {"validity", Align::kLeft},
                       {"submitted (UTC)", Align::kLeft},
                       {"took"},
                       {"", Align::kLeft}},
                      env.unicode);
  for (const RunInfo& run : runs) {
    const bool ended = run.ended_wall_ns > run.submitted_wall_ns;
    table.Add({{Printable(run.run_id)},
               {Printable(run.name)},
               {Printable(run.state)},
               {run.validity.empty() ? "–" : Printable(run.validity)},
               {run.submitted_wall_ns == 0 ? "–" : FormatUtc(run.submitted_wall_ns)},
               {ended ? report::FormatClock(run.ended_wall_ns - run.submitted_wall_ns) : "–"},
               {Printable(run.reason)}});
  }
  return table.Render(TextOptionsOf(env).colour);
}

int Runs(const Env& env, const Options& options) {
  const auto client = ConnectTo(env, options.controller);
  if (!client.ok()) return Fail(env, client.status());
  const auto runs = (*client)->ListRuns(options.limit);
  if (!runs.ok()) return Fail(env, runs.status());
  if (IsJson(options.output)) {
    *env.out << RunsJson(*runs).dump(2, ' ', false, nlohmann::json::error_handler_t::replace)
             << "\n";
  } else {
    *env.out << RunsText(env, *runs);
  }
  return kExitOk;
}

}  // namespace

Command RunsCommand(Env& env) {
  auto o = std::make_shared<Options>();
  return {
      .name = "runs",
      .summary = "list the runs of a controller, newest first",
      .usage = {"[options]"},
      .details = "",
      .options =
          {
              {"--limit", &o->limit, "N", "how many at most; 20 when not given"},
              ControllerOption(&o->controller),
              OutputOption(&o->output),
          },
      .examples = {"ctl runs --controller lab:7300", "ctl runs --output json | jq '.runs[0].id'"},
      .run = [&env, o] { return Runs(env, *o); },
  };
}

}  // namespace broadside::ctl
