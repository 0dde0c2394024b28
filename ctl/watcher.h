#pragma once

#include <optional>
#include <string>

#include "common/report/progress.h"
#include "common/report/report.h"
#include "ctl/env.h"

namespace broadside::ctl {

/// Follows a run on stderr until it is closed: a block redrawn in place on a terminal, else one
/// line a second. Answers Ctrl-C, survives a controller that is away for a while. One thread.
class Watcher {
 public:
  struct Options {
    /// Ctrl-C cancels the run (once) and leaves at once (twice); else it only leaves.
    bool cancels = false;
    Cluster* cluster = nullptr;  ///< ctl's own, watched too; or null
  };
  enum class End { kClosed, kLeft };

  Watcher(const Env& env, OperatorClient& client, Options options)
      : env_(env), client_(client), options_(options) {}

  /// An error when the run is unknown, the controller stays away for half a minute, or one of ctl's
  /// own children died.
  StatusOr<End> Follow(const std::string& run);

  /// The last progress seen, if any.
  const std::optional<report::Progress>& last() const { return last_; }

 private:
  void OnProgress(const report::Progress& progress);
  bool OnTick(const std::string& run);
  void Draw(const report::Progress& progress);
  void DrawPlain(const report::Progress& progress);
  void EraseBlock();
  void Say(const std::string& line);

  const Env& env_;
  OperatorClient& client_;
  Options options_;
  std::optional<report::Progress> last_;
  bool head_shown_ = false;
  size_t block_lines_ = 0;  ///< of the live block that stand on the screen
  std::string plain_shown_;
  int64_t plain_elapsed_ns_ = 0;
  uint32_t plain_phase_ = 0;
  bool cancelled_ = false, cancel_said_ = false, left_ = false;
  int failures_ = 0;  ///< in a row, without a message in between
  Status cluster_status_;
};

/// What a closed run leaves: its report on stdout in the wanted form and, for `save`, in a file.
/// Gives the exit code of the run.
int ShowReport(const Env& env, OperatorClient& client, const std::string& run,
               const std::optional<report::Progress>& last, const std::string& output, bool strict,
               const std::string& save);

}  // namespace broadside::ctl
