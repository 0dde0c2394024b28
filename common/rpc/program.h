#pragma once

#include <csignal>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/base/status.h"

namespace CLI {
class App;
}

/// What both daemons do alike between main() and their work. One thread.
namespace broadside::rpc {

/// Before anything else, while there is one thread: log lines of one form go to stderr, SIGPIPE is
/// ignored, gRPC keeps its own log to itself, and SIGINT and SIGTERM are blocked, to be taken with
/// sigwait from the returned set.
sigset_t SetUpDaemon();

/// The flags that both have: --http, --port-file, --config, --version. `http` holds the default.
struct DaemonFlags {
  std::string http;
  std::string port_file;
};
void AddDaemonFlags(CLI::App& app, const std::string& program, DaemonFlags& flags);

/// Nothing when the program may go on; else its exit code: help or the version was printed, or one
/// line on stderr says what is wrong with the flags or the file of --config.
std::optional<int> ParseFlags(CLI::App& app, int argc, char** argv);

/// "grpc 7300\nhttp 7301\n" to `path`; nothing when it is empty.
Status WritePortFile(const std::string& path,
                     const std::vector<std::pair<std::string, uint16_t>>& ports);

/// "PROGRAM: what is wrong" on stderr, for a program that cannot start; gives its exit code.
int FailToStart(const std::string& program, const Status& status);

}  // namespace broadside::rpc
