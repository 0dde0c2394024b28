#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "agent/engine/loop.h"
#include "common/base/check.h"

namespace broadside::agent {

using breaker::Outcome;

bool Loop::CanStart(const Pool& pool, uint32_t endpoint) const {
  return !pool.idle[endpoint].empty() || pool.open < options_.connections || pool.idle_count > 0;
}

/// `request` has begun; CanStart holds.
void Loop::StartOn(uint32_t target, Request* request) {
  Pool& pool = pools_[target];
  const uint32_t endpoint = request->prepared->endpoint;
  if (!pool.idle[endpoint].empty()) {
    Connection* connection = pool.idle[endpoint].back();
    pool.idle[endpoint].pop_back();
    --pool.idle_count;
    connection->state = Connection::State::kBusy;
    connection->request = request;
    request->connection = connection;
    return SendOn(connection);
  }
  if (pool.open >= options_.connections) {
    // The limit is over all endpoints: one that idles at another makes room.
    const auto other = std::find_if(pool.idle.begin(), pool.idle.end(),
                                    [](const auto& idle) { return !idle.empty(); });
    BROADSIDE_CHECK(other != pool.idle.end());
    CloseConnection(other->front());
  }
  OpenConnection(target, endpoint, request);
}

void Loop::Pump(uint32_t target) {
  Pool& pool = pools_[target];
  if (pool.pumping) return;  // the caller above goes on
  pool.pumping = true;
  while (pool.wait_head != nullptr) {
    Request* request = pool.wait_head;
    if (!CanStart(pool, request->prepared->endpoint) || !pacer_.LeaseHolds(last_)) break;
    if (request->deadline <= last_) {
      Expire(request, false);
      continue;
    }
    Unqueue(pool, request);
    Begin(request, Now());
    StartOn(target, request);
  }
  pool.pumping = false;
}

/// Opens a connection for `request`, or a spare one. A failure ends the request here.
Connection* Loop::OpenConnection(uint32_t target, uint32_t endpoint, Request* request) {
  Pool& pool = pools_[target];
  if (free_connections_.empty()) {
    connections_.push_back(std::make_unique<Connection>());
    free_connections_.push_back(connections_.back().get());
  }
  Connection* connection = free_connections_.back();
  free_connections_.pop_back();
  connection->target = target;
  connection->endpoint = endpoint;
  connection->request = request;
  connection->sent = connection->stamp_size = 0;
  if (request != nullptr) request->connection = connection;
  ++pool.open;
  if (request == nullptr) ++warming_;
  int error = EDESTADDRREQ;
  const std::vector<Address>& addresses = pool.addresses[endpoint];
  if (!addresses.empty()) {
    error = connection->Open(addresses[pool.next_address[endpoint]++ % addresses.size()]);
  }
  if (error == 0 && !poller_.Add(connection->fd, connection)) error = errno;
  if (error == 0) return connection;
  connection->state = Connection::State::kConnecting;
  FailConnection(connection, Outcome::kConnect);
  return nullptr;
}

void Loop::CloseConnection(Connection* connection) {
  Pool& pool = pools_[connection->target];
  if (connection->state == Connection::State::kIdle) {
    auto& idle = pool.idle[connection->endpoint];
    idle.erase(std::find(idle.begin(), idle.end(), connection));
    --pool.idle_count;
  }
  const bool warming =
      connection->state == Connection::State::kConnecting && connection->request == nullptr;
  connection->Close();
  connection->request = nullptr;
  connection->state = Connection::State::kBusy;
  --pool.open;
  closed_.push_back(connection);
  if (warming && --warming_ == 0) WarmSettled();
}

/// Closes it; its request, if any, ends as `outcome`; those waiting may take its place.
void Loop::FailConnection(Connection* connection, Outcome outcome) {
  Request* request = connection->request;
  const uint32_t target = connection->target;
  const bool unsent = connection->sent == 0;
  CloseConnection(connection);
  if (request != nullptr) {
    if (unsent) ++request->row->counters.unsent_failures;
    End(request, outcome);
  }
  Pump(target);
}

void Loop::Recycle() {
  free_connections_.insert(free_connections_.end(), closed_.begin(), closed_.end());
  closed_.clear();
}

/// Sends the bound request's first bytes, or what is left of it.
void Loop::SendOn(Connection* connection) {
  Request& request = *connection->request;
  if (connection->sent == 0) {
    const PreparedRequest& prepared = *request.prepared;
    connection->parser.Start(prepared.head, prepared.kserve ? kKserveKeep : kPlainKeep);
    connection->stamp_size = 0;
    if (options_.plan->stamp) {
      char* at = connection->stamp;
      char* const end = at + sizeof(connection->stamp) - 2;
      const size_t prefix = std::min<size_t>(stamp_prefix_.size(), 80);
      std::memcpy(at, stamp_prefix_.data(), prefix);
      at = std::to_chars(at + prefix, end, request.arrival.segment.value()).ptr;
      *at++ = '/';
      at = std::to_chars(at, end, request.arrival.index).ptr;
      *at++ = '\r';
      *at++ = '\n';
      connection->stamp_size = static_cast<size_t>(at - connection->stamp);
    }
  }
  const int error = connection->Send(request.row->counters.bytes_out);
  if (error == 0 || error == EAGAIN) return;
  // The peer has gone: on a kept connection most likely while it was idle.
  if (connection->served > 0 && connection->sent == 0) ++stale_resets_;
  Now();
  FailConnection(connection, Outcome::kReset);
}

void Loop::HandleEvent(const epoll_event& event) {
  auto* connection = static_cast<Connection*>(event.data.ptr);
  if (connection->fd < 0) return;  // closed earlier in this turn
  constexpr uint32_t kEnded = EPOLLERR | EPOLLHUP | EPOLLRDHUP;
  if (connection->state == Connection::State::kConnecting) {
    Now();
    if ((event.events & kEnded) != 0 && connection->ConnectResult() != 0) {
      return FailConnection(connection, Outcome::kConnect);
    }
    if ((event.events & (EPOLLOUT | kEnded)) == 0) return;
    Established(connection);
    if (connection->fd < 0) return;
  } else if ((event.events & EPOLLOUT) != 0 && connection->request != nullptr &&
             !connection->AllSent()) {
    SendOn(connection);
    if (connection->fd < 0) return;
  }
  if ((event.events & (EPOLLIN | kEnded)) != 0) Read(connection, event.events);
}

void Loop::Established(Connection* connection) {
  if (connection->request != nullptr) {
    connection->state = Connection::State::kBusy;
    return SendOn(connection);
  }
  Pool& pool = pools_[connection->target];
  connection->state = Connection::State::kIdle;
  pool.idle[connection->endpoint].push_back(connection);
  ++pool.idle_count;
  if (--warming_ == 0) WarmSettled();
  Pump(connection->target);
}

void Loop::Read(Connection* connection, uint32_t events) {
  const bool ended = (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
  for (;;) {
    const ssize_t n = recv(connection->fd, received_.data(), received_.capacity(), 0);
    Request* request = connection->request;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
    Now();
    if (n == 0) return PeerClosed(connection);
    if (n < 0) {
      if (request != nullptr && connection->served > 0 && !connection->parser.started()) {
        ++stale_resets_;
      }
      return FailConnection(connection, Outcome::kReset);
    }
    if (request == nullptr) {  // talks unasked: not to be trusted with a request
      const uint32_t target = connection->target;
      CloseConnection(connection);
      return Pump(target);
    }
    const auto size = static_cast<size_t>(n);
    request->row->counters.bytes_in += size;
    if (!connection->parser.started()) request->times.first_byte = last_;
    size_t used = 0;
    const ReplyParser::State state = connection->parser.Feed(received_.data(), size, used);
    if (state != ReplyParser::State::kMore) {
      const bool whole = state == ReplyParser::State::kDone;
      // An edge that told of the peer's end will not come again, so such a connection is not kept.
      return Complete(connection, whole, whole && used == size && !ended);
    }
    // Less than asked for: the socket is empty, and the next bytes will raise another edge.
    if (size < received_.capacity() && !ended) return;
  }
}

void Loop::PeerClosed(Connection* connection) {
  const uint32_t target = connection->target;
  if (connection->request == nullptr) {
    CloseConnection(connection);
    return Pump(target);
  }
  if (connection->parser.FinishAtClose()) return Complete(connection, true, false);
  if (connection->served > 0 && !connection->parser.started()) ++stale_resets_;
  FailConnection(connection, Outcome::kReset);
}

/// The reply is there, whole or not HTTP.
void Loop::Complete(Connection* connection, bool whole, bool reusable) {
  Request* request = connection->request;
  const uint32_t target = connection->target;
  Pool& pool = pools_[target];
  const Outcome outcome = whole ? OutcomeOf(*request, connection->parser) : Outcome::kProtocol;
  const bool keep =
      reusable && pool.reuse && connection->parser.head().keep_alive && connection->AllSent();
  End(request, outcome);
  connection->request = nullptr;
  connection->sent = 0;
  if (keep) {
    ++connection->served;
    connection->state = Connection::State::kIdle;
    pool.idle[connection->endpoint].push_back(connection);
    ++pool.idle_count;
  } else {
    CloseConnection(connection);
  }
  Pump(target);
}

Outcome Loop::OutcomeOf(const Request& request, const ReplyParser& reply) {
  const ReplyHead& head = reply.head();
  const Outcome outcome = breaker::ClassifyHttp({.status = head.status,
                                                 .body = reply.body(),
                                                 .envoy_overloaded = head.envoy_overloaded,
                                                 .envoy_upstream_time = head.envoy_upstream_time,
                                                 .envoy_ratelimited = head.envoy_ratelimited,
                                                 .from_envoy = head.from_envoy});
  if (outcome != Outcome::kOk || !request.prepared->kserve) return outcome;
  switch (checker_.Check(reply)) {
    case ReplyCheck::kInvalid:
      return Outcome::kErrorReply;
    case ReplyCheck::kUnvalidated:
      ++unvalidated_;
      return Outcome::kOk;
    case ReplyCheck::kValid:
      break;
  }
  return Outcome::kOk;
}

}  // namespace broadside::agent
