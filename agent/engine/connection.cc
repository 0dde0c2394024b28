#include "agent/engine/connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace broadside::agent {

int Connection::Open(const Address& address) {
  state = State::kConnecting;
  served = 0;
  fd = socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return errno;
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address.storage), address.length) == 0 ||
      errno == EINPROGRESS) {
    return 0;
  }
  const int error = errno;
  Close();
  return error;
}

int Connection::ConnectResult() const {
  int error = 0;
  socklen_t size = sizeof(error);
  return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
}

int Connection::Send(uint64_t& out) {
  const std::string& bytes = request->prepared->bytes;
  ssize_t n;
  if (stamp_size == 0) {
    n = send(fd, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
  } else {
    // head | stamp | rest, without what has left already
    const size_t at = request->prepared->stamp_at;
    const std::string_view parts[] = {std::string_view(bytes).substr(0, at),
                                      {stamp, stamp_size},
                                      std::string_view(bytes).substr(at)};
    iovec vectors[3];
    size_t used = 0;
    size_t skip = sent;
    for (std::string_view part : parts) {
      const size_t cut = std::min(skip, part.size());
      skip -= cut;
      part.remove_prefix(cut);
      if (part.empty()) continue;
      vectors[used++] = {const_cast<char*>(part.data()), part.size()};
    }
    msghdr message{};
    message.msg_iov = vectors;
    message.msg_iovlen = used;
    n = sendmsg(fd, &message, MSG_NOSIGNAL);
  }
  if (n < 0) return errno == EWOULDBLOCK || errno == EINTR ? EAGAIN : errno;
  sent += static_cast<size_t>(n);
  out += static_cast<uint64_t>(n);
  return AllSent() ? 0 : EAGAIN;
}

void Connection::Close() {
  if (fd >= 0) close(fd);
  fd = -1;
}

}  // namespace broadside::agent
