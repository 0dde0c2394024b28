#pragma once

#include <sys/epoll.h>

#include <atomic>
#include <span>

#include "agent/engine/engine.h"
#include "common/time/time.h"

namespace broadside::agent {

/// A loop's epoll and its way of waiting for an absolute instant. Owned by the loop's thread, but
/// Wake may be called from any.
class Poller {
 public:
  Poller();
  ~Poller();
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  /// In the loop's thread, once: timer slack of 1 ns and, for kBalanced, the guard: how long before
  /// a deadline to start polling so that the host's wake latency does not make it late.
  void Prepare(WaitMode mode);
  Nanos guard() const { return guard_; }

  /// Edge-triggered for reading and writing: one system call in a connection's life.
  bool Add(int fd, void* tag);
  /// Ready events; returns at once when there are any, else at `deadline` or soon after Wake.
  /// Events with a null tag are Wake's and are swallowed.
  std::span<epoll_event> WaitUntil(Instant now, Instant deadline);
  void Wake();

 private:
  int Poll();                ///< no waiting
  int Sleep(Nanos at_most);  ///< one sleep
  std::span<epoll_event> Taken(int n);

  static constexpr int kEvents = 256;
  int epoll_ = -1;
  int event_ = -1;
  WaitMode mode_ = WaitMode::kEco;
  Nanos guard_{};
  bool has_pwait2_ = true;
  std::atomic<bool> woken_{false};
  epoll_event events_[kEvents];
};

}  // namespace broadside::agent
