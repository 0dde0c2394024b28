#include "controller/store/sqlite.h"

#include <sqlite3.h>

#include "common/base/check.h"

namespace broadside::store {

namespace {

/// How long a reader waits for the writer's checkpoint to let go of the file.
constexpr int kBusyMillis = 5'000;

}  // namespace

void Statement::Finalize::operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }

Statement& Statement::Bind(int index, int64_t value) {
  BROADSIDE_CHECK(sqlite3_bind_int64(statement_.get(), index, value) == SQLITE_OK);
  return *this;
}

// The three below can fail on values longer than SQLite's limit; the store caps them long before.
Statement& Statement::Bind(int index, std::string_view text) {
  // A null pointer would bind NULL, and an empty view may hold one.
  BROADSIDE_CHECK(sqlite3_bind_text64(statement_.get(), index, text.empty() ? "" : text.data(),
                                      text.size(), SQLITE_STATIC, SQLITE_UTF8) == SQLITE_OK);
  return *this;
}

Statement& Statement::BindBlob(int index, std::string_view bytes) {
  BROADSIDE_CHECK(sqlite3_bind_blob64(statement_.get(), index, bytes.empty() ? "" : bytes.data(),
                                      bytes.size(), SQLITE_STATIC) == SQLITE_OK);
  return *this;
}

Statement& Statement::BindNull(int index) {
  BROADSIDE_CHECK(sqlite3_bind_null(statement_.get(), index) == SQLITE_OK);
  return *this;
}

StatusOr<bool> Statement::Step() {
  const int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return database_->Error(code);
}

Status Statement::Run() {
  for (;;) {
    StatusOr<bool> more = Step();
    if (!more.ok() || !*more) {
      Reset();
      return more.status();
    }
  }
}

void Statement::Reset() {
  sqlite3_reset(statement_.get());
  sqlite3_clear_bindings(statement_.get());
}

int64_t Statement::Int(int column) const { return sqlite3_column_int64(statement_.get(), column); }

std::string_view Statement::Bytes(int column) const {
  const void* data = sqlite3_column_blob(statement_.get(), column);
  const int size = sqlite3_column_bytes(statement_.get(), column);
  if (data == nullptr || size <= 0) return {};
  return {static_cast<const char*>(data), static_cast<size_t>(size)};
}

bool Statement::IsNull(int column) const {
  return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL;
}

void Database::Close::operator()(sqlite3* connection) const { sqlite3_close_v2(connection); }

StatusOr<std::unique_ptr<Database>> Database::Open(const std::string& path, Mode mode) {
  std::unique_ptr<Database> database(new Database(path));
  const int flags =
      SQLITE_OPEN_NOMUTEX |
      (mode == Mode::kReadOnly ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
  sqlite3* connection = nullptr;
  const int code = sqlite3_open_v2(path.c_str(), &connection, flags, nullptr);
  database->connection_.reset(connection);
  if (code != SQLITE_OK) return database->Error(code);
  sqlite3_extended_result_codes(connection, 1);
  sqlite3_busy_timeout(connection, kBusyMillis);
  return database;
}

Status Database::Exec(const std::string& sql) {
  const int code = sqlite3_exec(connection_.get(), sql.c_str(), nullptr, nullptr, nullptr);
  return code == SQLITE_OK ? absl::OkStatus() : Error(code);
}

StatusOr<Statement> Database::Prepare(std::string_view sql) {
  sqlite3_stmt* raw = nullptr;
  const int code = sqlite3_prepare_v3(connection_.get(), sql.data(), static_cast<int>(sql.size()),
                                      SQLITE_PREPARE_PERSISTENT, &raw, nullptr);
  if (code != SQLITE_OK) return Error(code);
  Statement statement;
  statement.statement_.reset(raw);
  statement.database_ = this;
  return statement;
}

StatusOr<int64_t> Database::QueryInt(std::string_view sql) {
  BROADSIDE_ASSIGN_OR_RETURN(Statement query, Prepare(sql));
  BROADSIDE_ASSIGN_OR_RETURN(const bool row, query.Step());
  return row ? query.Int(0) : 0;
}

StatusOr<std::string> Database::QueryString(std::string_view sql) {
  BROADSIDE_ASSIGN_OR_RETURN(Statement query, Prepare(sql));
  BROADSIDE_ASSIGN_OR_RETURN(const bool row, query.Step());
  return row ? query.String(0) : std::string();
}

int64_t Database::Changes() const { return sqlite3_changes64(connection_.get()); }

bool Database::InTransaction() const { return sqlite3_get_autocommit(connection_.get()) == 0; }

Status Database::Error(int code) const {
  const std::string detail =
      connection_ != nullptr ? sqlite3_errmsg(connection_.get()) : sqlite3_errstr(code);
  switch (code & 0xff) {
    case SQLITE_FULL:
      return ResourceExhausted(path_ + ": no room left (" + detail +
                               "); free disk space, or choose another directory with --store DIR");
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return DataLoss(path_ + " is damaged (" + detail +
                      "); move it away to start with an empty store");
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
      return PermissionDenied("cannot write " + path_ + " (" + detail +
                              "); make it writable, or choose another directory with --store DIR");
    case SQLITE_IOERR:
      return Unavailable(path_ + ": " + detail + " (code " + std::to_string(code) +
                         "); check the disk");
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return Unavailable(path_ + " is held by another program (" + detail + "); close it");
    case SQLITE_CONSTRAINT:
      if (code == SQLITE_CONSTRAINT_FOREIGNKEY) return NotFound("no such run in " + path_);
      return AlreadyExists(path_ + ": " + detail);
    default:
      return Internal(path_ + ": " + detail + " (code " + std::to_string(code) + ")");
  }
}

}  // namespace broadside::store
