#pragma once

#include <cstdint>
#include <string_view>

#include "agent/client/address.h"
#include "agent/client/http_reply.h"
#include "agent/engine/recorder.h"
#include "agent/workload/workload.h"
#include "common/rate/schedule.h"

namespace broadside::agent {

struct Connection;

/// An arrival that a loop has taken up and that has not ended. Slots are made at start.
struct Request {
  rate::Arrival arrival;
  Times times;
  Instant deadline{};
  Row* row = nullptr;
  const PreparedRequest* prepared = nullptr;
  Connection* connection = nullptr;  ///< null while waiting for one
  Request* earlier = nullptr;        ///< all live requests, by deadline
  Request* later = nullptr;
  Request* wait_before = nullptr;  ///< those waiting for a connection of the target, oldest first
  Request* wait_after = nullptr;
};

/// One HTTP/1.1 connection. Plain mechanics: what happens to requests is the loop's business.
/// Objects are reused; `fd` −1 means closed.
struct Connection {
  enum class State : uint8_t { kConnecting, kIdle, kBusy };

  int fd = -1;
  State state = State::kConnecting;
  uint32_t target = 0;
  uint32_t endpoint = 0;
  uint32_t served = 0;         ///< replies read whole
  Request* request = nullptr;  ///< the one that it serves or is being opened for
  size_t sent = 0;             ///< bytes of the request that have left
  size_t stamp_size = 0;
  char stamp[128];
  ReplyParser parser;

  /// Starts connecting; 0 or an errno. Established at once or later is not told apart.
  int Open(const Address& address);
  /// Result of connecting, once the socket is ready: 0 or an errno.
  int ConnectResult() const;
  /// Writes what is left of the request; 0, EAGAIN or another errno. Adds to `out`.
  int Send(uint64_t& out);
  bool AllSent() const { return sent == request->prepared->bytes.size() + stamp_size; }
  void Close();
};

}  // namespace broadside::agent
