#include "tests/target/loop.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <ctime>

#include "common/base/check.h"
#include "tests/target/kserve.h"

namespace broadside::target {
namespace {

constexpr uint64_t kListenKey = 0;
constexpr uint64_t kWakeKey = UINT64_MAX;

void Watch(int epoll_fd, int fd, uint64_t key, uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = key;
  BROADSIDE_CHECK(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0);
}

}  // namespace

Loop::Loop(World& world, int listen_fd, int log_fd, uint64_t seed)
    : world_(world), random_(seed), log_(log_fd), listen_fd_(listen_fd) {
  epoll_fd_ = epoll_create1(EPOLL_CLOEXEC);
  wake_fd_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  BROADSIDE_CHECK(epoll_fd_ >= 0 && wake_fd_ >= 0);
  Watch(epoll_fd_, listen_fd_, kListenKey, EPOLLIN);
  Watch(epoll_fd_, wake_fd_, kWakeKey, EPOLLIN);
}

Loop::~Loop() {
  for (auto& [id, c] : connections_) close(c->fd);
  close(listen_fd_);
  close(wake_fd_);
  close(epoll_fd_);
}

void Loop::Stop() {
  stop_.store(true);
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(wake_fd_, &one, sizeof(one));
}

void Loop::RequestFlush() {
  flush_wanted_.store(true);
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(wake_fd_, &one, sizeof(one));
}

void Loop::Run() {
  prctl(PR_SET_TIMERSLACK, 1UL);
  std::array<epoll_event, 256> events;
  while (!stop_.load()) {
    Instant now = clock_.Now();
    FireTimers(now);
    std::optional<Instant> next = world_.RunPlannedStalls(now);
    if (!timers_.empty() && (!next || timers_.top().at < *next)) next = timers_.top().at;
    timespec wait{1, 0};
    if (next) {
      const Nanos left = std::clamp(*next - clock_.Now(), Nanos(0), Nanos(1'000'000'000));
      wait = {left.count() / 1'000'000'000, left.count() % 1'000'000'000};
    }
    const int count =
        epoll_pwait2(epoll_fd_, events.data(), static_cast<int>(events.size()), &wait, nullptr);
    for (int i = 0; i < count; ++i) {
      const uint64_t key = events[i].data.u64;
      if (key == kListenKey) {
        Accept();
      } else if (key == kWakeKey) {
        uint64_t value;
        [[maybe_unused]] const ssize_t n = read(wake_fd_, &value, sizeof(value));
      } else if (auto found = connections_.find(key); found != connections_.end()) {
        OnEvents(*found->second, events[i].events);
      }
    }
    if (flush_wanted_.exchange(false)) log_.Flush();
    for (const uint64_t id : closed_) connections_.erase(id);
    closed_.clear();
  }
  log_.Flush();
}

void Loop::Accept() {
  while (true) {
    const int fd = accept4(listen_fd_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;  // EAGAIN, or out of descriptors: the client waits in the backlog
    const int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    auto connection = std::make_unique<Connection>();
    connection->fd = fd;
    connection->id = world_.NextConnection();
    world_.CountConnection();
    Watch(epoll_fd_, fd, connection->id, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
    const uint64_t id = connection->id;
    connections_.emplace(id, std::move(connection));
  }
}

void Loop::OnEvents(Connection& c, uint32_t events) {
  if (c.fd < 0) return;
  if (events & (EPOLLERR | EPOLLHUP)) return Close(c, false);
  if (events & (EPOLLIN | EPOLLRDHUP)) c.readable = true;
  if ((events & EPOLLOUT) && c.out_pos < c.out.size() && Flush(c)) FinishReply(c);
  if (c.fd >= 0) Pump(c);
}

// Reads and handles requests until one is under way or nothing more is there.
void Loop::Pump(Connection& c) {
  while (c.fd >= 0 && !c.busy) {
    const RequestReader::State state = c.reader.Next();
    if (state == RequestReader::State::kReady) {
      Handle(c);
      continue;
    }
    if (state == RequestReader::State::kBad) {
      c.busy = true;
      c.keep_alive = false;
      c.reply = ErrorReply(400, c.reader.error(), false);
      c.reply.ending = Reply::Ending::kClose;
      Feed(c, clock_.Now());
      return;
    }
    if (state == RequestReader::State::kContinue) {
      c.out = "HTTP/1.1 100 Continue\r\n\r\n";
      c.out_pos = 0;
      Flush(c);
    }
    if (c.fd < 0 || !c.readable || !ReadSome(c)) return;
  }
}

// False when there is nothing to read now.
bool Loop::ReadSome(Connection& c) {
  std::array<char, 64 * 1024> bytes;
  const ssize_t n = recv(c.fd, bytes.data(), bytes.size(), 0);
  if (n > 0) {
    c.reader.Append(bytes.data(), static_cast<size_t>(n));
    return true;
  }
  if (n < 0 && errno == EINTR) return true;
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
    c.readable = false;
    return false;
  }
  Close(c, false);
  return false;
}

Reply Loop::HandleControl(const Request& request, Instant now) {
  if (request.path == "/control/stats") {
    return {200, WireReply(200, "application/json", world_.StatsJson(now))};
  }
  if (request.path == "/control/flush") {
    FlushAll();
    return {200, WireReply(200, "text/plain", "flushed\n")};
  }
  if (request.path == "/control/stall" && request.method == "POST") {
    const std::string_view text = request.Query("ms");
    uint32_t ms = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), ms);
    if (error != std::errc() || end != text.data() + text.size() || ms == 0 || ms > 60'000) {
      return ErrorReply(400, "write /control/stall?ms=N with N from 1 to 60000", true);
    }
    world_.Stall(now, std::chrono::milliseconds(ms));
    return {200, WireReply(200, "text/plain", "stalled\n")};
  }
  return ErrorReply(404, "Not Found", false);
}

void Loop::FlushAll() {
  log_.Flush();
  for (Loop* peer : peers_) {
    if (peer != this) peer->RequestFlush();
  }
  // Other loops turn within microseconds; the wait is bounded so that a stuck one cannot hold us.
  const Instant until = clock_.Now() + std::chrono::seconds(1);
  for (Loop* peer : peers_) {
    while (peer != this && peer->FlushPending() && clock_.Now() < until) usleep(200);
  }
}

// "/v2/models/NAME[/versions/V][/infer|/ready|/config]": `rest` starts at NAME.
Reply Loop::RouteModel(const Request& request, std::string_view rest, const Model*& model,
                       std::string& id) {
  const size_t name_end = std::min(rest.find('/'), rest.size());
  const std::string_view name = rest.substr(0, name_end);
  std::string_view action = rest.substr(name_end);
  std::string version;
  if (action.starts_with("/versions/")) {
    action.remove_prefix(10);
    const size_t end = std::min(action.find('/'), action.size());
    version = action.substr(0, end);
    action.remove_prefix(end);
    if (version.empty() || version.find_first_not_of("0123456789") != std::string::npos) {
      return ErrorReply(404, "Not Found", false);
    }
  }
  const Model* found = world_.Find(name);
  const bool known_version = version.empty() || version == "1";
  if (action == "/infer" && request.method != "POST") {
    return ErrorReply(405, "Method Not Allowed", false);
  }
  if (action == "/ready") {
    if (found == nullptr || !known_version)
      return ErrorReply(400, "Model version not ready", false);
    return {200, WireReply(200, "text/plain", "")};
  }
  if (found != nullptr && !known_version) {
    return ErrorReply(404,
                      "Request for unknown model: '" + std::string(name) + "' version " + version +
                          " is not found",
                      action != "/infer");
  }
  if (found == nullptr) return UnknownModelReply(name, action != "/infer");
  if (action.empty()) return MetadataReply(*found);
  if (action == "/config") return ConfigReply(*found);
  if (action != "/infer") return ErrorReply(404, "Not Found", false);
  model = found;
  Reply reply = Infer(*found, request, id);
  if (reply.status != 200) model = nullptr;  // refused before it reaches a worker
  return reply;
}

// `model` is set when the reply must wait for one of the model's workers.
Reply Loop::Route(const Request& request, Instant now, const Model*& model, std::string& id) {
  constexpr std::string_view kModels = "/v2/models/";
  const std::string_view path = request.path;
  if (path.starts_with(kModels)) {
    return RouteModel(request, path.substr(kModels.size()), model, id);
  }
  if (path == "/v2/health/live" || path == "/v2/health/ready") {
    return {200, WireReply(200, "text/plain", "")};
  }
  if (path == "/v2") return ServerMetadataReply();
  if (path.starts_with("/v2/")) return ErrorReply(404, "Not Found", false);
  if (path.starts_with("/control/")) return HandleControl(request, now);
  model = &world_.config().plain;
  return {200, WireReply(200, "application/json", "{\"ok\":true}")};
}

namespace {

// Which requests are load: they are logged and counted.
bool IsLoad(const Request& request) {
  if (request.path.starts_with("/v2/models/")) return request.path.ends_with("/infer");
  return !request.path.starts_with("/v2") && !request.path.starts_with("/control/");
}

std::string_view ModelName(const Request& request) {
  constexpr std::string_view kModels = "/v2/models/";
  if (!request.path.starts_with(kModels)) return "-";
  const std::string_view rest = request.path.substr(kModels.size());
  const std::string_view name = rest.substr(0, rest.find('/'));
  return name.empty() ? std::string_view("-") : name;
}

}  // namespace

void Loop::Handle(Connection& c) {
  const Request& request = c.reader.request();
  const Instant now = clock_.Now();
  c.busy = true;
  c.keep_alive = request.keep_alive;
  const bool load = IsLoad(request);
  if (load) world_.NoteArrival(now);

  const Model* model = nullptr;
  std::string id;
  c.reply = Route(request, now, model, id);
  Instant at = load ? std::max(now, world_.StalledUntil()) : now;
  Fault fault = Fault::kNone;
  if (model != nullptr) {
    const std::string_view asked = request.Header("broadside-fault");
    bool known = false;
    fault = asked.empty() ? model->faults.Draw(random_) : FaultFromName(asked, known);
    if (!AnswersWithoutModel(fault)) {
      const Admission admission = model->station->Admit(now, model->latency.Draw(random_));
      at = std::max(at, admission.done);
      if (admission.kind == Admission::Kind::kQueueFull) fault = Fault::kQueueFull;
      if (admission.kind == Admission::Kind::kQueueTimeout) fault = Fault::kQueueTimeout;
    }
    c.reply = Spoil(fault, std::move(c.reply), model->name, id);
  }
  if (load) {
    log_.Add(now, c.id, request.Header("broadside-arrival"), ModelName(request), c.reply.status);
    world_.Count(c.reply.status);
  }
  c.reader.Consume();
  ReplyAt(c, at, now);
}

void Loop::ReplyAt(Connection& c, Instant at, Instant now) {
  c.reply_pos = 0;
  c.stall_seen = world_.StallTotal();
  if (at <= now) {
    Feed(c, now);
  } else {
    timers_.push({at, c.id});
  }
}

void Loop::FireTimers(Instant now) {
  while (!timers_.empty() && timers_.top().at <= now) {
    const uint64_t id = timers_.top().connection;
    timers_.pop();
    if (auto found = connections_.find(id); found != connections_.end() && found->second->fd >= 0) {
      Continue(*found->second, now);
    }
  }
}

// A timer of `c` fired: send (more of) its reply, unless a stall has begun since.
void Loop::Continue(Connection& c, Instant now) {
  const Nanos total = world_.StallTotal();
  if (total > c.stall_seen) {
    timers_.push({now + (total - c.stall_seen), c.id});
    c.stall_seen = total;
    return;
  }
  Feed(c, now);
  if (c.fd >= 0 && !c.busy) Pump(c);
}

// Hands the reply, or its next piece, to the socket.
void Loop::Feed(Connection& c, Instant now) {
  const Reply& reply = c.reply;
  const size_t left = reply.bytes.size() - c.reply_pos;
  const size_t piece = reply.trickle_bytes == 0 ? left : std::min(left, reply.trickle_bytes);
  if (c.out_pos == c.out.size()) {
    c.out.clear();
    c.out_pos = 0;
  }
  c.out.append(reply.bytes, c.reply_pos, piece);
  c.reply_pos += piece;
  if (c.reply_pos < reply.bytes.size()) {
    timers_.push({now + Nanos(reply.trickle_gap_ns), c.id});
  }
  if (Flush(c)) FinishReply(c);
}

// True when all that is in `out` has left; false when the socket is full or gone.
bool Loop::Flush(Connection& c) {
  while (c.out_pos < c.out.size()) {
    const ssize_t n = send(c.fd, c.out.data() + c.out_pos, c.out.size() - c.out_pos, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return false;
    if (n < 0) {
      Close(c, false);
      return false;
    }
    c.out_pos += static_cast<size_t>(n);
  }
  return true;
}

void Loop::FinishReply(Connection& c) {
  if (!c.busy || c.reply_pos < c.reply.bytes.size()) return;
  world_.CountReply();
  switch (c.reply.ending) {
    case Reply::Ending::kHang:
      return;  // busy for ever, until the client leaves
    case Reply::Ending::kReset:
      return Close(c, true);
    case Reply::Ending::kClose:
      return Close(c, false);
    case Reply::Ending::kKeep:
      break;
  }
  c.busy = false;
  if (!c.keep_alive) Close(c, false);
}

void Loop::Close(Connection& c, bool reset) {
  if (c.fd < 0) return;
  if (reset) {
    const linger hard{1, 0};
    setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
  }
  close(c.fd);
  c.fd = -1;
  closed_.push_back(c.id);
}

}  // namespace broadside::target
