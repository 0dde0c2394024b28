#include <memory>
#include <ostream>

#include <nlohmann/json.hpp>

#include "ctl/command.h"
#include "ctl/exit_codes.h"

namespace broadside::ctl {
namespace {

struct Options {
  std::string run, reason, controller, output = "text";
};

int Stop(const Env& env, const Options& options) {
  const auto client = ConnectTo(env, options.controller);
  if (!client.ok()) return Fail(env, client.status());
  const std::string reason = options.reason.empty() ? "stopped by " + env.user : options.reason;
  if (const Status status = (*client)->StopRun(options.run, reason); !status.ok()) {
    return Fail(env, status);
  }
  if (IsJson(options.output)) {
    const nlohmann::json answer = {{"run", options.run}, {"stopping", true}};
    *env.out << answer.dump() << "\n";
  } else {
    *env.out << "stopping run " << options.run << ": agents fall silent within 3 s\n";
  }
  return kExitOk;
}

}  // namespace

Command StopCommand(Env& env) {
  auto o = std::make_shared<Options>();
  return {
      .name = "stop",
      .summary = "end a run early, everywhere",
      .usage = {"RUN [options]"},
      .details =
          "Agents send nothing due after the present interval; what is in flight is still counted "
          "and\n"
          "the run gets its report, with state cancelled.",
      .options =
          {
              RunOption(&o->run),
              {"--reason", &o->reason, "TEXT", "why, for the report"},
              ControllerOption(&o->controller),
              OutputOption(&o->output),
          },
      .examples = {"ctl stop 7f3a2c --reason \"wrong cluster\""},
      .run = [&env, o] { return Stop(env, *o); },
  };
}

}  // namespace broadside::ctl
