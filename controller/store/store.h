#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <variant>
#include <vector>

#include "common/base/status.h"
#include "common/time/time.h"

/// Everything the controller keeps: runs, plan files, schedule entries, snapshots, reports. One
/// SQLite database in write-ahead mode, in a directory that one controller at a time holds.
/// Values only: what the bytes mean is the caller's business. Wall times are nanoseconds since the
/// Unix epoch, boot times nanoseconds of CLOCK_BOOTTIME.
namespace broadside::store {

struct RunRow {
  std::string id;
  std::string name;
  std::string state;
  std::string state_reason;
  std::string plan_json;
  std::string plan_sha256;
  uint64_t seed = 0;
  int64_t submitted_wall_ns = 0;
  std::optional<int64_t> t0_boottime_ns;  ///< empty before T0 is stored
  std::string t0_boot_id;
  std::optional<int64_t> t0_wall_ns;
  std::optional<int64_t> ended_wall_ns;  ///< empty while the run may still change

  friend bool operator==(const RunRow&, const RunRow&) = default;
};

/// A part of the resolved schedule (a segment, an epoch's deal …): opaque, numbered from 1. Number
/// 0 is the stop that ends the schedule early.
struct EntryRow {
  uint64_t number = 0;
  std::string kind;
  std::string body;
  friend bool operator==(const EntryRow&, const EntryRow&) = default;
};

struct RunAgentRow {
  std::string agent_id;
  uint64_t incarnation = 0;
  std::string labels_json;
  std::string info_json;
  friend bool operator==(const RunAgentRow&, const RunAgentRow&) = default;
};

/// `agent_id` and `body` live as long as the call that hands the row over.
struct SnapshotRow {
  std::string_view agent_id;
  uint64_t incarnation = 0;
  uint64_t sequence = 0;
  IntervalIndex interval = 0;
  bool final_totals = false;
  std::string_view body;
};

// What can be written. Each op is all or nothing; one for a run that is not there is NotFound.

/// A new run, with the files its plan needs. A taken id is AlreadyExists.
struct PutRun {
  RunRow run;
  std::vector<std::string> file_sha256s;
};
/// Moves a run to another state. With `ended_wall_ns` the run is over, and may be pruned.
struct SetRunState {
  std::string run;
  std::string state;
  std::string reason;
  std::optional<int64_t> ended_wall_ns;
};
/// T0 of a run, once: the same again is fine, another one is AlreadyExists.
struct SetStart {
  std::string run;
  int64_t t0_boottime_ns = 0;
  std::string t0_boot_id;
  int64_t t0_wall_ns = 0;
};
/// Once T0 is stored entries never change: the same again is fine, other bytes under the number are
/// AlreadyExists. Before it nobody has seen them, and the newest stand.
struct PutEntry {
  std::string run;
  EntryRow entry;
};
/// The newest labels and info of (run, agent, incarnation) stand.
struct PutRunAgent {
  std::string run;
  RunAgentRow agent;
};
/// A second one of the same (run, incarnation, sequence) is OK and changes nothing.
struct PutSnapshot {
  std::string run;
  std::string agent_id;
  uint64_t incarnation = 0;
  uint64_t sequence = 0;
  IntervalIndex interval = 0;
  bool final_totals = false;
  std::string body;
};
/// The newest report of a run stands.
struct PutReport {
  std::string run;
  std::string json;
};
/// A file by the SHA-256 of its content (64 lower-case hex digits; checked). Twice is fine.
struct PutFile {
  std::string sha256;
  std::string content;
  int64_t added_wall_ns = 0;
};
/// Forgets the oldest ended runs beyond the newest `keep_runs` of them, and more while the store
/// holds more than `keep_bytes`; then files added before `files_before_wall_ns` that no run needs
/// (a file comes before its run, so give it time). Runs that have not ended are never touched.
struct Prune {
  std::optional<uint64_t> keep_runs;
  std::optional<uint64_t> keep_bytes;
  int64_t files_before_wall_ns = 0;
};

using StoreOp = std::variant<PutRun, SetRunState, SetStart, PutEntry, PutRunAgent, PutSnapshot,
                             PutReport, PutFile, Prune>;

/// Names a queued op: 1, 2, 3 … in the order of queueing, which is also the order of writing.
using StoreToken = uint64_t;

struct StoreResult {
  StoreToken token = 0;
  Status status;  ///< OK: on the disk, power cuts included
};

struct StoreOptions {
  std::string dir;
  /// Called on the writer's thread after each commit, with the results of its ops in token order:
  /// each token once. May queue more; must not close the store.
  std::function<void(std::vector<StoreResult>)> on_stored = [](std::vector<StoreResult>) {};
  /// Ops waiting, by bytes. TryEnqueue refuses beyond; Enqueue has as much again as a reserve.
  uint64_t max_queued_bytes = 64u << 20;
  /// How long a snapshot may wait for company in its commit; other ops never wait.
  Nanos linger = std::chrono::milliseconds(5);
  size_t max_batch_ops = 512;
  uint64_t max_batch_bytes = 16u << 20;
  /// Largest plan file taken.
  uint64_t max_file_bytes = 256u << 20;
  /// Largest size of the database, 0 for what the disk holds. Beyond, writes fail as on a full
  /// disk.
  uint64_t max_bytes = 0;
  /// Databases up to this size are read through and checked at opening; larger ones would make a
  /// restart outlast the agents' leases, so damage there shows when it is met.
  uint64_t check_bytes = 256u << 20;
};

struct StoreCounters {
  uint64_t queued_ops = 0, queued_bytes = 0;  ///< now
  uint64_t stored_ops = 0, failed_ops = 0;    ///< since opening
  uint64_t commits = 0;
  uint64_t refused_ops = 0;  ///< by TryEnqueue and by the reserve's end
};

class Database;
class Writer;

/// Thread-safe, but for Close and the destructor.
class Store {
 public:
  /// Makes the directory if need be, locks it, checks and opens the database. Each way this can
  /// fail gives one clear line that names the place and the cure.
  static StatusOr<std::unique_ptr<Store>> Open(StoreOptions options);
  /// Close(10 s).
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  /// Rises at every opening of this directory; the first is 1.
  uint64_t incarnation() const { return incarnation_; }

