#include "ctl/env.h"

#include <charconv>
#include <ostream>

#include "ctl/exit_codes.h"

namespace broadside::ctl {

report::TextOptions TextOptionsOf(const Env& env) {
  return {.colour = env.colour && env.out_terminal, .width = env.width, .unicode = env.unicode};
}

StatusOr<std::string> ControllerAddress(const Env& env, const std::string& flag) {
  std::string from = "--controller";
  std::string address = flag;
  if (address.empty()) {
    from = "BROADSIDE_CONTROLLER";
    address = env.variable("BROADSIDE_CONTROLLER").value_or("");
  }
  if (address.empty()) return address;
  const size_t colon = address.rfind(':');
  uint16_t port = 0;
  if (colon != std::string::npos && colon > 0) {
    const char* end = address.data() + address.size();
    const auto [at, error] = std::from_chars(address.data() + colon + 1, end, port);
    if (error != std::errc() || at != end) port = 0;
  }
  if (port == 0) {
    return InvalidArgument(from + ": \"" + address +
                           "\" is not HOST:PORT. Write, say, lab:7300 or [::1]:7300.");
  }
  return address;
}

StatusOr<std::unique_ptr<OperatorClient>> ConnectTo(const Env& env, const std::string& flag) {
  BROADSIDE_ASSIGN_OR_RETURN(const std::string address, ControllerAddress(env, flag));
  if (address.empty()) {
    return InvalidArgument(
        "which controller? Give --controller HOST:PORT or set BROADSIDE_CONTROLLER.");
  }
  return env.connect(address);
}

int Fail(const Env& env, const Status& status) {
  *env.err << "ctl: " << MessageOf(status) << "\n";
  return ExitCodeOf(status);
}

bool IsJson(const std::string& output) { return output == "json"; }

}  // namespace broadside::ctl
