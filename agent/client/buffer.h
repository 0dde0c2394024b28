#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <string_view>

namespace broadside::agent {

/// Bytes that grow and are reused; the allocation always ends with kPadding bytes that may be read
/// but mean nothing, as simdjson wants them. Never shrinks, so that a warm one allocates nothing.
class Buffer {
 public:
  static constexpr size_t kPadding = 64;

  void Clear() { size_ = 0; }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  size_t capacity() const { return capacity_; }
  char* data() { return bytes_.get(); }
  const char* data() const { return bytes_.get(); }
  std::string_view view() const { return {bytes_.get(), size_}; }

  void Append(const char* data, size_t n) {
    if (n == 0) return;
    Reserve(size_ + n);
    std::memcpy(bytes_.get() + size_, data, n);
    size_ += n;
  }
  void Reserve(size_t wanted) {
    if (wanted <= capacity_) return;
    const size_t capacity = std::max({wanted, capacity_ * 2, size_t{1024}});
    auto bytes = std::make_unique<char[]>(capacity + kPadding);
    if (size_ > 0) std::memcpy(bytes.get(), bytes_.get(), size_);
    bytes_ = std::move(bytes);
    capacity_ = capacity;
  }

 private:
  std::unique_ptr<char[]> bytes_;
  size_t size_ = 0;
  size_t capacity_ = 0;
};

}  // namespace broadside::agent
