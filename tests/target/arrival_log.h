#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/status.h"
#include "common/time/time.h"

namespace broadside::target {

/// One line a request: `<ns> <connection> <stamp or -> <model> <status>`; ns is CLOCK_BOOTTIME when
/// the request was complete, status 0 where no complete reply was meant to leave. Lines of several
/// loops are not sorted. Each loop has a log of its own on the shared file (appends are whole
/// buffers). One thread.
class ArrivalLog {
 public:
  /// `fd` < 0 writes nothing.
  explicit ArrivalLog(int fd) : fd_(fd) {}
  void Add(Instant at, uint64_t connection, std::string_view stamp, std::string_view model,
           int status);
  void Flush();

 private:
  static constexpr size_t kFlushAt = 256 * 1024;
  int fd_;
  std::string buffer_;
};

}  // namespace broadside::target
