#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

/// How a run goes while it lasts: one value an interval, drawn as a block that is redrawn in place,
/// or as one line an interval for pipes and logs. Pure, any thread.
namespace broadside::report {

struct Progress {
  std::string run_id, name;
  uint64_t seed = 0;
  /// waiting, preparing, starting, running, draining, closing; or ended: completed, aborted,
  /// cancelled, failed.
  std::string state;
  std::string message;  ///< what is waited for, or why it ended
  std::vector<std::string> agents;
  std::vector<std::string> phases;
  uint32_t phase = 0;                ///< the current one's position in `phases`
  int64_t elapsed_ns = 0;            ///< run clock, negative before T0
  int64_t total_ns = 0;              ///< 0: not known yet
  double offered = 0;                ///< asked now, per second
  double sent_rate = 0;              ///< last interval, per second
  std::vector<double> recent_rates;  ///< sent per second, oldest first
  uint64_t in_flight = 0;
  std::optional<int64_t> p50_ns, p99_ns;  ///< latency of ok replies, last 5 s
  uint64_t n = 0;                         ///< values behind them
  std::optional<int64_t> lag_p99_ns, wait_p99_ns;
  std::map<std::string, uint64_t> outcomes;  ///< last interval
  uint32_t agents_live = 0;
  std::optional<int64_t> clock_bound_ns;
  int64_t interval = 0;              ///< the last one folded in
  uint64_t scheduled = 0, sent = 0;  ///< so far
  bool closed = false;               ///< the last word: the report is stored
};

struct ProgressOptions {
  int width = 100;  ///< no line is longer
  bool colour = false;
  bool unicode = true;
};

/// True for completed, aborted, cancelled and failed.
bool IsEnded(const std::string& state);

/// "run 7f3a2c · resnet50 · 3 agents (a, b, c) · seed 7", the head that is printed once. No
/// newline.
std::string RenderHead(const Progress& progress, const ProgressOptions& options);

/// The block under the head, lines without newline at the end. Always the same number of lines
/// while the state is the same, so that redrawing does not jump.
std::vector<std::string> RenderLive(const Progress& progress, const ProgressOptions& options);

/// One line for pipes, without newline, nothing that moves the cursor.
std::string RenderPlainLine(const Progress& progress, const ProgressOptions& options);

}  // namespace broadside::report
