#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "common/base/status.h"

struct sqlite3;
struct sqlite3_stmt;

/// The little of SQLite that the store needs, with owners and Status. A Database and its Statements
/// belong to one thread at a time (they are opened without SQLite's own mutex).
namespace broadside::store {

class Database;

/// A prepared statement. Bind, Step until it gives false, read columns after each true, Reset.
class Statement {
 public:
  Statement() = default;

  /// Parameters are numbered from 1. Texts and blobs must live until Reset: they are not copied.
  Statement& Bind(int index, int64_t value);
  Statement& Bind(int index, std::string_view text);
  Statement& BindBlob(int index, std::string_view bytes);
  Statement& BindNull(int index);

  /// True: a row is there. False: done.
  StatusOr<bool> Step();
  /// Steps to the end, then resets, whatever happened.
  Status Run();
  void Reset();

  /// Columns are numbered from 0. Views live until the next Step or Reset. NULL gives 0 and "".
  int64_t Int(int column) const;
  std::string_view Bytes(int column) const;
  std::string String(int column) const { return std::string(Bytes(column)); }
  bool IsNull(int column) const;

 private:
  friend class Database;
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
  const Database* database_ = nullptr;
};

/// One connection. Does not move, because its statements point at it.
class Database {
 public:
  enum class Mode { kReadWrite, kReadOnly };

  static StatusOr<std::unique_ptr<Database>> Open(const std::string& path, Mode mode);

  Status Exec(const std::string& sql);
  StatusOr<Statement> Prepare(std::string_view sql);
  /// First column of the first row of `sql`.
  StatusOr<int64_t> QueryInt(std::string_view sql);
  StatusOr<std::string> QueryString(std::string_view sql);
  /// Rows that the last INSERT, UPDATE or DELETE touched.
  int64_t Changes() const;
  bool InTransaction() const;
  const std::string& path() const { return path_; }

  /// One clear line for an SQLite result code: the file, what happened, the cure. Codes: full disk
  /// ResourceExhausted, damage DataLoss, no permission PermissionDenied, unknown run (foreign key)
  /// NotFound, taken key AlreadyExists, input or output error Unavailable, the rest Internal.
  Status Error(int code) const;

 private:
  explicit Database(std::string path) : path_(std::move(path)) {}
  struct Close {
    void operator()(sqlite3* connection) const;
  };
  std::string path_;
  std::unique_ptr<sqlite3, Close> connection_;
};

}  // namespace broadside::store
