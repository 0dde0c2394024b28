#pragma once

#include <cstdint>

#include "common/rpc/exposition.h"

namespace broadside::rpc {

/// What this process uses, read from the kernel at the call. What cannot be read is 0.
struct ProcessStats {
  double cpu_seconds = 0;         ///< user and system
  double start_time_seconds = 0;  ///< since the Unix epoch
  uint64_t resident_bytes = 0;
  uint64_t virtual_bytes = 0;
  uint64_t open_fds = 0;
  uint64_t max_fds = 0;
  uint64_t threads = 0;
};
/// Any thread; a few system calls.
ProcessStats ReadProcessStats();

/// Adds process_cpu_seconds_total and its kin, under the names that every Prometheus client uses.
void AddProcessMetrics(const ProcessStats& stats, Exposition& out);

}  // namespace broadside::rpc
