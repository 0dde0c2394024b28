#include "agent/engine/raw_log.h"

#include <cerrno>
#include <cinttypes>

namespace broadside::agent {

StatusOr<std::unique_ptr<RawLog>> RawLog::Open(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "we");
  if (file == nullptr) return ErrnoStatus(errno, "--record-requests " + path);
  std::fputs(
      "segment,index,phase,target,due_ns,ready_ns,sent_ns,first_byte_ns,completed_ns,outcome\n",
      file);
  return std::unique_ptr<RawLog>(new RawLog(file));
}

RawLog::~RawLog() { std::fclose(file_); }

void RawLog::Write(const RawRecord& record) {
  const int64_t due = record.arrival.due.time_since_epoch().count();
  std::fprintf(file_, "%" PRIu32 ",%" PRIu64 ",%" PRIu32 ",%" PRIu32 ",%" PRId64,
               record.arrival.segment.value(), record.arrival.index, record.arrival.phase.value(),
               record.arrival.target.value(), due);
  for (const int64_t after : {record.ready, record.sent, record.first_byte, record.completed}) {
    if (after == RawRecord::kNever) {
      std::fputc(',', file_);
    } else {
      std::fprintf(file_, ",%" PRId64, due + after);
    }
  }
  const char* name =
      record.outcome == RawRecord::kDropped ? "dropped"
      : record.outcome == RawRecord::kExpired
          ? "expired"
          : breaker::OutcomeName(static_cast<breaker::Outcome>(record.outcome)).data();
  std::fprintf(file_, ",%s\n", name);
}

void RawLog::Finish(uint64_t dropped) {
  if (finished_) return;
  finished_ = true;
  if (dropped > 0) std::fprintf(file_, "# %" PRIu64 " records lost\n", dropped);
  std::fflush(file_);
}

}  // namespace broadside::agent
