#include <memory>
#include <ostream>

#include <nlohmann/json.hpp>

#include "absl/strings/str_format.h"
#include "common/base/digest.h"
#include "common/report/format.h"
#include "ctl/command.h"
#include "ctl/exit_codes.h"
#include "ctl/plan_input.h"

namespace broadside::ctl {
namespace {

struct Options {
  std::vector<std::string> files;
  std::vector<std::string> overrides;
  bool send_secrets = false;
  std::string output = "text";
};

std::string Summary(const LoadedPlan& loaded) {
  Nanos length{};
  for (const plan::Phase& phase : loaded.plan.phases) length += phase.duration;
  const auto count = [](size_t n, const char* word) {
    return absl::StrFormat("%d %s%s", n, word, n == 1 ? "" : "s");
  };
  return count(loaded.plan.targets.size(), "target") + ", " +
         count(loaded.plan.phases.size(), "phase") + ", " + report::FormatClock(length.count()) +
         ", " + count(loaded.files.size(), "file") + ", sha256 " +
         Sha256Hex(loaded.canonical_json).substr(0, 12);
}

int Validate(const Env& env, const Options& options) {
  nlohmann::json results = nlohmann::json::array();
  bool all_good = true;
  for (const std::string& file : options.files) {
    const StatusOr<LoadedPlan> loaded =
        LoadPlan(env, {file, {}, options.overrides, options.send_secrets});
    all_good = all_good && loaded.ok();
    if (IsJson(options.output)) {
      nlohmann::json result = {{"file", file}, {"ok", loaded.ok()}, {"error", nullptr}};
      if (!loaded.ok()) result["error"] = MessageOf(loaded.status());
      if (loaded.ok()) result["plan_sha256"] = Sha256Hex(loaded->canonical_json);
      results.push_back(std::move(result));
    } else if (loaded.ok()) {
      *env.out << file << ": ok (" << Summary(*loaded) << ")\n";
    } else {
      *env.err << MessageOf(loaded.status()) << "\n";
    }
  }
  if (IsJson(options.output)) {
    const nlohmann::json answer = {{"plans", results}};
    *env.out << answer.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << "\n";
  }
  return all_good ? kExitOk : kExitUsage;
}

}  // namespace

Command ValidateCommand(Env& env) {
  auto o = std::make_shared<Options>();
  return {
      .name = "validate",
      .summary = "check plans and the files they name, without a controller",
      .usage = {"PLAN… [options]"},
      .details =
          "Prints one line a plan. Every error names file, line and column, what was found and "
          "what\n"
          "is allowed. Ends with 1 when any plan has one.",
      .options =
          {
              {.name = "PLAN",
               .to = &o->files,
               .value = "",
               .help = "plan files; - reads stdin",
               .required = true},
              {"--set", &o->overrides, "PATH=VALUE",
               "override a value of the plan: load.a.rate=2000/s"},
              {"--send-secrets", &o->send_secrets, "", "allow ${env:} and ${file:} inside headers"},
              OutputOption(&o->output),
          },
      .examples = {"ctl validate plan.yaml", "ctl validate plans/*.yaml --output json"},
      .run = [&env, o] { return Validate(env, *o); },
  };
}

}  // namespace broadside::ctl
