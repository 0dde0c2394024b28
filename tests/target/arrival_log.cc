#include "tests/target/arrival_log.h"

#include <unistd.h>

#include <cerrno>

namespace broadside::target {

void ArrivalLog::Add(Instant at, uint64_t connection, std::string_view stamp,
                     std::string_view model, int status) {
  if (fd_ < 0) return;
  buffer_ += std::to_string(at.time_since_epoch().count());
  buffer_ += ' ';
  buffer_ += std::to_string(connection);
  buffer_ += ' ';
  buffer_ += stamp.empty() ? std::string_view("-") : stamp;
  buffer_ += ' ';
  buffer_ += model;
  buffer_ += ' ';
  buffer_ += std::to_string(status);
  buffer_ += '\n';
  if (buffer_.size() >= kFlushAt) Flush();
}

void ArrivalLog::Flush() {
  size_t written = 0;
  while (written < buffer_.size()) {
    const ssize_t n = write(fd_, buffer_.data() + written, buffer_.size() - written);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) break;  // a full disk loses lines; the reader notices that the counts differ
    written += static_cast<size_t>(n);
  }
  buffer_.clear();
}

}  // namespace broadside::target
