#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <queue>
#include <unordered_map>
#include <vector>

#include "common/time/clock.h"
#include "tests/target/arrival_log.h"
#include "tests/target/http.h"
#include "tests/target/world.h"

namespace broadside::target {

/// One event loop of the server: its own listening socket, connections and timers. Run on one
/// thread; Stop and RequestFlush may be called from any, also from a signal handler.
class Loop {
 public:
  /// Takes `listen_fd`, which must be listening and non-blocking.
  Loop(World& world, int listen_fd, int log_fd, uint64_t seed);
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  void Run();
  void Stop();
  /// Other loops whose logs a /control/flush must write too.
  void SetPeers(std::vector<Loop*> peers) { peers_ = std::move(peers); }
  void RequestFlush();
  /// Flushes that were asked for and are not done.
  bool FlushPending() const { return flush_wanted_.load(); }

 private:
  struct Connection {
    int fd = -1;
    uint64_t id = 0;
    RequestReader reader;
    Reply reply;           // under way
    size_t reply_pos = 0;  // bytes already handed to `out`
    bool busy = false;     // between a request's arrival and its reply's last byte
    bool readable = true;
    bool peer_closed = false;
    bool keep_alive = true;
    std::string out;
    size_t out_pos = 0;
    Nanos stall_seen{0};
  };
  struct Timer {
    Instant at;
    uint64_t connection;
    bool operator>(const Timer& other) const { return at > other.at; }
  };

  void Accept();
  void OnEvents(Connection& c, uint32_t events);
  void Pump(Connection& c);
  bool ReadSome(Connection& c);
  void Handle(Connection& c);
  Reply HandleControl(const Request& request, Instant now);
  Reply Route(const Request& request, Instant now, const Model*& model, std::string& id);
  Reply RouteModel(const Request& request, std::string_view rest, const Model*& model,
                   std::string& id);
  void ReplyAt(Connection& c, Instant at, Instant now);
  void FireTimers(Instant now);
  void Continue(Connection& c, Instant now);
  void Feed(Connection& c, Instant now);
  bool Flush(Connection& c);
  void FinishReply(Connection& c);
  void Close(Connection& c, bool reset);
  void FlushAll();

  World& world_;
  SystemClock clock_;
  Random random_;
  ArrivalLog log_;
  int epoll_fd_ = -1;
  int listen_fd_ = -1;
  int wake_fd_ = -1;
  std::atomic<bool> stop_{false};
  std::atomic<bool> flush_wanted_{false};
  std::vector<Loop*> peers_;
  std::unordered_map<uint64_t, std::unique_ptr<Connection>> connections_;
  std::vector<uint64_t> closed_;  // removed at the end of a turn
  std::priority_queue<Timer, std::vector<Timer>, std::greater<>> timers_;
};

}  // namespace broadside::target
