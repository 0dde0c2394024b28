#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "agent/engine/engine.h"
#include "agent/engine/part.h"
#include "agent/engine/raw_log.h"
#include "common/stats/snapshot.h"

namespace broadside::agent {

/// Merges the loops' parts of each interval into one snapshot, encodes it and gives it to the sink,
/// in interval order, on a thread of its own. In-flight maxima are summed over the loops: an upper
/// bound of the agent's true maximum, exact with one loop.
class Encoder {
 public:
  struct Options {
    RunId run;
    Incarnation owner;
    Nanos interval{};
    std::vector<HistogramPool*> pools;  ///< by loop
    std::vector<RawRing*> rings;        ///< by loop; empty without a raw log
    std::unique_ptr<RawLog> raw_log;
    SnapshotSink sink;
  };
  explicit Encoder(Options options);
  /// Writes what is still queued and ends the thread. No loop may submit any more.
  ~Encoder();

  /// By a loop: an empty part, or null when kMaxParts are on their way (then the interval is merged
  /// into the loop's next), which cannot happen to the `last` one.
  std::unique_ptr<IntervalPart> TakeEmpty(bool last);
  /// By loop `loop`, in interval order.
  void Submit(size_t loop, std::unique_ptr<IntervalPart> part);
  /// ε and the correction still to be slewed, for the health figures. Any thread.
  void SetClockQuality(Nanos bound, Nanos pending_slew);

 private:
  static constexpr size_t kMaxParts = 256;

  /// What is known of a loop: its parts on the way and the last one merged.
  struct Lane {
    std::deque<std::unique_ptr<IntervalPart>> parts;
    std::unique_ptr<IntervalPart> last;
    bool final = false;
  };
  using Key = std::pair<PhaseIndex, TargetIndex>;

  void Run();
  /// Parts of the next complete interval, by loop, null where a loop has none. Empty when not all
  /// loops have reached it. Guarded by mutex_.
  std::vector<std::unique_ptr<IntervalPart>> NextInterval();
  void Emit(std::vector<std::unique_ptr<IntervalPart>> parts);
  void MergeRows(const std::vector<const IntervalPart*>& now, IntervalIndex interval,
                 stats::Snapshot& snapshot) const;
  void EncodeCells(const std::vector<std::unique_ptr<IntervalPart>>& parts,
                   stats::Snapshot& snapshot);
  void FillHealth(const std::vector<std::unique_ptr<IntervalPart>>& parts,
                  stats::Snapshot& snapshot);
  void DrainRaw();

  Options options_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Lane> lanes_;                           ///< parts and final: guarded by mutex_
  std::vector<std::unique_ptr<IntervalPart>> empty_;  ///< guarded by mutex_
  size_t made_ = 0;                                   ///< guarded by mutex_
  bool stopping_ = false;                             ///< guarded by mutex_
  std::atomic<int64_t> bound_ns_{0}, slew_ns_{0};
  uint64_t sequence_ = 0;
  std::thread thread_;
};

/// Process user + system time in ns.
uint64_t ProcessCpuNanos();
/// Time that the cgroup's CPU limit took from this process' group, in ns; 0 where it cannot be
/// read.
uint64_t CgroupThrottledNanos();

}  // namespace broadside::agent
