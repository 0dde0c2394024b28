#pragma once

#include <cstdint>

#include "common/base/status.h"
#include "controller/store/sqlite.h"

namespace broadside::store {

/// Makes a just opened database ready for writing: checks that it is whole (up to `check_bytes`)
/// and one of ours, creates or keeps the tables, limits it to `max_bytes` (0: no limit). Gives the
/// incarnation of this opening, already on the disk.
StatusOr<uint64_t> PrepareDatabase(Database& database, uint64_t check_bytes, uint64_t max_bytes);

}  // namespace broadside::store
