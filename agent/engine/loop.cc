#include "agent/engine/loop.h"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <string>
#include <utility>

#include "common/plan/resolve.h"

namespace broadside::agent {
namespace {

constexpr size_t kReceiveBytes = size_t{64} << 10;
/// A loop that was suspended for longer does not make up for every interval it slept through.
constexpr IntervalIndex kMostIntervalsLate = 64;
/// The longest sleep; nothing needs it, but no wait goes without a bound.
constexpr Nanos kIdleWake = std::chrono::seconds(1);

}  // namespace

Loop::Loop(Options options)
    : options_(std::move(options)),
      pacer_(Pacer::Options{.owner = options_.owner,
                            .loops = static_cast<uint32_t>(options_.loops),
                            .loop = static_cast<uint32_t>(options_.index),
                            .interval = options_.plan->interval}),
      recorder_(plan::PhaseRows(*options_.plan).size(), options_.workloads.size(),
                options_.plan->interval, *options_.pool),
      requests_(options_.in_flight),
      stamp_prefix_("broadside-arrival: " + options_.run.value() + "/"),
      timeout_(options_.plan->limits.timeout.total),
      interval_(options_.plan->interval),
      skip_backlog_(options_.plan->backlog == plan::Backlog::kSkip) {
  received_.Reserve(kReceiveBytes);
  free_requests_.reserve(requests_.size());
  for (Request& request : requests_) free_requests_.push_back(&request);
  for (size_t i = 0; i < options_.workloads.size(); ++i) {
    Pool pool;
    pool.workload = options_.workloads[i];
    const size_t endpoints = pool.workload->endpoints.size();
    pool.addresses.resize(endpoints);
    pool.next_address.resize(endpoints);
    pool.idle.resize(endpoints);
    for (auto& idle : pool.idle) idle.reserve(options_.connections);
    pool.reuse = options_.plan->targets[i].reuse;
    pools_.push_back(std::move(pool));
  }
  const size_t most = size_t{options_.connections} * pools_.size() + 512;
  connections_.reserve(most);
  free_connections_.reserve(most);
  closed_.reserve(most);
}

Loop::~Loop() {
  if (thread_.joinable()) {
    Post(QuitMessage{});
    thread_.join();
  }
  for (const auto& connection : connections_) connection->Close();
}

void Loop::Start() {
  thread_ = std::thread([this] {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);
    pthread_setname_np(pthread_self(), ("bs-loop-" + std::to_string(options_.index)).c_str());
    Run();
  });
}

void Loop::Post(LoopMessage message) {
  mailbox_.Post(std::move(message));
  poller_.Wake();
}

void Loop::Run() {
  poller_.Prepare(options_.wait);
  Instant awake = Now();
  while (!quit_) {
    if (mailbox_.filled()) {
      Now();
      HandleMail();
      if (quit_) break;
    }
    CheckTimes();
    const bool more = FireDue();
    Recycle();
    CheckFinal();
    const Instant deadline = more ? last_ : NextDeadline();
    busy_ns_ += static_cast<uint64_t>(std::max<int64_t>(0, (last_ - awake).count()));
    const auto events = poller_.WaitUntil(last_, deadline);
    awake = Now();
    for (const epoll_event& event : events) HandleEvent(event);
    Recycle();
  }
}

void Loop::CloseIntervals() {
  while (last_ >= boundary_) {
    SubmitInterval(boundary_, false);
    const IntervalIndex now = IntervalOf(fit_.RunAt(last_), interval_);
    interval_index_ = std::max(interval_index_ + 1, now - kMostIntervalsLate);
    boundary_ = fit_.LocalAt(IntervalStart(interval_index_ + 1, interval_));
  }
}

void Loop::SubmitInterval(Instant end, bool final) {
  std::unique_ptr<IntervalPart> part = options_.encoder->TakeEmpty(final);
  // The encoder is far behind: this interval's figures go out with the next one's.
  if (part == nullptr) return;
  recorder_.Close(interval_index_, end, fit_, *part);
  part->final = final;
  part->busy_ns = std::exchange(busy_ns_, 0);
  part->stale_resets = stale_resets_;
  part->unvalidated = unvalidated_;
  options_.encoder->Submit(options_.index, std::move(part));
}

void Loop::HandleMail() {
  for (LoopMessage& message : mailbox_.Take()) {
    std::visit([this](auto& content) { Handle(content); }, message);
  }
}

