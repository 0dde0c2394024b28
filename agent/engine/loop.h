#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <variant>
#include <vector>

#include "agent/client/address.h"
#include "agent/client/kserve_reply.h"
#include "agent/engine/connection.h"
#include "agent/engine/encoder.h"
#include "agent/engine/mailbox.h"
#include "agent/engine/raw_log.h"
#include "agent/engine/recorder.h"
#include "agent/engine/wait.h"
#include "agent/pacer/pacer.h"
#include "common/time/clock.h"

namespace broadside::agent {

/// Addresses of every endpoint of every target.
using AddressBook = std::vector<std::vector<std::vector<Address>>>;

/// Counts the loops that are warm; the last one calls `done`.
struct WarmUp {
  std::atomic<size_t> loops_left;
  std::function<void(Status)> done;
};

struct WarmMessage {
  std::shared_ptr<const AddressBook> addresses;
  std::vector<uint32_t> connections;  ///< this loop's, by target
  Instant deadline{};
  std::shared_ptr<WarmUp> warm_up;
};
struct ClockMessage {
  ClockFit fit;
  IntervalIndex first_interval = 0;  ///< counts for a loop's first one only
};
struct GrantMessage {
  ShardEpoch epoch;
  IntervalIndex last = 0;
  Instant lease_end{};
};
struct StopMessage {
  RunTime end{};
};
struct FinishMessage {
  RunTime end{};
};
struct QuitMessage {};
using LoopMessage =
    std::variant<WarmMessage, std::shared_ptr<const rate::CompiledSegment>, rate::Deal,
                 ClockMessage, GrantMessage, StopMessage, FinishMessage, QuitMessage>;

/// One event loop: pacer, connections, recorder and thread of its own. Only Post may be called from
/// other threads. Each turn: messages, what has timed out, at most 64 due arrivals, then every
/// socket that is ready; so a backlog never keeps replies waiting, nor the other way round.
class Loop {
 public:
  struct Options {
    size_t index = 0, loops = 1;
    WaitMode wait = WaitMode::kBalanced;
    RunId run;
    Incarnation owner;
    std::shared_ptr<const plan::Plan> plan;
    std::vector<std::shared_ptr<const Workload>> workloads;
    uint32_t in_flight = 0;    ///< this loop's
    uint32_t connections = 0;  ///< this loop's, for each target
    Encoder* encoder = nullptr;
    HistogramPool* pool = nullptr;
    RawRing* ring = nullptr;  ///< or null
  };
  explicit Loop(Options options);
  ~Loop();
  void Start();
  void Post(LoopMessage message);

 private:
  /// A target's connections and the arrivals that wait for one.
  struct Pool {
    std::shared_ptr<const Workload> workload;
    std::vector<std::vector<Address>> addresses;  ///< by endpoint
    std::vector<size_t> next_address;             ///< by endpoint
    std::vector<std::vector<Connection*>> idle;   ///< by endpoint, last used last
    uint32_t idle_count = 0;
    uint32_t open = 0;
    bool reuse = true;
    bool pumping = false;
    Request* wait_head = nullptr;
    Request* wait_tail = nullptr;
  };

  // loop.cc: time and messages
  void Run();
  Instant Now() {
    last_ = clock_.Now();
    if (last_ >= boundary_) [[unlikely]]
      CloseIntervals();
    return last_;
  }
  void CloseIntervals();
  void SubmitInterval(Instant end, bool final);
  void HandleMail();
  void Handle(WarmMessage& message);
  void Handle(std::shared_ptr<const rate::CompiledSegment>& segment);
  void Handle(rate::Deal& deal);
  void Handle(ClockMessage& message);
  void Handle(GrantMessage& message);
  void Handle(StopMessage& message);
  void Handle(FinishMessage& message);
  void Handle(QuitMessage& message);
  void CheckTimes();
  void CheckFinal();
  Instant NextDeadline() const;
  void WarmSettled();

  // arrivals.cc: from due to ended
  bool FireDue();
  void TakeUp(const DueArrival& due);
  const PreparedRequest& Choose(const rate::Arrival& arrival, const Workload& workload) const;
  void Enqueue(Pool& pool, Request* request);
  void Unqueue(Pool& pool, Request* request);
  void Expire(Request* request, bool own_fault);
  void ExpireWaiting(bool own_fault);
  void Begin(Request* request, Instant at);
  void End(Request* request, breaker::Outcome outcome);
  void Release(Request* request);
  void Log(const rate::Arrival& arrival, const Times& times, int raw_outcome);

  // sockets.cc: connections and replies
  bool CanStart(const Pool& pool, uint32_t endpoint) const;
  void StartOn(uint32_t target, Request* request);
  void Pump(uint32_t target);
  Connection* OpenConnection(uint32_t target, uint32_t endpoint, Request* request);
  void CloseConnection(Connection* connection);
  void FailConnection(Connection* connection, breaker::Outcome outcome);
  void Recycle();
  void SendOn(Connection* connection);
  void HandleEvent(const epoll_event& event);
  void Established(Connection* connection);
  void Read(Connection* connection, uint32_t events);
  void PeerClosed(Connection* connection);
  void Complete(Connection* connection, bool whole, bool reusable);
  breaker::Outcome OutcomeOf(const Request& request, const ReplyParser& reply);

  Options options_;
  SystemClock clock_;
  Poller poller_;
  Mailbox<LoopMessage> mailbox_;
  Pacer pacer_;
  Recorder recorder_;
  KserveChecker checker_;
  std::vector<Pool> pools_;
  std::vector<std::shared_ptr<const rate::CompiledSegment>> segments_;
  std::vector<Request> requests_;
  std::vector<Request*> free_requests_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<Connection*> free_connections_;
  std::vector<Connection*> closed_;  ///< of this turn: their events may still be on hand
  Buffer received_;
  std::string stamp_prefix_;
  Nanos timeout_{};
  Nanos interval_{};
  bool skip_backlog_ = false;

  Request* live_head_ = nullptr;  ///< earliest deadline first
  Request* live_tail_ = nullptr;
  uint32_t live_ = 0;
  uint32_t waiting_ = 0;

  bool quit_ = false;
  bool has_clock_ = false;
  bool done_ = false;  ///< the final part has been submitted
  ClockFit fit_;
  IntervalIndex interval_index_ = 0;
  Instant boundary_ = Instant::max();
  Instant last_{};
  std::optional<RunTime> stop_, finish_;
  std::shared_ptr<WarmUp> warm_up_;
  Instant warm_deadline_{};
  uint32_t warming_ = 0;
  uint64_t busy_ns_ = 0;
  uint64_t stale_resets_ = 0;
  uint64_t unvalidated_ = 0;
  std::thread thread_;
};

}  // namespace broadside::agent