  // Writing. The ops of all callers form one queue, and are written in its order.

  /// For what agents resend until it is acknowledged: empty when the queue is full, and then
  /// nothing was taken, and nothing may be acknowledged.
  std::optional<StoreToken> TryEnqueue(StoreOp op);
  /// For decisions: takes the op whatever snapshots wait. Only at the end of the reserve too is its
  /// result ResourceExhausted.
  StoreToken Enqueue(StoreOp op);
  /// Waits until the result of everything queued so far was handed over; DeadlineExceeded after
  /// `timeout`. Not on the writer's thread.
  Status Flush(Nanos timeout);
  /// Writes what is queued for at most `timeout`; what then remains gets Cancelled. From now on
  /// TryEnqueue gives nothing and Enqueue 0. A second call does nothing.
  void Close(Nanos timeout);

  // Reading, on connections of its own: sees what was committed when the call began.

  StatusOr<RunRow> GetRun(const std::string& run) const;
  /// The newest by submission first.
  StatusOr<std::vector<RunRow>> ListRuns(uint64_t limit) const;
  /// Those that have not ended, the oldest first.
  StatusOr<std::vector<RunRow>> ListOpenRuns() const;
  /// In order of number.
  StatusOr<std::vector<EntryRow>> ReadEntries(const std::string& run) const;
  /// In order of agent incarnation and sequence. Ends with the first error that `fn` returns.
  Status ForEachSnapshot(const std::string& run,
                         const std::function<Status(const SnapshotRow&)>& fn) const;
  StatusOr<std::vector<RunAgentRow>> ListRunAgents(const std::string& run) const;
  StatusOr<std::string> GetReport(const std::string& run) const;
  StatusOr<std::string> GetFile(const std::string& sha256) const;
  StatusOr<bool> HasFile(const std::string& sha256) const;

  StoreCounters counters() const;
  /// OK, or how the disk failed the latest commit that it failed, until one works again. For
  /// /readyz; ops refused for what they say do not count.
  Status health() const;

 private:
  struct Queued {
    StoreToken token = 0;
    uint64_t bytes = 0;
    bool patient = false;
    bool refused = false;  ///< beyond the reserve: keeps its place for its result, without the op
    StoreOp op;
  };
  /// Gives a reading connection back to the pool.
  struct ReturnReader {
    const Store* store;
    void operator()(Database* database) const;
  };
  using Reader = std::unique_ptr<Database, ReturnReader>;
  class Lock;

  explicit Store(StoreOptions options);
  Status OpenFiles();
  StatusOr<Reader> BorrowReader() const;
  void WriteLoop();
  std::vector<Queued> NextBatch();
  std::vector<StoreResult> Write(const std::vector<Queued>& batch);
  StoreToken Push(Queued item);

  const StoreOptions options_;
  std::string path_;
  uint64_t incarnation_ = 0;
  std::unique_ptr<Lock> lock_;
  std::unique_ptr<Writer> writer_;  ///< the writing thread's, once that runs

  mutable std::mutex readers_mutex_;
  mutable std::vector<std::unique_ptr<Database>> idle_readers_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;  ///< something queued, closing, or results handed over
  std::deque<Queued> queue_;
  StoreToken last_token_ = 0;
  StoreToken handed_over_ = 0;  ///< results up to here were handed over
  size_t urgent_ = 0;           ///< queued ops that do not linger
  StoreCounters counters_;
  Status health_;
  bool closing_ = false;
  bool abandon_ = false;  ///< closing, and its time is over
  std::thread thread_;
};

}  // namespace broadside::store
