#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "controller/store/sqlite.h"
#include "controller/store/store.h"

namespace broadside::store {

/// True where an op was refused for what it says; any other error is the disk's.
bool IsRefusal(const Status& status);

/// Carries ops out on the one writing connection. One thread at a time.
class Writer {
 public:
  static StatusOr<std::unique_ptr<Writer>> Create(std::unique_ptr<Database> database,
                                                  uint64_t max_file_bytes);

  /// One transaction for all of `ops`; a result each. An op refused for what it says leaves the
  /// others alone; when the disk fails, each op is tried again in a transaction of its own.
  /// `commits` rises by the transactions that were committed.
  std::vector<Status> ApplyBatch(const std::vector<const StoreOp*>& ops, uint64_t& commits);

 private:
  Writer(std::unique_ptr<Database> database, uint64_t max_file_bytes)
      : database_(std::move(database)), max_file_bytes_(max_file_bytes) {}
  Status PrepareStatements();
  /// False: the disk failed, nothing of the transaction stands.
  bool TryTransaction(const std::vector<const StoreOp*>& ops, std::vector<Status>& results);
  void RollBack();

  Status Apply(const PutRun& op);
  Status Apply(const SetRunState& op);
  Status Apply(const SetStart& op);
  Status Apply(const PutEntry& op);
  Status Apply(const PutRunAgent& op);
  Status Apply(const PutSnapshot& op);
  Status Apply(const PutReport& op);
  Status Apply(const PutFile& op);
  Status Apply(const Prune& op);
  StatusOr<bool> HasRun(const std::string& run);
  StatusOr<uint64_t> LiveBytes();

  // Declared before the statements: they must go first.
  std::unique_ptr<Database> database_;
  const uint64_t max_file_bytes_;
  Statement begin_, commit_, rollback_;
  Statement put_run_, put_run_file_, has_run_, set_state_, set_start_;
  Statement put_entry_, get_entry_, put_agent_, put_snapshot_, put_report_, put_file_;
  Statement ended_runs_, oldest_ended_, delete_run_, delete_files_;
};

}  // namespace broadside::store
