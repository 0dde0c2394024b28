#include <memory>
#include <ostream>

#include "ctl/command.h"
#include "ctl/exit_codes.h"
#include "ctl/watcher.h"

namespace broadside::ctl {
namespace {

struct Options {
  std::string run, controller, output = "text", save;
  bool strict = false;
};

int Watch(const Env& env, const Options& options) {
  const auto client = ConnectTo(env, options.controller);
  if (!client.ok()) return Fail(env, client.status());
  Watcher watcher(env, **client, {});
  const StatusOr<Watcher::End> end = watcher.Follow(options.run);
  if (!end.ok()) return Fail(env, end.status());
  if (*end == Watcher::End::kLeft) return kExitInterrupted;
  return ShowReport(env, **client, options.run, watcher.last(), options.output, options.strict,
                    options.save);
}

}  // namespace

Command WatchCommand(Env& env) {
  auto o = std::make_shared<Options>();
  return {
      .name = "watch",
      .summary = "follow a run and show its report at the end",
      .usage = {"RUN [options]"},
      .details =
          "Progress goes to stderr, the report to stdout, and the exit code is the run's. Ctrl-C "
          "leaves;\n"
          "the run goes on.",
      .options =
          {
              RunOption(&o->run),
              ControllerOption(&o->controller),
              OutputOption(&o->output),
              {"--strict", &o->strict, "", "a DEGRADED run ends with 7 as an INVALID one does"},
              {"--save", &o->save, "FILE", "write the report's JSON there too"},
          },
      .examples = {"ctl run plan.yaml --controller lab:7300 --detach",
                   "ctl watch 7f3a2c --controller lab:7300"},
      .run = [&env, o] { return Watch(env, *o); },
  };
}

}  // namespace broadside::ctl
