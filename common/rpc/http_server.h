#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/base/status.h"
#include "common/time/time.h"

/// The small HTTP/1.1 server behind /metrics, /healthz and /readyz: one thread, plain TCP, GET and
/// HEAD. It keeps answering whatever its clients do: a request has one deadline from its
/// connection's last answer to its last byte, an answer one until it is taken, and when all
/// connections are taken, the one that has made us wait longest gives way to the new one.
namespace broadside::rpc {

struct HostPort {
  std::string host;
  uint16_t port = 0;
  friend bool operator==(const HostPort&, const HostPort&) = default;
};
/// "127.0.0.1:7301", "[::1]:0", "localhost:80". `flag` names the setting in the error.
StatusOr<HostPort> ParseHostPort(const std::string& text, const std::string& flag);

struct HttpOptions {
  std::string listen = "127.0.0.1:7301";  ///< port 0: any free one
  std::string flag = "--http";            ///< the setting that `listen` came from, for errors
  size_t max_connections = 256;
  Nanos request_time = std::chrono::seconds(30);  ///< idle time included
  Nanos answer_time = std::chrono::seconds(30);
  uint32_t max_header_bytes = 16u << 10;
  uint64_t max_body_bytes = 1u << 20;
};

struct HttpRequest {
  std::string method;  ///< "GET" or "HEAD"
  std::string path;    ///< percent-decoded, without the query
  /// Percent-decoded; of a key given twice the last one.
  std::map<std::string, std::string, std::less<>> query;
  /// Names in lower case; of a name given twice the last one.
  std::map<std::string, std::string, std::less<>> headers;
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;
};

/// Called on the server's thread: whoever computes long in it delays every other client. An
/// exception is answered by 500.
using HttpHandler = std::function<HttpResponse(const HttpRequest&)>;

/// Serves each exact path by its handler, and 404 with the list of paths for any other.
HttpHandler ServePaths(std::map<std::string, HttpHandler, std::less<>> paths);

struct HttpCounters {
  uint64_t open = 0;  ///< connections now
  uint64_t accepted = 0;
  uint64_t evicted = 0;    ///< closed to make room for a new one
  uint64_t timed_out = 0;  ///< past request_time or answer_time
  uint64_t answers = 0;    ///< begun, of any status
  uint64_t refused = 0;    ///< answers to what was no acceptable request
};

class HttpServer {
 public:
  /// Listens and serves from now on. A name with several addresses is bound at its first one that
  /// works.
  static StatusOr<std::unique_ptr<HttpServer>> Start(HttpOptions options, HttpHandler handler);
  /// Stop(1 s).
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  uint16_t bound_port() const;
  HttpCounters counters() const;
  /// Accepts no more, closes whoever waits for nothing, gives answers under way `grace` to be
  /// taken, then closes all. A second call does nothing. Not on the server's thread.
  void Stop(Nanos grace);

 private:
  class Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace broadside::rpc
