#include "tests/sim/sim_engine.h"

#include <algorithm>
#include <array>

namespace broadside::sim {
namespace {

constexpr size_t kBatch = 64;
constexpr IntervalIndex kMostIntervalsLate = 64;

using Key = std::pair<PhaseIndex, TargetIndex>;

}  // namespace

/// Mirrors agent/engine/loop.cc and arrivals.cc; what is decided there is decided here alike.
class SimEngine::Loop {
 public:
  Loop(SimEngine& engine, uint32_t index, uint32_t loops, const wire::Assignment& assignment)
      : engine_(engine),
        world_(engine.world_),
        index_(index),
        plan_(world_.specs.at(assignment.run).plan),
        pacer_(
            {.owner = engine.owner_, .loops = loops, .loop = index, .interval = plan_->interval}),
        in_flight_max_(std::max(1u, assignment.in_flight / loops)),
        connections_(std::max(1u, assignment.connections / loops)),
        last_(Now()) {
    world_.laws.LoopBorn(engine_.owner_, engine_.run_, index_);
    ScheduleTurn();
  }

  void Post(std::function<void(Loop&)> mail) {
    mailbox_.push_back(std::move(mail));
    Wake();
  }
  void Freeze() { frozen_ = true; }
  void Thaw() {
    frozen_ = false;
    Wake();
  }
  void Stall(Nanos length) {
    stalled_until_ = std::max(stalled_until_, world_.queue.now() + length);
  }

  void Handle(const std::shared_ptr<const rate::CompiledSegment>& segment) {
    pacer_.AddSegment(segment);
  }
  void Handle(const rate::Deal& deal) { pacer_.AddDeal(deal); }
  void Handle(const ClockFit& fit, IntervalIndex first_interval) {
    if (has_clock_) world_.laws.ClockSet(fit_, fit);
    fit_ = fit;
    if (!has_clock_) {
      has_clock_ = true;
      interval_index_ = first_interval;
    }
    if (!done_) boundary_ = fit_.LocalAt(IntervalStart(interval_index_ + 1, engine_.interval_));
  }
  void Handle(ShardEpoch epoch, IntervalIndex last, Instant lease_end) {
    const RunTime now = has_clock_ ? fit_.RunAt(last_) : RunTime::min();
    if (!waiting_.empty() && !pacer_.LeaseHolds(last_)) ExpireWaiting();
    pacer_.ExtendLease(lease_end, last_, now);
    pacer_.Grant(epoch, last, now);
    if (!done_)
      world_.laws.LoopGranted(engine_.owner_, engine_.run_, index_, epoch, last, lease_end, last_,
                              now);
  }
  void HandleStop(RunTime end) {
    if (stop_ && *stop_ <= end) return;
    stop_ = end;
    pacer_.Stop(end);
    world_.laws.LoopStopped(engine_.owner_, engine_.run_, index_);
    for (auto& [key, row] : rows_) {
      row.after_stop = 0;
      for (const RunTime due : sent_due_[key]) row.after_stop += due >= end;
    }
    ExpireWaiting();
  }
  void HandleFinish(RunTime end) { finish_ = end; }

 private:
  struct Request {
    rate::Arrival arrival;
    Instant deadline{};
  };

  Instant Now() {
    last_ = engine_.clock_.Local(world_.queue.now());
    while (last_ >= boundary_) CloseInterval();
    return last_;
  }

  void CloseInterval() {
    SubmitPart(false);
    const IntervalIndex now = IntervalOf(fit_.RunAt(last_), engine_.interval_);
    interval_index_ = std::max(interval_index_ + 1, now - kMostIntervalsLate);
    boundary_ = fit_.LocalAt(IntervalStart(interval_index_ + 1, engine_.interval_));
  }
  void SubmitPart(bool final) {
    engine_.Submit(index_, {interval_index_, final, rows_, outcomes_});
  }

  bool Standing() const { return frozen_ || world_.queue.now() < stalled_until_; }

  /// The loop's own wait ends: as soon as it stands no longer.
  void Wake() {
    if (waking_) return;
    waking_ = true;
    const Instant at = std::max(world_.queue.now(), stalled_until_);
    world_.queue.At(at, [this, alive = alive_] {
      if (!*alive) return;
      waking_ = false;
      Turn();
    });
  }

