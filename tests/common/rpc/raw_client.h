#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstdint>
#include <string>
#include <utility>

namespace broadside::rpc {

/// A blocking loopback connection that sends exactly the bytes it is told to. Reading gives up
/// after 20 s, so that a silent server fails a test instead of hanging it.
class RawClient {
 public:
  explicit RawClient(uint16_t port, int receive_buffer = 0)
      : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    if (receive_buffer > 0) {
      setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    }
    const timeval patience = {.tv_sec = 20, .tv_usec = 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  ~RawClient() {
    if (fd_ >= 0) close(fd_);
  }
  RawClient(RawClient&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)),
        connected_(other.connected_),
        received_(std::move(other.received_)) {}
  RawClient(const RawClient&) = delete;

  bool connected() const { return connected_; }
  bool Send(const std::string& bytes) {
    return send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
           static_cast<ssize_t>(bytes.size());
  }
  void FinishSending() { shutdown(fd_, SHUT_WR); }
  /// Until the server closes; what came before an error or the time's end otherwise.
  std::string ReadAll() {
    while (ReadMore()) {
    }
    return std::exchange(received_, "");
  }
  /// One answer, by its Content-Length.
  std::string ReadAnswer() {
    size_t head = 0;
    while ((head = received_.find("\r\n\r\n")) == std::string::npos) {
      if (!ReadMore()) return std::exchange(received_, "");
    }
    const size_t at = received_.find("Content-Length: ");
    const size_t length = at < head ? std::stoul(received_.substr(at + 16)) : 0;
    while (received_.size() < head + 4 + length) {
      if (!ReadMore()) return std::exchange(received_, "");
    }
    std::string answer = received_.substr(0, head + 4 + length);
    received_.erase(0, answer.size());
    return answer;
  }
  /// True when the server has closed (or reset) the connection and nothing came before.
  bool ReadsEnd() {
    char byte = 0;
    const ssize_t size = recv(fd_, &byte, 1, 0);
    return size == 0 || (size < 0 && errno == ECONNRESET);
  }

 private:
  bool ReadMore() {
    char buffer[16'384];
    const ssize_t size = recv(fd_, buffer, sizeof buffer, 0);
    if (size > 0) received_.append(buffer, static_cast<size_t>(size));
    return size > 0;
  }

  int fd_;
  bool connected_ = false;
  std::string received_;
};

}  // namespace broadside::rpc
