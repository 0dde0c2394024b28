#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <utility>
#include <vector>

namespace broadside::agent {

/// Messages from other threads to one loop. Post from any thread; Take by the loop, which pays one
/// relaxed load while there is nothing.
template <class Message>
class Mailbox {
 public:
  void Post(Message message) {
    const std::lock_guard lock(mutex_);
    messages_.push_back(std::move(message));
    filled_.store(true, std::memory_order_release);
  }
  bool filled() const { return filled_.load(std::memory_order_acquire); }
  std::vector<Message> Take() {
    const std::lock_guard lock(mutex_);
    filled_.store(false, std::memory_order_relaxed);
    return std::exchange(messages_, {});
  }

 private:
  std::mutex mutex_;
  std::vector<Message> messages_;
  std::atomic<bool> filled_{false};
};

}  // namespace broadside::agent