  void Turn() {
    if (frozen_) return;  // Thaw wakes
    if (Standing()) return Wake();
    Now();
    if (!batch_.empty()) FinishBatch();
    if (Standing()) return Wake();
    for (std::deque<std::function<void(Loop&)>> mail = std::exchange(mailbox_, {});
         const auto& handle : mail)
      handle(*this);
    CheckTimes();
    const bool more = FireDue();
    if (Standing()) return Wake();
    CheckFinal();
    if (more) return Wake();
    ScheduleTurn();
  }

  void ScheduleTurn() {
    Instant next = last_ + std::chrono::seconds(5);
    if (!done_) next = std::min(next, boundary_);
    if (!deadlines_.empty()) next = std::min(next, deadlines_.begin()->first);
    if (has_clock_ && !done_) {
      if (const std::optional<RunTime> due = pacer_.NextDue())
        next = std::min(next, fit_.LocalAt(*due));
      if (!waiting_.empty()) next = std::min(next, pacer_.lease_end());
      if (finish_ && Live() == 0) next = std::min(next, fit_.LocalAt(*finish_));
    } else if (done_) {
      return;
    }
    const Instant at = std::max(world_.queue.now() + Nanos(1), engine_.clock_.TrueAt(next));
    if (at >= next_turn_ && next_turn_ > world_.queue.now()) return;
    next_turn_ = at;
    world_.queue.At(at, [this, alive = alive_, at] {
      if (*alive && at == next_turn_) Turn();
    });
  }

  size_t Live() const { return waiting_.size() + in_flight_; }

  void CheckTimes() {
    while (!deadlines_.empty() && deadlines_.begin()->first <= last_) {
      const uint64_t id = deadlines_.begin()->second;
      const auto waiting = std::find_if(waiting_.begin(), waiting_.end(),
                                        [id](const auto& item) { return item.first == id; });
      if (waiting != waiting_.end()) {
        Expire(waiting->second);
        deadlines_.erase(deadlines_.begin());
        waiting_.erase(waiting);
      } else {
        End(id, breaker::Outcome::kTimeoutClient);
      }
    }
    if (!waiting_.empty() && !pacer_.LeaseHolds(last_)) ExpireWaiting();
  }

  bool FireDue() {
    if (!has_clock_ || done_) return false;
    std::array<agent::DueArrival, kBatch> due;
    const RunTime at = fit_.RunAt(last_);
    const size_t n = pacer_.Take(at, last_, due);
    for (size_t i = 0; i < n; ++i)
      world_.laws.Taken(world_.queue.now(), engine_.owner_, engine_.run_, index_, due[i].arrival,
                        due[i].permitted, last_, at);
    batch_.assign(due.begin(), due.begin() + static_cast<ptrdiff_t>(n));
    checked_ = last_;
    if (n > 0 && world_.Happens(world_.scenario.p_pause_in_batch, Fault::kPauseInBatch)) {
      Stall(world_.random.Between(std::chrono::milliseconds(1), 3 * world_.scenario.lease));
      return false;
    }
    FinishBatch();
    return n == kBatch;
  }
  void FinishBatch() {
    for (const agent::DueArrival& due : std::exchange(batch_, {})) TakeUp(due);
  }

  void TakeUp(const agent::DueArrival& due) {
    const rate::Arrival& arrival = due.arrival;
    const Instant local_due = fit_.LocalAt(arrival.due);
    const Instant ready = Now();
    const Key key{arrival.phase, arrival.target};
    stats::Counters& row = rows_[key];
    ++row.scheduled;
    const Nanos timeout = plan_->limits.timeout.total;
    if (!due.permitted || ready >= local_due + timeout) {
      ++row.expired;
      if (!stop_) ++row.own_fault;
      return Became(arrival, Laws::Fate::kExpired);
    }
    const bool at_once = waiting_.empty() && in_flight_ < connections_;
    if (Live() >= in_flight_max_ || (plan_->backlog == plan::Backlog::kSkip && !at_once)) {
      ++row.dropped;
      ++row.limited;
      return Became(arrival, Laws::Fate::kDropped);
    }
    const uint64_t id = next_request_++;
    const Request request{arrival, local_due + timeout};
    deadlines_.insert({request.deadline, id});
    if (at_once) return Begin(id, request);
    ++row.limited;
    ++row.waiting;
    waiting_.push_back({id, request});
  }

