#include <ostream>

#include "ctl/command.h"
#include "ctl/exit_codes.h"

namespace broadside::ctl {

Command VersionCommand(Env& env) {
  return {
      .name = "version",
      .summary = "print the version of ctl",
      .usage = {""},
      .details = "",
      .options = {},
      .examples = {},
      .run =
          [&env] {
            *env.out << "ctl " << BROADSIDE_VERSION << "\n";
            return kExitOk;
          },
  };
}

}  // namespace broadside::ctl
