#include "agent/engine/wait.h"

#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>

#include "common/base/check.h"
#include "common/time/clock.h"

namespace broadside::agent {
namespace {

constexpr Nanos kCalibrationSleep = std::chrono::microseconds(200);
constexpr Nanos kGuardLeast = std::chrono::microseconds(30);
constexpr Nanos kGuardMost = std::chrono::microseconds(300);

}  // namespace

Poller::Poller()
    : epoll_(epoll_create1(EPOLL_CLOEXEC)), event_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  BROADSIDE_CHECK(epoll_ >= 0 && event_ >= 0);
  BROADSIDE_CHECK(Add(event_, nullptr));
}

Poller::~Poller() {
  close(event_);
  close(epoll_);
}

bool Poller::Add(int fd, void* tag) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  event.data.ptr = tag;
  return epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) == 0;
}

void Poller::Prepare(WaitMode mode) {
  mode_ = mode;
  prctl(PR_SET_TIMERSLACK, 1);
  if (mode != WaitMode::kBalanced) return;
  const SystemClock clock;
  std::array<Nanos, 15> late;
  for (Nanos& sample : late) {
    const Instant before = clock.Now();
    Sleep(kCalibrationSleep);
    sample = std::max(Nanos(0), clock.Now() - before - kCalibrationSleep);
  }
  std::sort(late.begin(), late.end());
  // Well above the usual wake latency, but not led by a neighbour's one long hiccup.
  guard_ = std::clamp(late[late.size() * 3 / 4] * 3 / 2 + std::chrono::microseconds(20),
                      kGuardLeast, kGuardMost);
}

int Poller::Poll() { return epoll_wait(epoll_, events_, kEvents, 0); }

int Poller::Sleep(Nanos at_most) {
  at_most = std::clamp(at_most, Nanos(0), Nanos(std::chrono::seconds(1)));
  if (has_pwait2_) {
    const timespec timeout{at_most.count() / 1'000'000'000, at_most.count() % 1'000'000'000};
    const int n = epoll_pwait2(epoll_, events_, kEvents, &timeout, nullptr);
    if (n >= 0 || errno != ENOSYS) return n;
    has_pwait2_ = false;  // kernels before 5.11: whole milliseconds, the rest is polled
  }
  return epoll_wait(epoll_, events_, kEvents, static_cast<int>(at_most.count() / 1'000'000));
}

std::span<epoll_event> Poller::Taken(int n) {
  // Wake's event is edge-triggered: its count never needs to be read.
  int kept = 0;
  for (int i = 0; i < n; ++i) {
    if (events_[i].data.ptr != nullptr) events_[kept++] = events_[i];
  }
  return {events_, static_cast<size_t>(kept)};
}

std::span<epoll_event> Poller::WaitUntil(Instant now, Instant deadline) {
  const SystemClock clock;
  for (;;) {
    const Nanos left = deadline - now;
    const bool sleep = mode_ != WaitMode::kSpin && left > guard_;
    const int n = sleep ? Sleep(left - guard_) : Poll();
    if (n > 0) return Taken(n);
    if (woken_.exchange(false, std::memory_order_relaxed)) return {};
    if (left <= Nanos(0)) return {};
    now = clock.Now();
    if (now >= deadline) return {};
  }
}

void Poller::Wake() {
  woken_.store(true, std::memory_order_relaxed);
  const uint64_t one = 1;
  // Fails only when the counter is full, and then the loop has an event to find anyway.
  [[maybe_unused]] const ssize_t written = write(event_, &one, sizeof(one));
}

}  // namespace broadside::agent
