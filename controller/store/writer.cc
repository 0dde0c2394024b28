#include "controller/store/writer.h"

#include <utility>

#include "common/base/digest.h"

namespace broadside::store {

namespace {

Status NoSuchRun(const std::string& run) { return NotFound("run " + run + " is not in the store"); }

/// The foreign key's error does not say which run.
Status Named(Status status, const std::string& run) {
  return absl::IsNotFound(status) ? NoSuchRun(run) : status;
}

}  // namespace

bool IsRefusal(const Status& status) {
  return absl::IsNotFound(status) || absl::IsAlreadyExists(status) ||
         absl::IsInvalidArgument(status);
}

StatusOr<std::unique_ptr<Writer>> Writer::Create(std::unique_ptr<Database> database,
                                                 uint64_t max_file_bytes) {
  std::unique_ptr<Writer> writer(new Writer(std::move(database), max_file_bytes));
  BROADSIDE_RETURN_IF_ERROR(writer->PrepareStatements());
  return writer;
}

Status Writer::PrepareStatements() {
  const std::pair<Statement*, const char*> all[] = {
      {&begin_, "BEGIN IMMEDIATE"},
      {&commit_, "COMMIT"},
      {&rollback_, "ROLLBACK"},
      {&put_run_, "INSERT INTO runs VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12)"},
      {&put_run_file_, "INSERT OR IGNORE INTO run_files VALUES(?1,?2)"},
      {&has_run_, "SELECT 1 FROM runs WHERE id=?1"},
      {&set_state_,
       "UPDATE runs SET state=?2, state_reason=?3, ended_wall=coalesce(?4, ended_wall) WHERE "
       "id=?1"},
      {&set_start_,
       "UPDATE runs SET t0_boottime=?2, t0_boot_id=?3, t0_wall=?4 WHERE id=?1 AND "
       "(t0_boottime IS NULL OR (t0_boottime=?2 AND t0_boot_id=?3))"},
      {&put_entry_,
       "INSERT INTO entries VALUES(?1,?2,?3,?4) ON CONFLICT(run, number) DO UPDATE SET "
       "kind=excluded.kind, body=excluded.body "
       "WHERE (SELECT t0_boottime FROM runs WHERE id=?1) IS NULL"},
      {&get_entry_, "SELECT kind, body FROM entries WHERE run=?1 AND number=?2"},
      {&put_agent_,
       "INSERT INTO run_agents VALUES(?1,?2,?3,?4,?5) ON CONFLICT DO UPDATE SET "
       "labels_json=excluded.labels_json, info_json=excluded.info_json"},
      {&put_snapshot_, "INSERT INTO snapshots VALUES(?1,?2,?3,?4,?5,?6,?7) ON CONFLICT DO NOTHING"},
      {&put_report_,
       "INSERT INTO reports VALUES(?1,?2) ON CONFLICT DO UPDATE SET json=excluded.json"},
      {&put_file_, "INSERT INTO files VALUES(?1,?2,?3,?4) ON CONFLICT DO NOTHING"},
      {&ended_runs_, "SELECT count(*) FROM runs WHERE ended_wall IS NOT NULL"},
      {&oldest_ended_,
       "SELECT id FROM runs WHERE ended_wall IS NOT NULL ORDER BY ended_wall, rowid LIMIT 1"},
      {&delete_run_, "DELETE FROM runs WHERE id=?1"},
      {&delete_files_,
       "DELETE FROM files WHERE added_wall<?1 AND "
       "NOT EXISTS(SELECT 1 FROM run_files WHERE run_files.sha256=files.sha256)"},
  };
  for (const auto& [statement, sql] : all) {
    BROADSIDE_ASSIGN_OR_RETURN(*statement, database_->Prepare(sql));
  }
  return absl::OkStatus();
}

void Writer::RollBack() {
  // SQLite has rolled back by itself after some errors. If this fails as well there is nothing to
  // add: the error that led here is the one reported.
  if (database_->InTransaction()) rollback_.Run().IgnoreError();
}

bool Writer::TryTransaction(const std::vector<const StoreOp*>& ops, std::vector<Status>& results) {
  results.clear();
  Status status = begin_.Run();
  for (size_t i = 0; i < ops.size() && status.ok(); ++i) {
    status = std::visit([this](const auto& op) { return Apply(op); }, *ops[i]);
    if (status.ok() || IsRefusal(status)) {
      results.push_back(std::move(status));
      status = absl::OkStatus();
    }
  }
  if (status.ok()) status = commit_.Run();
  if (status.ok()) return true;
  RollBack();
  results.assign(ops.size(), status);
  return false;
}

std::vector<Status> Writer::ApplyBatch(const std::vector<const StoreOp*>& ops, uint64_t& commits) {
  std::vector<Status> results;
  if (TryTransaction(ops, results)) {
    ++commits;
    return results;
  }
  if (ops.size() == 1) return results;
  std::vector<Status> each;
  for (const StoreOp* op : ops) {
    if (TryTransaction({op}, results)) ++commits;
    each.push_back(std::move(results.front()));
    // On a full disk a smaller op may still fit; a disk that does not answer would make every op
    // wait in turn.
    if (absl::IsUnavailable(each.back())) break;
  }
  each.resize(ops.size(), each.back());
  return each;
}

StatusOr<bool> Writer::HasRun(const std::string& run) {
  StatusOr<bool> found = has_run_.Bind(1, run).Step();
  has_run_.Reset();
  return found;
}

Status Writer::Apply(const PutRun& op) {
  const RunRow& run = op.run;
  BROADSIDE_ASSIGN_OR_RETURN(const bool taken, HasRun(run.id));
  if (taken) return AlreadyExists("run " + run.id + " is in the store already");
  put_run_.Bind(1, run.id).Bind(2, run.name).Bind(3, run.state).Bind(4, run.state_reason);
  put_run_.Bind(5, run.plan_json).Bind(6, run.plan_sha256).Bind(7, static_cast<int64_t>(run.seed));
  put_run_.Bind(8, run.submitted_wall_ns).Bind(10, run.t0_boot_id);
  // Parameters that are not bound are NULL.
  if (run.t0_boottime_ns) put_run_.Bind(9, *run.t0_boottime_ns);
  if (run.t0_wall_ns) put_run_.Bind(11, *run.t0_wall_ns);
  if (run.ended_wall_ns) put_run_.Bind(12, *run.ended_wall_ns);
  BROADSIDE_RETURN_IF_ERROR(put_run_.Run());
  for (const std::string& file : op.file_sha256s) {
    BROADSIDE_RETURN_IF_ERROR(put_run_file_.Bind(1, run.id).Bind(2, file).Run());
  }
  return absl::OkStatus();
}

Status Writer::Apply(const SetRunState& op) {
  set_state_.Bind(1, op.run).Bind(2, op.state).Bind(3, op.reason);
  if (op.ended_wall_ns) set_state_.Bind(4, *op.ended_wall_ns);
  BROADSIDE_RETURN_IF_ERROR(set_state_.Run());
  return database_->Changes() == 1 ? absl::OkStatus() : NoSuchRun(op.run);
}

Status Writer::Apply(const SetStart& op) {
  BROADSIDE_RETURN_IF_ERROR(set_start_.Bind(1, op.run)
                                .Bind(2, op.t0_boottime_ns)
                                .Bind(3, op.t0_boot_id)
                                .Bind(4, op.t0_wall_ns)
                                .Run());
  if (database_->Changes() == 1) return absl::OkStatus();
  BROADSIDE_ASSIGN_OR_RETURN(const bool found, HasRun(op.run));
  return found ? AlreadyExists("run " + op.run + " has another T0 already") : NoSuchRun(op.run);
}

Status Writer::Apply(const PutEntry& op) {
  const auto number = static_cast<int64_t>(op.entry.number);
  put_entry_.Bind(1, op.run).Bind(2, number).Bind(3, op.entry.kind).BindBlob(4, op.entry.body);
  BROADSIDE_RETURN_IF_ERROR(Named(put_entry_.Run(), op.run));
  if (database_->Changes() == 1) return absl::OkStatus();
  const StatusOr<bool> found = get_entry_.Bind(1, op.run).Bind(2, number).Step();
  const bool same = found.ok() && *found && get_entry_.Bytes(0) == op.entry.kind &&
                    get_entry_.Bytes(1) == op.entry.body;
  get_entry_.Reset();
  BROADSIDE_RETURN_IF_ERROR(found.status());
  return same ? absl::OkStatus()
              : AlreadyExists("entry " + std::to_string(op.entry.number) + " of run " + op.run +
                              " is stored already, with other content");
}

Status Writer::Apply(const PutRunAgent& op) {
  return Named(put_agent_.Bind(1, op.run)
                   .Bind(2, op.agent.agent_id)
                   .Bind(3, static_cast<int64_t>(op.agent.incarnation))
                   .Bind(4, op.agent.labels_json)
                   .Bind(5, op.agent.info_json)
                   .Run(),
               op.run);
}

Status Writer::Apply(const PutSnapshot& op) {
  return Named(put_snapshot_.Bind(1, op.run)
                   .Bind(2, op.agent_id)
                   .Bind(3, static_cast<int64_t>(op.incarnation))
                   .Bind(4, static_cast<int64_t>(op.sequence))
                   .Bind(5, op.interval)
                   .Bind(6, int64_t{op.final_totals})
                   .BindBlob(7, op.body)
                   .Run(),
               op.run);
}

Status Writer::Apply(const PutReport& op) {
  return Named(put_report_.Bind(1, op.run).Bind(2, op.json).Run(), op.run);
}

Status Writer::Apply(const PutFile& op) {
  if (op.content.size() > max_file_bytes_) {
    return InvalidArgument("file " + op.sha256 + " has " + std::to_string(op.content.size()) +
                           " bytes; plan files may have up to " + std::to_string(max_file_bytes_));
  }
  if (const std::string sha256 = Sha256Hex(op.content); sha256 != op.sha256) {
    return InvalidArgument("file named " + op.sha256 + " has the SHA-256 " + sha256 +
                           "; it was changed or cut on the way, send it again");
  }
  return put_file_.Bind(1, op.sha256)
      .Bind(2, static_cast<int64_t>(op.content.size()))
      .Bind(3, op.added_wall_ns)
      .BindBlob(4, op.content)
      .Run();
}

StatusOr<uint64_t> Writer::LiveBytes() {
  BROADSIDE_ASSIGN_OR_RETURN(
      const int64_t bytes,
      database_->QueryInt("SELECT (page_count - freelist_count) * page_size FROM "
                          "pragma_page_count, pragma_freelist_count, pragma_page_size"));
  return static_cast<uint64_t>(bytes);
}

Status Writer::Apply(const Prune& op) {
  for (;;) {
    bool excess = false;
    if (op.keep_runs) {
      BROADSIDE_ASSIGN_OR_RETURN(const bool row, ended_runs_.Step());
      excess = row && static_cast<uint64_t>(ended_runs_.Int(0)) > *op.keep_runs;
      ended_runs_.Reset();
    }
    if (op.keep_bytes && !excess) {
      BROADSIDE_ASSIGN_OR_RETURN(const uint64_t live, LiveBytes());
      excess = live > *op.keep_bytes;
    }
    if (!excess) break;
    BROADSIDE_ASSIGN_OR_RETURN(const bool found, oldest_ended_.Step());
    const std::string run = found ? oldest_ended_.String(0) : "";
    oldest_ended_.Reset();
    if (!found) break;
    BROADSIDE_RETURN_IF_ERROR(delete_run_.Bind(1, run).Run());
  }
  BROADSIDE_RETURN_IF_ERROR(delete_files_.Bind(1, op.files_before_wall_ns).Run());
  return database_->Exec("PRAGMA incremental_vacuum");
}

}  // namespace broadside::store
