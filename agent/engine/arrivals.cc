#include <algorithm>
#include <array>

#include "agent/engine/loop.h"

namespace broadside::agent {
namespace {

/// Arrivals between two looks at the lease (semantics §4) and at the sockets.
constexpr size_t kBatch = 64;

}  // namespace

bool Loop::FireDue() {
  if (!has_clock_ || done_) return false;
  std::array<DueArrival, kBatch> due;
  const size_t n = pacer_.Take(fit_.RunAt(last_), last_, due);
  for (size_t i = 0; i < n; ++i) TakeUp(due[i]);
  return n == kBatch;
}

const PreparedRequest& Loop::Choose(const rate::Arrival& arrival, const Workload& workload) const {
  const size_t n = workload.requests.size();
  if (n == 1) return workload.requests[0];
  const rate::CompiledSegment& segment = *segments_[arrival.segment.value()];
  // Round robin by index while the target has the segment to itself; with several targets the index
  // would alias with the mix, so the even but shuffled choice is taken.
  if (workload.round_robin && segment.segment().mix.size() <= 1) {
    return workload.requests[arrival.index % n];
  }
  return workload.requests[segment.PayloadOf(arrival.index, n)];
}

void Loop::TakeUp(const DueArrival& due) {
  const rate::Arrival& arrival = due.arrival;
  Times times;
  times.due = fit_.LocalAt(arrival.due);
  times.ready = Now();
  Row& row = recorder_.RowOf(arrival.phase, arrival.target);
  ++row.counters.scheduled;
  if (!due.permitted || times.ready >= times.due + timeout_) {
    ++row.counters.expired;
    // After a stop nothing is sent any more, and that is nobody's fault.
    if (!stop_) ++row.counters.own_fault;
    return Log(arrival, times, RawRecord::kExpired);
  }
  const uint32_t target = arrival.target.value();
  Pool& pool = pools_[target];
  const PreparedRequest& prepared = Choose(arrival, *pool.workload);
  const bool at_once = pool.wait_head == nullptr && CanStart(pool, prepared.endpoint);
  if (free_requests_.empty() || (skip_backlog_ && !at_once)) {
    ++row.counters.dropped;
    ++row.counters.limited;
    return Log(arrival, times, RawRecord::kDropped);
  }
  Request* request = free_requests_.back();
  free_requests_.pop_back();
  *request = Request{};
  request->arrival = arrival;
  request->times = times;
  request->row = &row;
  request->prepared = &prepared;
  // A clock that is slewed may bring equal due times out of order by nanoseconds.
  request->deadline = times.due + timeout_;
  if (live_tail_ != nullptr) {
    request->deadline = std::max(request->deadline, live_tail_->deadline);
    live_tail_->later = request;
    request->earlier = live_tail_;
  } else {
    live_head_ = request;
  }
  live_tail_ = request;
  ++live_;
  if (at_once) {
    Begin(request, times.ready);
    StartOn(target, request);
  } else {
    ++row.counters.limited;
    Enqueue(pool, request);
  }
}

void Loop::Enqueue(Pool& pool, Request* request) {
  request->wait_before = pool.wait_tail;
  (pool.wait_tail != nullptr ? pool.wait_tail->wait_after : pool.wait_head) = request;
  pool.wait_tail = request;
  ++request->row->counters.waiting;
  ++waiting_;
}

void Loop::Unqueue(Pool& pool, Request* request) {
  (request->wait_before != nullptr ? request->wait_before->wait_after : pool.wait_head) =
      request->wait_after;
  (request->wait_after != nullptr ? request->wait_after->wait_before : pool.wait_tail) =
      request->wait_before;
  request->wait_before = request->wait_after = nullptr;
  --request->row->counters.waiting;
  --waiting_;
}

void Loop::Expire(Request* request, bool own_fault) {
  Unqueue(pools_[request->arrival.target.value()], request);
  ++request->row->counters.expired;
  if (own_fault) ++request->row->counters.own_fault;
  Log(request->arrival, request->times, RawRecord::kExpired);
  Release(request);
}

void Loop::ExpireWaiting(bool own_fault) {
  for (Pool& pool : pools_) {
    while (pool.wait_head != nullptr) Expire(pool.wait_head, own_fault);
  }
}

void Loop::Begin(Request* request, Instant at) {
  request->times.sent = at;
  recorder_.Sent(*request->row, request->arrival, request->times);
}

void Loop::End(Request* request, breaker::Outcome outcome) {
  request->times.completed = last_;
  stats::Counters& counters = request->row->counters;
  if (outcome == breaker::Outcome::kOk) counters.inferences += request->prepared->inferences;
  recorder_.Ended(*request->row, outcome, request->arrival.due, request->times);
  Log(request->arrival, request->times, static_cast<int>(outcome));
  Release(request);
}

void Loop::Release(Request* request) {
  (request->earlier != nullptr ? request->earlier->later : live_head_) = request->later;
  (request->later != nullptr ? request->later->earlier : live_tail_) = request->earlier;
  --live_;
  free_requests_.push_back(request);
}

void Loop::Log(const rate::Arrival& arrival, const Times& times, int raw_outcome) {
  if (options_.ring == nullptr) return;
  const auto after = [&](Instant at) {
    return at == Instant{} ? RawRecord::kNever : (at - times.due).count();
  };
  options_.ring->Push({arrival, after(times.ready), after(times.sent), after(times.first_byte),
                       after(times.completed), raw_outcome});
}

}  // namespace broadside::agent
