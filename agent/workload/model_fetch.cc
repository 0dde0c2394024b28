#include "agent/workload/model_fetch.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <utility>

#include "agent/client/http_reply.h"
#include "agent/workload/tensor_json.h"
#include "common/time/clock.h"

namespace broadside::agent {
namespace {

constexpr size_t kMaxConfigBytes = size_t{4} << 20;

class Socket {
 public:
  explicit Socket(int fd) : fd_(fd) {}
  ~Socket() {
    if (fd_ >= 0) close(fd_);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  int fd() const { return fd_; }

 private:
  int fd_;
};

std::string NameOf(const Endpoint& endpoint) {
  const bool v6 = endpoint.host.find(':') != std::string::npos;
  return (v6 ? "[" + endpoint.host + "]" : endpoint.host) + ":" + std::to_string(endpoint.port);
}

/// Waits until the socket is ready or the deadline has passed.
Status Await(int fd, short events, Instant deadline, const std::string& name) {
  for (;;) {
    const Nanos left = deadline - SystemClock().Now();
    if (left <= Nanos(0)) return DeadlineExceeded(name + " did not answer in time");
    pollfd entry{fd, events, 0};
    const auto ms = std::chrono::ceil<std::chrono::milliseconds>(left).count();
    const int ready = poll(&entry, 1, static_cast<int>(std::min<int64_t>(ms, 60'000)));
    if (ready > 0) return absl::OkStatus();
    if (ready < 0 && errno != EINTR) return ErrnoStatus(errno, "poll");
  }
}

/// A connection to the first address that takes one.
StatusOr<std::unique_ptr<Socket>> Dial(const Endpoint& endpoint, Resolver& resolver,
                                       Instant deadline) {
  const std::string name = NameOf(endpoint);
  BROADSIDE_ASSIGN_OR_RETURN(const std::vector<Address> addresses,
                             resolver.Resolve(endpoint.host, endpoint.port));
  Status last = Unavailable(name + " has no address");
  for (const Address& address : addresses) {
    auto socket = std::make_unique<Socket>(
        ::socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (socket->fd() < 0) return ErrnoStatus(errno, "socket");
    const auto* to = reinterpret_cast<const sockaddr*>(&address.storage);
    int failed = connect(socket->fd(), to, address.length) == 0 ? 0 : errno;
    if (failed == EINPROGRESS) {
      BROADSIDE_RETURN_IF_ERROR(Await(socket->fd(), POLLOUT, deadline, name));
      socklen_t size = sizeof(failed);
      getsockopt(socket->fd(), SOL_SOCKET, SO_ERROR, &failed, &size);
    }
    if (failed == 0) return socket;
    last = ErrnoStatus(failed, "cannot connect to " + name);
  }
  return last;
}

Status SendAll(int fd, std::string_view bytes, Instant deadline, const std::string& name) {
  while (!bytes.empty()) {
    const ssize_t sent = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent > 0) {
      bytes.remove_prefix(static_cast<size_t>(sent));
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      BROADSIDE_RETURN_IF_ERROR(Await(fd, POLLOUT, deadline, name));
    } else if (errno != EINTR) {
      return ErrnoStatus(errno, "cannot send to " + name);
    }
  }
  return absl::OkStatus();
}

/// Of an answer, for a message of one line.
std::string Beginning(const std::string& body) {
  std::string said = body.substr(0, 200);
  std::replace_if(
      said.begin(), said.end(), [](char c) { return static_cast<unsigned char>(c) < 32; }, ' ');
  return said;
}

StatusOr<std::string> RequestFor(const plan::Target& target, const std::string& path,
                                 const std::vector<plan::Header>& headers) {
  RequestText text;
  text.method = "GET";
  text.url = *target.endpoint;
  text.url.path = path;
  text.headers = headers;
  text.close = true;
  BROADSIDE_ASSIGN_OR_RETURN(const PreparedRequest request,
                             AssembleRequest(std::move(text), target.name));
  return request.bytes;
}

struct HttpAnswer {
  int status = 0;
  std::string body;
};
/// One GET on a fresh connection; the body has at most kMaxConfigBytes.
StatusOr<HttpAnswer> HttpGet(const Endpoint& endpoint, Resolver& resolver,
                             const std::string& request, Nanos timeout) {
  const Instant deadline = SystemClock().Now() + timeout;
  const std::string name = NameOf(endpoint);
  BROADSIDE_ASSIGN_OR_RETURN(const std::unique_ptr<Socket> socket,
                             Dial(endpoint, resolver, deadline));
  BROADSIDE_RETURN_IF_ERROR(SendAll(socket->fd(), request, deadline, name));
  ReplyParser parser(ReplyParser::Limits{.body_bytes = kMaxConfigBytes});
  parser.Start(false, kMaxConfigBytes);
  char bytes[16 << 10];
  for (;;) {
    BROADSIDE_RETURN_IF_ERROR(Await(socket->fd(), POLLIN, deadline, name));
    const ssize_t got = recv(socket->fd(), bytes, sizeof(bytes), 0);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) continue;
    if (got < 0) return ErrnoStatus(errno, "cannot read from " + name);
    if (got == 0) {
      if (parser.FinishAtClose()) break;
      return Unavailable(name + " closed the connection before it had answered");
    }
    size_t used = 0;
    const auto state = parser.Feed(bytes, static_cast<size_t>(got), used);
    if (state == ReplyParser::State::kError) {
      return Unavailable(name +
                         " does not answer as an HTTP server: " + std::string(parser.error()));
    }
    if (state == ReplyParser::State::kDone) break;
  }
  return HttpAnswer{parser.head().status, std::string(parser.body())};
}

}  // namespace

StatusOr<plan::ModelConfig> FetchModelConfig(const plan::Target& target, const SecretReader& secret,
                                             Resolver& resolver, Nanos timeout) {
  const Instant deadline = SystemClock().Now() + timeout;
  BROADSIDE_ASSIGN_OR_RETURN(const std::string path, KserveModelPath(target));
  BROADSIDE_ASSIGN_OR_RETURN(const Endpoint endpoint, DialledEndpoint(target, *target.endpoint));
  BROADSIDE_ASSIGN_OR_RETURN(const std::vector<plan::Header> headers,
                             ResolveHeaders(target.headers, secret, target.name));
  BROADSIDE_ASSIGN_OR_RETURN(const std::string config,
                             RequestFor(target, path + "/config", headers));
  BROADSIDE_ASSIGN_OR_RETURN(const HttpAnswer answer, HttpGet(endpoint, resolver, config, timeout));
  const auto read = [&endpoint](const std::string& asked, const StatusOr<plan::ModelConfig>& model,
                                const std::string& body) -> StatusOr<plan::ModelConfig> {
    if (model.ok()) return model;
    return Status(model.status().code(), "GET " + asked + " at " + NameOf(endpoint) + " answered " +
                                             MessageOf(model.status()) +
                                             ", found: " + Beginning(body));
  };
  if (answer.status == 200)
    return read(path + "/config", ReadTritonConfig(answer.body), answer.body);
  BROADSIDE_ASSIGN_OR_RETURN(const std::string metadata, RequestFor(target, path, headers));
  BROADSIDE_ASSIGN_OR_RETURN(const HttpAnswer second,
                             HttpGet(endpoint, resolver, metadata, deadline - SystemClock().Now()));
  if (second.status == 200) return read(path, ReadModelMetadata(second.body), second.body);
  const std::string said = Beginning(second.body);
  return FailedPrecondition("GET " + path + " at " + NameOf(endpoint) + " answered " +
                            std::to_string(second.status) + (said.empty() ? "" : ": " + said));
}

}  // namespace broadside::agent