  void Begin(uint64_t id, const Request& request) {
    const Key key{request.arrival.phase, request.arrival.target};
    stats::Counters& row = rows_[key];
    ++row.sent;
    ++row.in_flight;
    sent_due_[key].push_back(request.arrival.due);
    if (stop_ && request.arrival.due >= *stop_) ++row.after_stop;
    ++in_flight_;
    live_[id] = request;
    Became(request.arrival, Laws::Fate::kSent);
    const Scenario& s = world_.scenario;
    auto outcome = breaker::Outcome::kOk;
    Nanos takes = world_.random.Between(std::chrono::microseconds(300), s.reply_max);
    if (world_.Happens(s.p_error, Fault::kTargetErrors))
      outcome = world_.random.Chance(0.5) ? breaker::Outcome::kConnect : breaker::Outcome::kQueue;
    if (world_.Happens(s.p_slow_reply, Fault::kSlowTarget))
      takes = world_.random.Between(s.reply_max, plan_->limits.timeout.total * 2);
    const Instant at = std::max(world_.queue.now(), world_.target_stalled_until) + takes;
    world_.queue.At(at, [this, alive = alive_, id, outcome] {
      if (!*alive) return;
      Post([id, outcome](Loop& loop) {
        // What has timed out by now is not answered any more, even if the reply is there.
        loop.CheckTimes();
        if (loop.live_.contains(id)) loop.End(id, outcome);
      });
    });
  }

  void End(uint64_t id, breaker::Outcome outcome) {
    const auto it = live_.find(id);
    const Request request = it->second;
    live_.erase(it);
    --in_flight_;
    deadlines_.erase({request.deadline, id});
    const Key key{request.arrival.phase, request.arrival.target};
    stats::Counters& row = rows_[key];
    --row.in_flight;
    ++outcomes_[{key, outcome}];
    switch (breaker::GroupOf(outcome)) {
      case breaker::OutcomeGroup::kOk:
        ++row.ok;
        break;
      case breaker::OutcomeGroup::kRejected:
        ++row.rejected;
        break;
      case breaker::OutcomeGroup::kFailed:
        ++row.failed;
        break;
    }
    // As Pump does: a connection that comes free serves who waits longest, if the lease holds.
    while (!waiting_.empty() && in_flight_ < connections_) {
      if (!pacer_.LeaseHolds(last_)) return;
      checked_ = last_;
      const auto [next, waiting] = waiting_.front();
      waiting_.pop_front();
      --rows_[{waiting.arrival.phase, waiting.arrival.target}].waiting;
      Begin(next, waiting);
    }
  }

  void Expire(const Request& request) {
    stats::Counters& row = rows_[{request.arrival.phase, request.arrival.target}];
    --row.waiting;
    ++row.expired;
    Became(request.arrival, Laws::Fate::kExpired);
  }
  void ExpireWaiting() {
    for (const auto& [id, request] : waiting_) {
      Expire(request);
      deadlines_.erase({request.deadline, id});
    }
    waiting_.clear();
  }

  void CheckFinal() {
    if (!finish_ || done_ || Live() > 0 || !batch_.empty()) return;
    if (has_clock_) {
      if (fit_.RunAt(last_) < *finish_) return;
      const std::optional<RunTime> due = pacer_.NextDue();
      if (due && *due < *finish_) return;
    }
    done_ = true;
    SubmitPart(true);
    boundary_ = Instant::max();
  }

  void Became(const rate::Arrival& arrival, Laws::Fate fate) {
    world_.laws.Became(engine_.owner_, engine_.run_, arrival, fate, checked_);
  }

