#pragma once

#include <gtest/gtest.h>

#include <condition_variable>
#include <fstream>
#include <map>
#include <memory>
#include <mutex>
#include <sstream>
#include <string>
#include <vector>

#include "agent/engine/engine.h"
#include "common/rate/profile.h"
#include "common/stats/codec.h"
#include "common/time/clock.h"

namespace broadside::agent {

/// What the controller would do for one agent, on this thread: one segment of a constant rate that
/// starts a moment from now, all owned by this agent, the whole of it granted.
struct RunPlan {
  uint16_t port = 0;
  int64_t rate = 400;  ///< per second
  Nanos length = std::chrono::milliseconds(250);
  Nanos interval = std::chrono::milliseconds(100);
  Nanos timeout = std::chrono::seconds(2);
  uint32_t in_flight = 256;
  uint32_t connections = 64;
  uint32_t loops = 1;
  bool reuse = true;
  bool stamp = false;
  bool kserve = false;
  plan::Backlog backlog = plan::Backlog::kSendLate;
  std::string record;
  std::string request = "GET / HTTP/1.1\r\nHost: t\r\n";
  Nanos lease = std::chrono::minutes(1);
  bool grant = true;
};

class Harness {
 public:
  explicit Harness(RunPlan options) : options_(std::move(options)) {
    auto plan = std::make_shared<plan::Plan>();
    plan->targets.push_back({.name = "t", .reuse = options_.reuse});
    plan::Phase phase;
    phase.name = "a";
    phase.load = plan::ConstantLoad{options_.rate * rate::kMicroPerUnit};
    phase.duration = options_.length;
    plan->phases.push_back(phase);
    plan->limits.timeout.total = options_.timeout;
    plan->backlog = options_.backlog;
    plan->interval = options_.interval;
    plan->stamp = options_.stamp;
    auto workload = std::make_shared<Workload>();
    workload->endpoints.push_back({"127.0.0.1", options_.port, false, ""});
    PreparedRequest request;
    request.bytes = options_.request + "\r\n";
    request.stamp_at = options_.request.size();
    request.kserve = options_.kserve;
    workload->requests.push_back(request);
    RunSetup setup{.run = RunId("7f3a2c"),
                   .owner = Incarnation(42),
                   .seed = 7,
                   .plan = plan,
                   .workloads = {workload},
                   .in_flight = options_.in_flight,
                   .connections = options_.connections};
    EngineOptions engine{
        .loops = options_.loops, .wait = WaitMode::kEco, .record_requests = options_.record};
    auto created = Engine::Create(engine, setup, [this](stats::Snapshot snapshot) {
      const std::lock_guard lock(mutex_);
      snapshots_.push_back(std::move(snapshot));
      changed_.notify_all();
    });
    EXPECT_TRUE(created.ok());
    engine_ = *std::move(created);
    Warm();
    rate::Segment segment;
    segment.length = options_.length;
    segment.knots = rate::ConstantKnots(options_.rate * rate::kMicroPerUnit, options_.length);
    segment.mix = {{TargetIndex(0), 1}};
    segment_ = *rate::CompiledSegment::Make(segment);
    engine_->AddSegment(segment_);
    engine_->AddDeal(rate::MakeDeal(ShardEpoch(1), 0, {Incarnation(42)}, {1}));
  }

  /// T0 a moment from now, the grant of everything, and the end.
  void Start() {
    const Instant now = SystemClock().Now();
    fit_ = ClockFit{now + std::chrono::milliseconds(20), RunStart(), 0, Nanos(0)};
    engine_->SetClock(fit_, Nanos(0), Nanos(0));
    if (options_.grant) GrantAll(now + options_.lease);
  }
  void GrantAll(Instant lease_end) {
    engine_->Grant(ShardEpoch(1), options_.length / options_.interval, lease_end);
  }
  void Finish() { engine_->Finish(RunStart() + options_.length); }

  /// Waits for the final snapshot; gives all of them.
  const std::vector<stats::Snapshot>& Wait() {
    std::unique_lock lock(mutex_);
    const bool done = changed_.wait_for(lock, std::chrono::seconds(30), [this] {
      return !snapshots_.empty() && snapshots_.back().final_totals;
    });
    EXPECT_TRUE(done) << "no final snapshot";
    return snapshots_;
  }
  const std::vector<stats::Snapshot>& Run() {
    Start();
    Finish();
    return Wait();
  }
  /// Blocks until `ready` says yes to the snapshots so far.
  void Until(const std::function<bool(const stats::Snapshot&)>& ready) {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, std::chrono::seconds(30),
                                  [&] { return !snapshots_.empty() && ready(snapshots_.back()); }));
  }

  Engine& engine() { return *engine_; }
  RunTime Now() const { return fit_.RunAt(SystemClock().Now()); }
  uint64_t Arrivals() const { return segment_->Count(); }
  const rate::CompiledSegment& segment() const { return *segment_; }
  /// The final counters of the only phase and target.
  stats::Counters Totals() {
    const std::lock_guard lock(mutex_);
    return snapshots_.back().counters.empty() ? stats::Counters{}
                                              : snapshots_.back().counters[0].counters;
  }
  std::map<std::string, uint64_t> Outcomes() {
    const std::lock_guard lock(mutex_);
    std::map<std::string, uint64_t> out;
    for (const auto& outcome : snapshots_.back().outcomes) out[outcome.outcome] += outcome.total;
    return out;
  }
  /// All intervals of a cell, merged.
  stats::Histogram Merged(const std::string& outcome, stats::Measure measure) {
    const std::lock_guard lock(mutex_);
    stats::Histogram sum;
    for (const stats::Snapshot& snapshot : snapshots_) {
      for (const stats::Cell& cell : snapshot.cells) {
        if (cell.outcome != outcome || cell.measure != measure) continue;
        EXPECT_TRUE(stats::DecodeCounts(cell.counts, sum).ok());
        sum.AddExact(cell.exact);
      }
    }
    return sum;
  }
  /// The laws that hold at every snapshot of every run.
  void CheckLaws() {
    const std::lock_guard lock(mutex_);
    uint64_t sequence = 0;
    IntervalIndex interval = snapshots_.front().interval - 1;
    for (const stats::Snapshot& snapshot : snapshots_) {
      EXPECT_EQ(snapshot.sequence, ++sequence);
      EXPECT_GT(snapshot.interval, interval);
      interval = snapshot.interval;
      for (const auto& row : snapshot.counters) {
        const stats::Counters& c = row.counters;
        EXPECT_EQ(c.scheduled, c.sent + c.dropped + c.expired + c.waiting);
        EXPECT_EQ(c.sent, c.ok + c.rejected + c.failed + c.in_flight);
        EXPECT_TRUE(c.Closes());
      }
    }
    EXPECT_EQ(snapshots_.front().interval, 0);
  }

 private:
  void Warm() {
    bool warm = false;
    engine_->Warm(std::chrono::seconds(5), [&](Status status) {
      const std::lock_guard lock(mutex_);
      EXPECT_TRUE(status.ok()) << status;
      warm = true;
      changed_.notify_all();
    });
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, std::chrono::seconds(10), [&] { return warm; }));
  }

  RunPlan options_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<stats::Snapshot> snapshots_;  ///< guarded by mutex_
  ClockFit fit_;
  std::shared_ptr<const rate::CompiledSegment> segment_;
  std::unique_ptr<Engine> engine_;  ///< last: its threads use the rest
};

}  // namespace broadside::agent
