#pragma once

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/breaker/outcome.h"
#include "common/rate/schedule.h"

namespace broadside::agent {

/// One arrival as it ended; times in ns after its due time.
struct RawRecord {
  static constexpr int64_t kNever = INT64_MIN;
  rate::Arrival arrival;
  int64_t ready = kNever, sent = kNever, first_byte = kNever, completed = kNever;
  int outcome = 0;  ///< breaker::Outcome, kDropped or kExpired
  static constexpr int kDropped = breaker::kOutcomeCount;
  static constexpr int kExpired = breaker::kOutcomeCount + 1;
};

/// Bounded queue of raw records from one loop to the encoder. Push by the loop, Drain by the
/// encoder; what finds it full is counted and dropped.
class RawRing {
 public:
  static constexpr size_t kCapacity = size_t{1} << 16;
  RawRing() : slots_(kCapacity) {}
  void Push(const RawRecord& record) {
    const uint64_t tail = tail_.load(std::memory_order_relaxed);
    if (tail - head_.load(std::memory_order_acquire) >= kCapacity) {
      dropped_.fetch_add(1, std::memory_order_relaxed);
      return;
    }
    slots_[tail & (kCapacity - 1)] = record;
    tail_.store(tail + 1, std::memory_order_release);
  }
  template <class F>
  void Drain(F each) {
    uint64_t head = head_.load(std::memory_order_relaxed);
    const uint64_t tail = tail_.load(std::memory_order_acquire);
    for (; head != tail; ++head) each(slots_[head & (kCapacity - 1)]);
    head_.store(head, std::memory_order_release);
  }
  uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

 private:
  std::vector<RawRecord> slots_;
  std::atomic<uint64_t> head_{0}, tail_{0}, dropped_{0};
};

/// The --record-requests file: CSV with a header line; run-clock ns; an empty field never happened.
///   segment,index,phase,target,due_ns,ready_ns,sent_ns,first_byte_ns,completed_ns,outcome
/// outcome is a class, "dropped" or "expired". Differences of two columns are exactly what the
/// histograms hold. Records lost to full buffers are told by a last line "# N records lost".
class RawLog {
 public:
  static StatusOr<std::unique_ptr<RawLog>> Open(const std::string& path);
  ~RawLog();
  void Write(const RawRecord& record);
  /// The last line. Idempotent.
  void Finish(uint64_t dropped);

 private:
  explicit RawLog(std::FILE* file) : file_(file) {}
  std::FILE* file_;
  bool finished_ = false;
};

}  // namespace broadside::agent
