#pragma once

#include <csignal>

namespace broadside::rpc {

/// What both daemons do before anything else, while there is one thread: log lines of one form go
/// to stderr, SIGPIPE is ignored, and SIGINT and SIGTERM are blocked, to be taken with sigwait from
/// the returned set.
sigset_t SetUpDaemon();

}  // namespace broadside::rpc
