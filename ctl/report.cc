#include <filesystem>
#include <memory>
#include <ostream>

#include "common/report/json.h"
#include "ctl/command.h"
#include "ctl/exit_codes.h"
#include "ctl/plan_input.h"

namespace broadside::ctl {
namespace {

struct Options {
  std::string run, controller, output = "text";
  bool exit_code = false, strict = false;
};

bool IsFile(const std::string& name) {
  std::error_code ignored;
  return name.size() > 5 && name.compare(name.size() - 5, 5, ".json") == 0 &&
         std::filesystem::exists(name, ignored);
}

StatusOr<std::string> Fetch(const Env& env, const Options& options) {
  if (IsFile(options.run)) return ReadWholeFile(options.run);
  BROADSIDE_ASSIGN_OR_RETURN(const auto client, ConnectTo(env, options.controller));
  return client->GetReport(options.run);
}

int ReportOf(const Env& env, const Options& options) {
  StatusOr<std::string> text = Fetch(env, options);
  if (!text.ok()) return Fail(env, text.status());
  const StatusOr<report::Report> report = report::ReportFromJson(*text);
  if (!report.ok()) return Fail(env, report.status());
  if (text->back() != '\n') *text += "\n";
  *env.out << (IsJson(options.output) ? *text : report::RenderText(*report, TextOptionsOf(env)));
  return options.exit_code ? report::ExitCode(*report, options.strict) : kExitOk;
}

}  // namespace

Command ReportCommand(Env& env) {
  auto o = std::make_shared<Options>();
  return {
      .name = "report",
      .summary = "show the report of a run that has ended",
      .usage = {"RUN [options]", "FILE.json [options]"},
      .details = "",
      .options =
          {
              RunOption(&o->run, "the run's id, or the start of it; or a saved report"),
              ControllerOption(&o->controller),
              OutputOption(&o->output),
              {"--exit-code", &o->exit_code, "",
               "end with the run's exit code; else 0 once it is shown"},
              {"--strict", &o->strict, "", "with --exit-code: 7 for a DEGRADED run too"},
          },
      .examples = {"ctl report 7f3a2c --controller lab:7300",
                   "ctl report 7f3a2c --output json | jq .total.latency_ns.p99",
                   "ctl report saved.json"},
      .run = [&env, o] { return ReportOf(env, *o); },
  };
}

}  // namespace broadside::ctl
