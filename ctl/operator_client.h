#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/report/progress.h"

/// What ctl asks of a controller. Commands see only this, so they are tested without a network.
namespace broadside::ctl {

struct Submission {
  std::string plan_json;                     ///< canonical, see common/plan/parse.h
  std::map<std::string, std::string> files;  ///< SHA-256 → content
  std::string submitted_by;                  ///< user@host
  bool no_wait = false;                      ///< fail now when there are too few agents
};

struct RunInfo {
  std::string run_id, name, state, reason;
  int64_t submitted_wall_ns = 0, ended_wall_ns = 0;  ///< 0: not yet
  std::string validity;                              ///< empty before the end
};

struct AgentInfo {
  std::string id, incarnation, state, reason, run_id, host, version;
  uint32_t loops = 0, cores = 0;
  double rate_ceiling = 0;  ///< per second, 0 = none
  std::map<std::string, std::string> labels;
  double last_heard_s = 0;
};

/// One thread. Every call has a deadline of its own and says in its error, in one line, what could
/// not be reached and what to do; Unavailable and DeadlineExceeded mean the controller did not
/// answer.
class OperatorClient {
 public:
  virtual ~OperatorClient() = default;

  /// Sends the files that the controller lacks, then the plan. Gives the run's id.
  virtual StatusOr<std::string> Submit(const Submission& submission) = 0;

  /// Follows a run (a unique prefix of its id is enough) and calls `on_progress` for each message,
  /// and `on_tick` at least every 200 ms, both on the calling thread. Ends with OK when the run is
  /// closed, and with Cancelled when `on_tick` gave false; with another error when the stream
  /// broke.
  virtual Status Watch(const std::string& run,
                       const std::function<void(const report::Progress&)>& on_progress,
                       const std::function<bool()>& on_tick) = 0;

  virtual Status StopRun(const std::string& run, const std::string& reason) = 0;
  /// The stored report, as JSON text (common/report/json.h).
  virtual StatusOr<std::string> GetReport(const std::string& run) = 0;
  virtual StatusOr<std::vector<RunInfo>> ListRuns(uint32_t limit) = 0;
  virtual StatusOr<std::vector<AgentInfo>> ListAgents() = 0;
};

}  // namespace broadside::ctl