  friend class SimEngine;
  SimEngine& engine_;
  World& world_;
  const uint32_t index_;
  std::shared_ptr<const plan::Plan> plan_;
  agent::Pacer pacer_;
  const size_t in_flight_max_, connections_;
  bool frozen_ = false, waking_ = false;
  Instant stalled_until_{}, next_turn_{}, checked_{};
  std::deque<std::function<void(Loop&)>> mailbox_;
  bool has_clock_ = false, done_ = false;
  ClockFit fit_;
  IntervalIndex interval_index_ = 0;
  Instant boundary_ = Instant::max();
  Instant last_{};
  std::optional<RunTime> stop_, finish_;
  std::vector<agent::DueArrival> batch_;  ///< taken, not yet taken up
  std::deque<std::pair<uint64_t, Request>> waiting_;
  std::map<uint64_t, Request> live_;
  std::set<std::pair<Instant, uint64_t>> deadlines_;
  size_t in_flight_ = 0;
  uint64_t next_request_ = 1;
  std::map<Key, stats::Counters> rows_;
  std::map<Key, std::vector<RunTime>> sent_due_;
  std::map<std::pair<Key, breaker::Outcome>, uint64_t> outcomes_;
  std::shared_ptr<bool> alive_ = engine_.alive_;
};

SimEngine::SimEngine(World& world, const HostTime& clock, const wire::Assignment& assignment,
                     Incarnation owner, uint32_t loops, Sink sink)
    : world_(world),
      clock_(clock),
      run_(assignment.run),
      owner_(owner),
      interval_(world.specs.at(assignment.run).plan->interval),
      sink_(std::move(sink)),
      lanes_(loops) {
  for (uint32_t i = 0; i < loops; ++i)
    loops_.push_back(std::make_unique<Loop>(*this, i, loops, assignment));
}

SimEngine::~SimEngine() { *alive_ = false; }

void SimEngine::ToLoops(const std::function<void(Loop&)>& handle) {
  for (const auto& loop : loops_) loop->Post(handle);
}

void SimEngine::AddSegment(const std::shared_ptr<const rate::CompiledSegment>& segment) {
  ToLoops([segment](Loop& loop) { loop.Handle(segment); });
}
void SimEngine::AddDeal(const rate::Deal& deal) {
  ToLoops([deal](Loop& loop) { loop.Handle(deal); });
}
void SimEngine::SetClock(const ClockFit& fit) {
  const IntervalIndex first = std::max<IntervalIndex>(
      0, IntervalOf(fit.RunAt(clock_.Local(world_.queue.now())), interval_));
  ToLoops([fit, first](Loop& loop) { loop.Handle(fit, first); });
}
void SimEngine::Grant(ShardEpoch epoch, IntervalIndex last, Instant lease_end) {
  ToLoops([=](Loop& loop) { loop.Handle(epoch, last, lease_end); });
}
void SimEngine::Stop(RunTime end) {
  ToLoops([end](Loop& loop) { loop.HandleStop(end); });
}
void SimEngine::Finish(RunTime end) {
  ToLoops([end](Loop& loop) { loop.HandleFinish(end); });
}
void SimEngine::Freeze() {
  for (const auto& loop : loops_) loop->Freeze();
}
void SimEngine::Thaw() {
  for (const auto& loop : loops_) loop->Thaw();
}
void SimEngine::Stall(Nanos length) { loops_[world_.random.Below(loops_.size())]->Stall(length); }

/// As agent/engine/encoder.cc: an interval goes out when every loop has told of it.
void SimEngine::Submit(uint32_t loop, Part part) {
  lanes_[loop].final |= part.final;
  lanes_[loop].parts.push_back(std::move(part));
  while (true) {
    std::optional<IntervalIndex> next;
    for (const Lane& lane : lanes_) {
      if (lane.parts.empty() && !lane.final) return;
      if (lane.parts.empty()) continue;
      const IntervalIndex interval = lane.parts.front().interval;
      next = next ? std::min(*next, interval) : interval;
    }
    if (!next) return;
    Emit(*next);
  }
}

void SimEngine::Emit(IntervalIndex interval) {
  stats::Snapshot snapshot{.run = run_,
                           .incarnation = owner_,
                           .sequence = ++sequence_,
                           .interval = interval,
                           .interval_length = interval_,
                           .final_totals = true};
  std::map<Key, stats::Counters> rows;
  std::map<std::pair<Key, breaker::Outcome>, uint64_t> outcomes;
  for (Lane& lane : lanes_) {
    if (!lane.parts.empty() && lane.parts.front().interval == interval) {
      lane.last = std::move(lane.parts.front());
      lane.parts.pop_front();
    }
    snapshot.final_totals &= lane.last && lane.last->final;
    if (!lane.last) continue;
    for (const auto& [key, counters] : lane.last->rows) rows[key].Add(counters);
    for (const auto& [key, count] : lane.last->outcomes) outcomes[key] += count;
  }
  for (const auto& [key, counters] : rows)
    snapshot.counters.push_back({key.first, key.second, counters});
  for (const auto& [key, count] : outcomes) {
    snapshot.outcomes.push_back({.phase = key.first.first,
                                 .target = key.first.second,
                                 .outcome = std::string(breaker::OutcomeName(key.second)),
                                 .total = count});
  }
  world_.laws.SnapshotMade(snapshot);
  sink_(std::move(snapshot));
}

}  // namespace broadside::sim
