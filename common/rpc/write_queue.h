#pragma once

#include <cstddef>
#include <deque>
#include <utility>

namespace broadside::rpc {

/// Messages that wait until gRPC has written the ones before: it takes one at a time and needs each
/// until it is written. Bounded by bytes, so that a peer that has stopped reading is noticed.
/// `Message` is a protobuf. Not thread-safe: it stands behind its stream's mutex.
template <typename Message>
class WriteQueue {
 public:
  explicit WriteQueue(size_t bytes_max) : bytes_max_(bytes_max) {}

  /// False when the message does not fit any more; it is not taken then.
  bool Push(Message message) {
    const size_t bytes = message.ByteSizeLong();
    if (bytes_ + bytes > bytes_max_) return false;
    bytes_ += bytes;
    waiting_.push_back({std::move(message), bytes});
    return true;
  }

  /// What to write now: valid until Written. Null while a write is under way or nothing waits.
  const Message* StartNext() {
    if (writing_ || waiting_.empty()) return nullptr;
    writing_ = true;
    return &waiting_.front().message;
  }

  /// The write that StartNext began has ended, well or not.
  void Written() {
    writing_ = false;
    bytes_ -= waiting_.front().bytes;
    waiting_.pop_front();
  }

 private:
  struct Item {
    Message message;
    size_t bytes = 0;
  };
  const size_t bytes_max_;
  std::deque<Item> waiting_;
  size_t bytes_ = 0;
  bool writing_ = false;
};

}  // namespace broadside::rpc
