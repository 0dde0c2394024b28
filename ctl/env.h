#pragma once

#include <functional>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string>

#include "common/report/text.h"
#include "common/time/time.h"
#include "ctl/cluster.h"
#include "ctl/operator_client.h"

namespace broadside::ctl {

/// What a command sees of the world. main.cc fills it from the process, tests from fakes.
struct Env {
  std::istream* in = nullptr;
  std::ostream* out = nullptr;  ///< answers only: reports, tables, JSON
  std::ostream* err = nullptr;  ///< progress and errors
  bool out_terminal = false, err_terminal = false;
  bool colour = false;  ///< on terminals, unless NO_COLOR is set
  bool unicode = true;
  int width = 100;
  std::string user;  ///< "user@host", for the run's record
  std::function<std::optional<std::string>(const std::string& name)> variable;
  std::function<StatusOr<std::unique_ptr<OperatorClient>>(const std::string& address)> connect;
  std::function<StatusOr<std::unique_ptr<Cluster>>(const ClusterOptions&)> start_cluster;
  /// How often the user has asked to stop (Ctrl-C, SIGTERM) since the start.
  std::function<int()> interrupts;
  std::function<void(Nanos)> sleep;
};

/// How to render on stdout.
report::TextOptions TextOptionsOf(const Env& env);

/// The controller's address: the flag, else BROADSIDE_CONTROLLER, else empty. An error when it is
/// not HOST:PORT.
StatusOr<std::string> ControllerAddress(const Env& env, const std::string& flag);

/// Likewise, connected; an error that says how to name one when there is none.
StatusOr<std::unique_ptr<OperatorClient>> ConnectTo(const Env& env, const std::string& flag);

/// Prints the error's line on stderr, "ctl: " before it, and gives the exit code that fits.
int Fail(const Env& env, const Status& status);

/// "text" or "json": every command's --output.
bool IsJson(const std::string& output);

}  // namespace broadside::ctl
