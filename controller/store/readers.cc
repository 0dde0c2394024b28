#include <algorithm>
#include <utility>

#include "controller/store/sqlite.h"
#include "controller/store/store.h"

namespace broadside::store {

namespace {

constexpr size_t kIdleReaders = 4;
constexpr const char* kRunColumns =
    "SELECT id, name, state, state_reason, plan_json, plan_sha256, seed, submitted_wall, "
    "t0_boottime, t0_boot_id, t0_wall, ended_wall FROM runs ";

std::optional<int64_t> OptionalInt(const Statement& row, int column) {
  if (row.IsNull(column)) return std::nullopt;
  return row.Int(column);
}

RunRow ReadRun(const Statement& row) {
  RunRow run;
  run.id = row.String(0);
  run.name = row.String(1);
  run.state = row.String(2);
  run.state_reason = row.String(3);
  run.plan_json = row.String(4);
  run.plan_sha256 = row.String(5);
  run.seed = static_cast<uint64_t>(row.Int(6));
  run.submitted_wall_ns = row.Int(7);
  run.t0_boottime_ns = OptionalInt(row, 8);
  run.t0_boot_id = row.String(9);
  run.t0_wall_ns = OptionalInt(row, 10);
  run.ended_wall_ns = OptionalInt(row, 11);
  return run;
}

/// Calls `fn` with every row of `query`.
template <class Fn>
Status ForEachRow(Statement& query, Fn fn) {
  for (;;) {
    BROADSIDE_ASSIGN_OR_RETURN(const bool row, query.Step());
    if (!row) return absl::OkStatus();
    BROADSIDE_RETURN_IF_ERROR(fn(query));
  }
}

}  // namespace

void Store::ReturnReader::operator()(Database* database) const {
  std::unique_ptr<Database> owned(database);
  const std::lock_guard lock(store->readers_mutex_);
  if (store->idle_readers_.size() < kIdleReaders) {
    store->idle_readers_.push_back(std::move(owned));
  }
}

StatusOr<Store::Reader> Store::BorrowReader() const {
  {
    const std::lock_guard lock(readers_mutex_);
    if (!idle_readers_.empty()) {
      Reader reader(idle_readers_.back().release(), ReturnReader{this});
      idle_readers_.pop_back();
      return reader;
    }
  }
  BROADSIDE_ASSIGN_OR_RETURN(std::unique_ptr<Database> database,
                             Database::Open(path_, Database::Mode::kReadOnly));
  return Reader(database.release(), ReturnReader{this});
}

StatusOr<RunRow> Store::GetRun(const std::string& run) const {
  BROADSIDE_ASSIGN_OR_RETURN(const Reader reader, BorrowReader());
  BROADSIDE_ASSIGN_OR_RETURN(Statement query,
                             reader->Prepare(std::string(kRunColumns) + "WHERE id=?1"));
  BROADSIDE_ASSIGN_OR_RETURN(const bool found, query.Bind(1, run).Step());
  if (!found) return NotFound("run " + run + " is not in the store");
  return ReadRun(query);
}

StatusOr<std::vector<RunRow>> Store::ListRuns(uint64_t limit) const {
  BROADSIDE_ASSIGN_OR_RETURN(const Reader reader, BorrowReader());
  BROADSIDE_ASSIGN_OR_RETURN(Statement query,
                             reader->Prepare(std::string(kRunColumns) +
                                             "ORDER BY submitted_wall DESC, rowid DESC LIMIT ?1"));
  query.Bind(1, static_cast<int64_t>(std::min<uint64_t>(limit, INT64_MAX)));
  std::vector<RunRow> runs;
  BROADSIDE_RETURN_IF_ERROR(ForEachRow(query, [&](const Statement& row) {
    runs.push_back(ReadRun(row));
    return absl::OkStatus();
  }));
  return runs;
}

StatusOr<std::vector<RunRow>> Store::ListOpenRuns() const {
  BROADSIDE_ASSIGN_OR_RETURN(const Reader reader, BorrowReader());
  BROADSIDE_ASSIGN_OR_RETURN(
      Statement query, reader->Prepare(std::string(kRunColumns) +
                                       "WHERE ended_wall IS NULL ORDER BY submitted_wall, rowid"));
  std::vector<RunRow> runs;
  BROADSIDE_RETURN_IF_ERROR(ForEachRow(query, [&](const Statement& row) {
    runs.push_back(ReadRun(row));
    return absl::OkStatus();
  }));
  return runs;
}

StatusOr<std::vector<EntryRow>> Store::ReadEntries(const std::string& run) const {
  BROADSIDE_ASSIGN_OR_RETURN(const Reader reader, BorrowReader());
  BROADSIDE_ASSIGN_OR_RETURN(
      Statement query,
      reader->Prepare("SELECT number, kind, body FROM entries WHERE run=?1 ORDER BY number"));
  query.Bind(1, run);
  std::vector<EntryRow> entries;
  BROADSIDE_RETURN_IF_ERROR(ForEachRow(query, [&](const Statement& row) {
    entries.push_back({static_cast<uint64_t>(row.Int(0)), row.String(1), row.String(2)});
    return absl::OkStatus();
  }));
  return entries;
}

Status Store::ForEachSnapshot(const std::string& run,
                              const std::function<Status(const SnapshotRow&)>& fn) const {
  BROADSIDE_ASSIGN_OR_RETURN(const Reader reader, BorrowReader());
  BROADSIDE_ASSIGN_OR_RETURN(
      Statement query,
      reader->Prepare("SELECT agent_id, incarnation, sequence, interval_k, final, body "
                      "FROM snapshots WHERE run=?1 ORDER BY incarnation, sequence"));
  query.Bind(1, run);
  return ForEachRow(query, [&](const Statement& row) {
    return fn({.agent_id = row.Bytes(0),
               .incarnation = static_cast<uint64_t>(row.Int(1)),
               .sequence = static_cast<uint64_t>(row.Int(2)),
               .interval = row.Int(3),
               .final_totals = row.Int(4) != 0,
               .body = row.Bytes(5)});
  });
}

StatusOr<std::vector<RunAgentRow>> Store::ListRunAgents(const std::string& run) const {
  BROADSIDE_ASSIGN_OR_RETURN(const Reader reader, BorrowReader());
  BROADSIDE_ASSIGN_OR_RETURN(
      Statement query,
      reader->Prepare("SELECT agent_id, incarnation, labels_json, info_json FROM run_agents "
                      "WHERE run=?1 ORDER BY agent_id, incarnation"));
  query.Bind(1, run);
  std::vector<RunAgentRow> agents;
  BROADSIDE_RETURN_IF_ERROR(ForEachRow(query, [&](const Statement& row) {
    agents.push_back(
        {row.String(0), static_cast<uint64_t>(row.Int(1)), row.String(2), row.String(3)});
    return absl::OkStatus();
  }));
  return agents;
}

StatusOr<std::string> Store::GetReport(const std::string& run) const {
  BROADSIDE_ASSIGN_OR_RETURN(const Reader reader, BorrowReader());
  BROADSIDE_ASSIGN_OR_RETURN(Statement query,
                             reader->Prepare("SELECT json FROM reports WHERE run=?1"));
  BROADSIDE_ASSIGN_OR_RETURN(const bool found, query.Bind(1, run).Step());
  if (!found) return NotFound("no report of run " + run + " is in the store");
  return query.String(0);
}

StatusOr<std::string> Store::GetFile(const std::string& sha256) const {
  BROADSIDE_ASSIGN_OR_RETURN(const Reader reader, BorrowReader());
  BROADSIDE_ASSIGN_OR_RETURN(Statement query,
                             reader->Prepare("SELECT content FROM files WHERE sha256=?1"));
  BROADSIDE_ASSIGN_OR_RETURN(const bool found, query.Bind(1, sha256).Step());
  if (!found) return NotFound("no file with SHA-256 " + sha256 + " is in the store");
  return query.String(0);
}

StatusOr<bool> Store::HasFile(const std::string& sha256) const {
  BROADSIDE_ASSIGN_OR_RETURN(const Reader reader, BorrowReader());
  BROADSIDE_ASSIGN_OR_RETURN(Statement query,
                             reader->Prepare("SELECT 1 FROM files WHERE sha256=?1"));
  return query.Bind(1, sha256).Step();
}

}  // namespace broadside::store