void Loop::Handle(WarmMessage& message) {
  warm_up_ = std::move(message.warm_up);
  warm_deadline_ = message.deadline;
  ++warming_;  // so that connections that fail at once do not end the warming before its time
  for (uint32_t target = 0; target < pools_.size(); ++target) {
    Pool& pool = pools_[target];
    pool.addresses = (*message.addresses)[target];
    const size_t endpoints = pool.workload->endpoints.size();
    for (uint32_t i = 0; i < message.connections[target] && pool.open < options_.connections; ++i) {
      OpenConnection(target, static_cast<uint32_t>(i % endpoints), nullptr);
    }
  }
  if (--warming_ == 0) WarmSettled();
}

void Loop::WarmSettled() {
  if (warm_up_ == nullptr) return;
  if (warm_up_->loops_left.fetch_sub(1) == 1) warm_up_->done(absl::OkStatus());
  warm_up_ = nullptr;
}

void Loop::Handle(std::shared_ptr<const rate::CompiledSegment>& segment) {
  const size_t id = segment->segment().id.value();
  if (segments_.size() <= id) segments_.resize(id + 1);
  segments_[id] = segment;
  pacer_.AddSegment(std::move(segment));
}

void Loop::Handle(rate::Deal& deal) { pacer_.AddDeal(std::move(deal)); }

void Loop::Handle(ClockMessage& message) {
  fit_ = message.fit;
  if (!has_clock_) {
    has_clock_ = true;
    interval_index_ = message.first_interval;
    // Before T0 the first interval is already open: what happens early counts to it.
    recorder_.StartAt(std::max(last_, fit_.LocalAt(IntervalStart(interval_index_, interval_))));
  }
  if (!done_) boundary_ = fit_.LocalAt(IntervalStart(interval_index_ + 1, interval_));
}

void Loop::Handle(GrantMessage& message) {
  // Without a clock nothing can have been due.
  const RunTime now = has_clock_ ? fit_.RunAt(last_) : RunTime::min();
  if (waiting_ > 0 && !pacer_.LeaseHolds(last_)) ExpireWaiting(true);
  pacer_.ExtendLease(message.lease_end, last_, now);
  pacer_.Grant(message.epoch, message.last, now);
}

void Loop::Handle(StopMessage& message) {
  if (stop_ && *stop_ <= message.end) return;
  stop_ = message.end;
  pacer_.Stop(message.end);
  recorder_.StopAt(message.end);
  ExpireWaiting(false);
}

void Loop::Handle(FinishMessage& message) { finish_ = message.end; }

void Loop::Handle(QuitMessage&) { quit_ = true; }

void Loop::CheckTimes() {
  const Instant now = last_;
  while (live_head_ != nullptr && live_head_->deadline <= now) {
    if (live_head_->connection == nullptr) {
      Expire(live_head_, false);
    } else {
      FailConnection(live_head_->connection, breaker::Outcome::kTimeoutClient);
    }
  }
  if (waiting_ > 0 && !pacer_.LeaseHolds(now)) ExpireWaiting(true);
  if (warm_up_ != nullptr && now >= warm_deadline_) WarmSettled();
}

void Loop::CheckFinal() {
  if (!finish_ || done_ || live_ > 0) return;
  if (has_clock_) {
    if (fit_.RunAt(last_) < *finish_) return;
    const std::optional<RunTime> due = pacer_.NextDue();
    if (due && *due < *finish_) return;
  }
  done_ = true;
  SubmitInterval(last_, true);
  boundary_ = Instant::max();
}

Instant Loop::NextDeadline() const {
  Instant deadline = std::min(boundary_, last_ + kIdleWake);
  if (live_head_ != nullptr) deadline = std::min(deadline, live_head_->deadline);
  if (warm_up_ != nullptr) deadline = std::min(deadline, warm_deadline_);
  if (!has_clock_ || done_) return deadline;
  if (const std::optional<RunTime> due = pacer_.NextDue()) {
    deadline = std::min(deadline, fit_.LocalAt(*due));
  }
  if (waiting_ > 0) deadline = std::min(deadline, pacer_.lease_end());
  if (finish_ && live_ == 0) deadline = std::min(deadline, fit_.LocalAt(*finish_));
  return deadline;
}

}  // namespace broadside::agent
