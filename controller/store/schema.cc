#include "controller/store/schema.h"

#include <string>

namespace broadside::store {

namespace {

constexpr int64_t kSchema = 1;
/// "BrSd", so that a foreign SQLite file is not written into.
constexpr int64_t kApplicationId = 0x42725364;

// Blobs sit in rowid tables with an index beside: in a WITHOUT ROWID tree they would swell the
// inner pages. The unique indexes serve the per-run readers too, in the order those promise.
constexpr const char* kTables = R"sql(
CREATE TABLE meta(key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE runs(
  id TEXT PRIMARY KEY, name TEXT NOT NULL, state TEXT NOT NULL, state_reason TEXT NOT NULL,
  plan_json TEXT NOT NULL, plan_sha256 TEXT NOT NULL, seed INTEGER NOT NULL,
  submitted_wall INTEGER NOT NULL, t0_boottime INTEGER, t0_boot_id TEXT NOT NULL DEFAULT '',
  t0_wall INTEGER, ended_wall INTEGER);
CREATE INDEX runs_by_submission ON runs(submitted_wall);
CREATE TABLE files(
  sha256 TEXT PRIMARY KEY, size INTEGER NOT NULL, added_wall INTEGER NOT NULL,
  content BLOB NOT NULL);
CREATE TABLE run_files(
  run TEXT NOT NULL REFERENCES runs(id) ON DELETE CASCADE, sha256 TEXT NOT NULL,
  PRIMARY KEY(run, sha256)) WITHOUT ROWID;
CREATE INDEX run_files_by_file ON run_files(sha256);
CREATE TABLE entries(
  run TEXT NOT NULL REFERENCES runs(id) ON DELETE CASCADE, number INTEGER NOT NULL,
  kind TEXT NOT NULL, body BLOB NOT NULL, UNIQUE(run, number));
CREATE TABLE run_agents(
  run TEXT NOT NULL REFERENCES runs(id) ON DELETE CASCADE, agent_id TEXT NOT NULL,
  incarnation INTEGER NOT NULL, labels_json TEXT NOT NULL, info_json TEXT NOT NULL,
  UNIQUE(run, agent_id, incarnation));
CREATE TABLE snapshots(
  run TEXT NOT NULL REFERENCES runs(id) ON DELETE CASCADE, agent_id TEXT NOT NULL,
  incarnation INTEGER NOT NULL, sequence INTEGER NOT NULL, interval_k INTEGER NOT NULL,
  final INTEGER NOT NULL, body BLOB NOT NULL, UNIQUE(run, incarnation, sequence));
CREATE TABLE reports(
  run TEXT PRIMARY KEY REFERENCES runs(id) ON DELETE CASCADE, json TEXT NOT NULL);
)sql";

Status CheckOurs(Database& database) {
  BROADSIDE_ASSIGN_OR_RETURN(const int64_t id, database.QueryInt("PRAGMA application_id"));
  BROADSIDE_ASSIGN_OR_RETURN(const int64_t schema, database.QueryInt("PRAGMA user_version"));
  BROADSIDE_ASSIGN_OR_RETURN(const int64_t tables,
                             database.QueryInt("SELECT count(*) FROM sqlite_master"));
  if (id == 0 && tables == 0) return absl::OkStatus();
  if (id != kApplicationId) {
    return FailedPrecondition(database.path() +
                              " is another program's database; choose another directory with "
                              "--store DIR");
  }
  if (schema != kSchema) {
    return FailedPrecondition(
        database.path() + " has format " + std::to_string(schema) + ", this version reads " +
        std::to_string(kSchema) +
        "; use the version that wrote it, or choose another directory with --store DIR");
  }
  return absl::OkStatus();
}

Status CheckWhole(Database& database, uint64_t check_bytes) {
  BROADSIDE_ASSIGN_OR_RETURN(const int64_t pages, database.QueryInt("PRAGMA page_count"));
  BROADSIDE_ASSIGN_OR_RETURN(const int64_t page_bytes, database.QueryInt("PRAGMA page_size"));
  if (static_cast<uint64_t>(pages * page_bytes) > check_bytes) return absl::OkStatus();
  BROADSIDE_ASSIGN_OR_RETURN(std::string found, database.QueryString("PRAGMA quick_check(1)"));
  if (found == "ok") return absl::OkStatus();
  // SQLite's answer may have several lines; ours is one.
  for (char& c : found) {
    if (c == '\n') c = ' ';
  }
  return DataLoss(database.path() + " is damaged (" + found +
                  "); move it away to start with an empty store");
}

Status Configure(Database& database) {
  // auto_vacuum must come before the first table, and decides that pruning gives space back.
  BROADSIDE_RETURN_IF_ERROR(database.Exec("PRAGMA auto_vacuum=INCREMENTAL"));
  BROADSIDE_ASSIGN_OR_RETURN(const std::string journal,
                             database.QueryString("PRAGMA journal_mode=WAL"));
  if (journal != "wal") {
    return FailedPrecondition(database.path() +
                              ": this file system cannot hold a write-ahead log; choose a local "
                              "directory with --store DIR");
  }
  // FULL: what was acknowledged survives a power cut, not only a crash of the process.
  return database.Exec(
      "PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA journal_size_limit=67108864;"
      "PRAGMA temp_store=MEMORY");
}

Status CreateTables(Database& database) {
  return database.Exec("BEGIN IMMEDIATE;" + std::string(kTables) +
                       "PRAGMA application_id=" + std::to_string(kApplicationId) +
                       ";PRAGMA user_version=" + std::to_string(kSchema) + ";COMMIT");
}

}  // namespace

StatusOr<uint64_t> PrepareDatabase(Database& database, uint64_t check_bytes, uint64_t max_bytes) {
  BROADSIDE_RETURN_IF_ERROR(CheckOurs(database));
  BROADSIDE_RETURN_IF_ERROR(CheckWhole(database, check_bytes));
  BROADSIDE_RETURN_IF_ERROR(Configure(database));
  if (max_bytes > 0) {
    BROADSIDE_ASSIGN_OR_RETURN(const int64_t page_bytes, database.QueryInt("PRAGMA page_size"));
    const uint64_t pages = max_bytes / static_cast<uint64_t>(page_bytes);
    BROADSIDE_RETURN_IF_ERROR(
        database.Exec("PRAGMA max_page_count=" + std::to_string(pages > 0 ? pages : 1)));
  }
  BROADSIDE_ASSIGN_OR_RETURN(const int64_t schema, database.QueryInt("PRAGMA user_version"));
  if (schema == 0) BROADSIDE_RETURN_IF_ERROR(CreateTables(database));
  BROADSIDE_ASSIGN_OR_RETURN(
      const int64_t incarnation,
      database.QueryInt("INSERT INTO meta VALUES('incarnation', 1) "
                        "ON CONFLICT(key) DO UPDATE SET value = value + 1 RETURNING value"));
  return static_cast<uint64_t>(incarnation);
}

}  // namespace broadside::store
