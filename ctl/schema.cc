#include <ostream>

#include "common/plan/parse.h"
#include "ctl/command.h"
#include "ctl/exit_codes.h"

namespace broadside::ctl {

Command SchemaCommand(Env& env) {
  return {
      .name = "schema",
      .summary = "print the JSON Schema of plan.yaml, for editors",
      .usage = {""},
      .details = "With it, an editor completes keys and marks mistakes while you type.",
      .options = {},
      .examples =
          {"ctl schema > broadside-plan.schema.json",
           "# yaml-language-server: $schema=broadside-plan.schema.json   (first line of a plan)"},
      .run =
          [&env] {
            std::string schema = plan::PlanJsonSchema();
            if (schema.empty() || schema.back() != '\n') schema += "\n";
            *env.out << schema;
            return kExitOk;
          },
  };
}

}  // namespace broadside::ctl
