#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/time/time.h"

namespace broadside::ctl {

/// A child process that dies with ctl (even when ctl is killed), in a process group of its own so
/// that a terminal's Ctrl-C reaches ctl alone. Its stdout and stderr go to a log file. One thread,
/// and it must be the one that outlives the child: the kernel ties the death signal to it.
class Child {
 public:
  /// `argv[0]` is the program's path. `log` is created or appended to.
  static StatusOr<Child> Start(std::vector<std::string> argv, const std::string& log);
  Child(Child&& other) noexcept;
  Child& operator=(Child&&) = delete;
  ~Child();  ///< SIGKILL, if it still runs

  /// What waitpid said, once it has ended.
  std::optional<int> Poll();
  void Signal(int signal);
  pid_t pid() const { return pid_; }
  /// "exit code 3", "signal 9 (Killed)".
  std::string Ending() const;
  const std::string& log() const { return log_; }

 private:
  Child(pid_t pid, std::string log) : pid_(pid), log_(std::move(log)) {}
  pid_t pid_ = -1;
  std::optional<int> status_;
  std::string log_;
};

/// The last `lines` lines of a file, without the newline at the end; empty when it cannot be read.
std::string LastLines(const std::string& path, int lines);

}  // namespace broadside::ctl
