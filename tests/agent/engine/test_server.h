#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace broadside::agent {

/// What the server does with a request.
struct Scripted {
  std::string bytes = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";  ///< sent as they are
  std::chrono::milliseconds delay{0};                                    ///< before them
  std::string more;                                                      ///< sent after `pause`
  std::chrono::milliseconds pause{0};
  bool close = false;  ///< FIN after the bytes
  bool reset = false;  ///< RST after the bytes
  bool hold = false;   ///< answer only when Release is called (or the server ends)
};

/// A scripted HTTP server on a loopback port chosen by the kernel: a thread for each connection,
/// reads requests with Content-Length, asks the script what to do with the n-th one.
class TestServer {
 public:
  using Script = std::function<Scripted(const std::string& request, int n)>;

  explicit TestServer(Script script) : script_(std::move(script)) {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    if (bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
        listen(listener_, 1024) != 0 ||
        getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
      std::abort();
    }
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] { Accept(); });
  }
  ~TestServer() {
    stopping_ = true;
    Release();
    shutdown(listener_, SHUT_RDWR);
    acceptor_.join();
    {
      const std::lock_guard lock(mutex_);
      for (const int fd : open_) shutdown(fd, SHUT_RDWR);
    }
    for (std::thread& thread : threads_) thread.join();
    close(listener_);
  }

  uint16_t port() const { return port_; }
  int requests() const { return requests_; }
  int connections() const { return connections_; }
  /// Every request's text, in the order in which they were read.
  std::vector<std::string> log() const {
    const std::lock_guard lock(mutex_);
    return log_;
  }
  /// Lets every held request go, also later ones.
  void Release() {
    const std::lock_guard lock(mutex_);
    released_ = true;
    changed_.notify_all();
  }

 private:
  void Accept() {
    while (!stopping_) {
      const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) return;
      const int on = 1;
      setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
      ++connections_;
      const std::lock_guard lock(mutex_);
      open_.push_back(fd);
      threads_.emplace_back([this, fd] {
        Serve(fd);
        const std::lock_guard inner(mutex_);
        open_.erase(std::find(open_.begin(), open_.end(), fd));
        close(fd);
      });
    }
  }

  /// One whole request, or "" at the end of the connection.
  static std::string ReadRequest(int fd, std::string& pending) {
    for (;;) {
      const size_t end = pending.find("\r\n\r\n");
      if (end != std::string::npos) {
        size_t body = 0;
        const size_t at = pending.find("Content-Length: ");
        if (at < end) body = std::stoul(pending.substr(at + 16));
        if (pending.size() >= end + 4 + body) {
          std::string request = pending.substr(0, end + 4 + body);
          pending.erase(0, end + 4 + body);
          return request;
        }
      }
      char bytes[4096];
      const ssize_t n = recv(fd, bytes, sizeof(bytes), 0);
      if (n <= 0) return "";
      pending.append(bytes, static_cast<size_t>(n));
    }
  }

  void Serve(int fd) {
    std::string pending;
    for (;;) {
      const std::string request = ReadRequest(fd, pending);
      if (request.empty()) return;
      const int n = requests_++;
      {
        const std::lock_guard lock(mutex_);
        log_.push_back(request);
      }
      const Scripted reply = script_(request, n);
      if (reply.hold) {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return released_; });
      }
      Wait(reply.delay);
      send(fd, reply.bytes.data(), reply.bytes.size(), MSG_NOSIGNAL);
      if (!reply.more.empty()) {
        Wait(reply.pause);
        send(fd, reply.more.data(), reply.more.size(), MSG_NOSIGNAL);
      }
      if (reply.reset) {
        const linger now{1, 0};
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
      }
      if (reply.reset || reply.close) return;
    }
  }

  void Wait(std::chrono::milliseconds time) {
    if (time.count() > 0) poll(nullptr, 0, static_cast<int>(time.count()));
  }

  Script script_;
  int listener_ = -1;
  uint16_t port_ = 0;
  std::atomic<bool> stopping_{false};
  std::atomic<int> requests_{0}, connections_{0};
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool released_ = false;             ///< guarded by mutex_
  std::vector<int> open_;             ///< guarded by mutex_
  std::vector<std::string> log_;      ///< guarded by mutex_
  std::vector<std::thread> threads_;  ///< by the acceptor, then the destructor
  std::thread acceptor_;
};

}  // namespace broadside::agent
