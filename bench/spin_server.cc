// The reference server for client benchmarks: one thread that never sleeps, so that a client never
// pays for waking it. Answers every request with the same small JSON body. Prints its port.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

namespace {

int Listen() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), size) != 0 || listen(fd, 4096) != 0 ||
      getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    std::perror("listen");
    std::exit(1);
  }
  std::printf("%d\n", ntohs(address.sin_port));
  std::fflush(stdout);
  return fd;
}

void Add(int epoll, int fd) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = fd;
  epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

/// Requests are counted by their blank lines; a request never spans two reads in these benchmarks.
int CountRequests(std::string_view bytes) {
  int n = 0;
  for (size_t at = 0; (at = bytes.find("\r\n\r\n", at)) != std::string_view::npos; at += 4) ++n;
  return n;
}

}  // namespace

int main() {
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  const std::string body(100, 'x');
  const std::string reply =
      "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n" + body;
  const int listener = Listen();
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  Add(epoll, listener);
  static char bytes[64 << 10];
  epoll_event events[256];
  for (;;) {
    const int n = epoll_wait(epoll, events, 256, 0);
    for (int i = 0; i < n; ++i) {
      const int fd = events[i].data.fd;
      if (fd == listener) {
        const int client = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
        const int on = 1;
        setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        if (client >= 0) Add(epoll, client);
        continue;
      }
      const ssize_t got = recv(fd, bytes, sizeof(bytes), 0);
      if (got == 0 || (got < 0 && errno != EAGAIN)) {
        close(fd);
        continue;
      }
      for (int k = CountRequests({bytes, static_cast<size_t>(got > 0 ? got : 0)}); k > 0; --k) {
        if (send(fd, reply.data(), reply.size(), MSG_NOSIGNAL) < 0) break;
      }
    }
  }
}
