#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"
#include "broadside/v1/operator.pb.h"
#include "controller/core/dispatcher.h"
#include "controller/merge/run_merge.h"
#include "controller/server/fleet_service.h"
#include "controller/server/metrics.h"
#include "controller/server/operator_service.h"
#include "controller/store/store.h"

namespace broadside::controller {

/// The controller around its decisions: one core thread with one mailbox runs the Dispatcher, does
/// its actions and folds snapshots for the live view; the store has its own writer; a run's report
/// is made on a thread of its own, from what is stored.
class Shell {
 public:
  static StatusOr<std::unique_ptr<Shell>> Start(const std::string& store_dir);
  ~Shell();

  FleetEvents fleet_events();
  OperatorCalls operator_calls();
  /// The /metrics page, at most a second old. Any thread.
  std::string MetricsText() const { return board_.Text(); }
  /// Can the store be written? The error says why not. Any thread.
  Status StoreHealth() const { return store_->health(); }
  uint64_t incarnation() const { return store_->incarnation(); }

 private:
  using Job = absl::AnyInvocable<void()>;

  /// A run with all that is not a decision.
  struct LiveRun {
    std::string name, plan_sha256;
    int64_t submitted_wall = 0, t0_wall = 0;
    std::unique_ptr<merge::RunMerge> merge;
    std::map<Incarnation, AgentFacts> agents;
    std::vector<std::shared_ptr<ProgressSink>> watchers;
    std::deque<std::string> notices;
    std::deque<double> recent_rates;
    std::optional<Instant> ended;
    std::string validity;
    int64_t ledger_mismatch = 0;
  };
  /// What the closing thread needs, by value.
  struct Closing {
    RunId run;
    StoreToken token = 0;
    std::shared_ptr<const plan::Plan> plan;
    merge::Segments segments;
    merge::CloseFacts facts;
  };

  Shell() = default;
  void Post(Job job);
  void CoreLoop();
  std::deque<Job> WaitForJobs();
  void Settle();  ///< does all actions that are there, until none are left
  void Perform(Action action);
  void Do(Action& action, SendTo& what);
  void Do(Action& action, StoreState& what);
  void Do(Action& action, StoreStart& what);
  void Do(Action& action, StoreStop& what);
  void Do(Action& action, StoreEntry& what);
  void Do(Action& action, StoreAgent& what);
  void Do(Action& action, StoreSnapshot& what);
  void Do(Action& action, CloseRun& what);
  void Do(Action& action, FreeAgent& what);
  void Do(Action& action, Notice& what);
  void Write(const RunId& run, StoreToken token, store::StoreOp op);
  /// A write ended: the core hears of it, then what waited for it is done or, after an error,
  /// dropped.
  void Complete(const RunId& run, StoreToken token, const Status& status);
  void Say(const RunId& run, std::string notice);
  void Finished(store::StoreToken token, const Status& status);
  void OnStored(std::vector<store::StoreResult> results);

  // Runs that the controller before this one left unfinished (shell_restore.cc).
  Status RestoreRuns();
  Status RestoreRun(const store::RunRow& row);
  StatusOr<StoredRun> ReadStored(const store::RunRow& row, merge::RunMerge& merge) const;

  void Submit(v1::SubmitRequest request, std::function<void(StatusOr<std::string>)> answer);
  Status CheckFilesThere(const plan::Plan& plan) const;
  StatusOr<merge::Segments> Compile(const plan::Plan& plan,
                                    const std::vector<rate::Segment>& segments) const;
  void Watch(const std::string& run_id, std::shared_ptr<ProgressSink> sink);
  StatusOr<RunId> FindRun(const std::string& prefix) const;
  StatusOr<store::RunRow> FindStored(const std::string& prefix) const;
  v1::ListAgentsReply Agents() const;
  StatusOr<v1::ListRunsReply> Runs(uint32_t limit) const;
  StatusOr<std::string> Report(const std::string& run_id) const;

  void OnInterval(Instant now);
  v1::Progress MakeProgress(const RunCore& core, const LiveRun& live, const merge::View& view,
                            Instant now) const;
  void PublishMetrics(const std::map<RunId, merge::View>& views);
  void CloseOn(Closing closing);
  void Closed(const RunId& run, StoreToken token, const Status& status, std::string validity,
              int64_t mismatch);

  std::string boot_id_;
  std::unique_ptr<Dispatcher> dispatcher_;
  std::map<RunId, LiveRun> runs_;
  std::map<Incarnation, std::shared_ptr<AgentStream>> streams_;
  std::map<RunId, std::map<StoreToken, std::vector<Action>>>
      held_;  ///< actions that wait for a write
  std::map<store::StoreToken, absl::AnyInvocable<void(Status)>> writes_;
  /// End states that the store could not take: tried again every interval, so that the next
  /// controller does not take up a run that ended.
  std::map<RunId, store::SetRunState> unstored_ends_;
  server::MetricsBoard board_;
  Instant next_interval_{};
  std::map<RunId, std::thread> closers_;
  std::thread core_thread_;

  mutable absl::Mutex mutex_;
  std::deque<Job> jobs_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  std::unique_ptr<store::Store> store_;  ///< last: its writer thread posts to us until it is gone
};

}  // namespace broadside::controller
