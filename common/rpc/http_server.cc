#include "common/rpc/http_server.h"

#include <algorithm>
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <exception>
#include <list>
#include <optional>
#include <string_view>
#include <thread>

#include "common/base/check.h"

namespace broadside::rpc {

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;

constexpr Nanos kStopTime = std::chrono::seconds(1);
/// How long a client whose connection ends may take to notice.
constexpr Nanos kDrainTime = std::chrono::seconds(1);
/// Pause after a failed accept (no file descriptors left), which would fail again at once.
constexpr auto kAcceptPause = std::chrono::milliseconds(100);

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// Escapes that are none stay as they are.
std::string PercentDecoded(std::string_view text, bool plus_is_space) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const int high = text[i] == '%' && i + 2 < text.size() ? HexDigit(text[i + 1]) : -1;
    const int low = high >= 0 ? HexDigit(text[i + 2]) : -1;
    if (low >= 0) {
      out += static_cast<char>(high * 16 + low);
      i += 2;
    } else {
      out += plus_is_space && text[i] == '+' ? ' ' : text[i];
    }
  }
  return out;
}

std::string LowerCase(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

std::string_view View(beast::string_view text) { return {text.data(), text.size()}; }

HttpRequest RequestOf(const http::request<http::string_body>& message) {
  HttpRequest request;
  request.method = std::string(View(message.method_string()));
  std::string_view target = View(message.target());
  std::string_view query;
  if (const size_t mark = target.find('?'); mark != std::string_view::npos) {
    query = target.substr(mark + 1);
    target = target.substr(0, mark);
  }
  request.path = PercentDecoded(target, false);
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), pair.size() + 1));
    const std::string_view key = pair.substr(0, pair.find('='));
    if (key.empty()) continue;
    const std::string_view value = key.size() < pair.size() ? pair.substr(key.size() + 1) : "";
    request.query[PercentDecoded(key, true)] = PercentDecoded(value, true);
  }
  for (const auto& field : message) {
    request.headers[LowerCase(View(field.name_string()))] = std::string(View(field.value()));
  }
  return request;
}

HttpResponse TextResponse(int status, std::string text) {
  return {.status = status, .body = std::move(text) + "\n"};
}

/// What to say about bytes that are no request we take. Empty: the connection is gone, say nothing.
std::optional<HttpResponse> RefusalOf(const error_code& error, const HttpOptions& options) {
  if (error == http::error::header_limit || error == http::error::buffer_overflow) {
    return TextResponse(431, "the request's header is larger than " +
                                 std::to_string(options.max_header_bytes) + " bytes");
  }
  if (error == http::error::body_limit) {
    return TextResponse(413, "the request's body is larger than " +
                                 std::to_string(options.max_body_bytes) + " bytes");
  }
  if (error == http::error::end_of_stream || error == http::error::partial_message) return {};
  if (error.category() != make_error_code(http::error::bad_version).category()) return {};
  return TextResponse(400, "not an HTTP/1.1 request: " + error.message());
}

}  // namespace

HttpHandler ServePaths(std::map<std::string, HttpHandler, std::less<>> paths) {
  std::string known;
  for (const auto& [path, handler] : paths) known += (known.empty() ? "" : ", ") + path;
  return [paths = std::move(paths), known](const HttpRequest& request) {
    const auto found = paths.find(request.path);
    if (found != paths.end()) return found->second(request);
    return TextResponse(404, "nothing here; there is: " + known);
  };
}

/// Everything here but the constructor, Listen, Stop and counters runs on the one thread of
/// `context_`.
class HttpServer::Impl {
 public:
  class Connection;
  using Connections = std::list<std::shared_ptr<Connection>>;

  Impl(HttpOptions options, HttpHandler handler)
      : options_(std::move(options)), handler_(std::move(handler)) {}

  Status Listen();
  void Stop(Nanos grace);
  uint16_t port() const { return port_; }
  HttpCounters counters() const;
  const HttpOptions& options() const { return options_; }
  HttpResponse Handle(const HttpRequest& request);

  /// To the end of the order of eviction: `connection` has just made progress.
  void Touch(Connections::iterator connection) {
    connections_.splice(connections_.end(), connections_, connection);
  }
  void Remove(Connections::iterator connection) {
    connections_.erase(connection);
    --open_;
    if (stopping_ && connections_.empty()) grace_.cancel();
  }
  bool stopping() const { return stopping_; }
  void CountAnswer(bool refused) {
    ++answers_;
    if (refused) ++refused_;
  }
  void CountTimeout() { ++timed_out_; }

 private:
  Status Bind(const tcp::endpoint& endpoint);
  void Accept();
  void Admit(tcp::socket socket);
  void MakeRoom();
  void CloseAll(bool answering_too);
  void BeginStop(Nanos grace);

  const HttpOptions options_;
  const HttpHandler handler_;
  asio::io_context context_{1};
  tcp::acceptor acceptor_{context_};
  asio::steady_timer pause_{context_};
  asio::steady_timer grace_{context_};
  uint16_t port_ = 0;
  Connections connections_;  ///< the one that has made us wait longest first
  bool stopping_ = false;
  std::atomic<uint64_t> open_ = 0, accepted_ = 0, evicted_ = 0, timed_out_ = 0, answers_ = 0,
                        refused_ = 0;
  std::thread thread_;
};

/// One client: reads a request, answers it, reads the next, also of those it sent ahead.
class HttpServer::Impl::Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(Impl& server, tcp::socket socket)
      : server_(server),
        stream_(std::move(socket)),
        // Room for a header that is just too large, so that the parser's limit speaks first.
        buffer_(server.options().max_header_bytes + 4096) {}

  void Begin(Connections::iterator self) {
    self_ = self;
    Read();
  }
  bool answering() const { return answering_; }
  /// Ends whatever is under way, and leaves the server's list. A second call does nothing.
  void Close() {
    if (closed_) return;
    closed_ = true;
    stream_.close();
    const auto keep = shared_from_this();
    server_.Remove(self_);
  }

 private:
  void Read() {
    answering_ = false;
    server_.Touch(self_);
    parser_.emplace();
    parser_->header_limit(server_.options().max_header_bytes);
    parser_->body_limit(server_.options().max_body_bytes);
    stream_.expires_after(server_.options().request_time);
    http::async_read(
        stream_, buffer_, *parser_,
        [self = shared_from_this()](error_code error, size_t) { self->OnRead(error); });
  }

  void OnRead(error_code error) {
    if (closed_) return;
    if (!error) return Answer();
    if (error == beast::error::timeout) server_.CountTimeout();
    std::optional<HttpResponse> refusal = RefusalOf(error, server_.options());
    if (!refusal) return Close();
    // What follows such bytes cannot be understood either.
    server_.CountAnswer(true);
    Write(*std::move(refusal), 11, false, false);
  }

  void Answer() {
    const http::request<http::string_body>& message = parser_->get();
    const bool keep_alive = message.keep_alive() && !server_.stopping();
    const bool head = message.method() == http::verb::head;
    const unsigned version = message.version();
    HttpResponse response;
    const bool refused = !head && message.method() != http::verb::get;
    if (refused) {
      response = TextResponse(405, "this server takes GET and HEAD");
      response.headers.emplace_back("Allow", "GET, HEAD");
    } else {
      response = server_.Handle(RequestOf(message));
    }
    server_.CountAnswer(refused);
    Write(std::move(response), version, head, keep_alive);
  }

  void Write(HttpResponse response, unsigned version, bool head, bool keep_alive) {
    answering_ = true;
    server_.Touch(self_);
    response_.emplace();
    response_->version(version);
    response_->result(static_cast<unsigned>(response.status));
    response_->keep_alive(keep_alive);
    response_->set(http::field::server, "broadside/" BROADSIDE_VERSION);
    response_->set(http::field::content_type, response.content_type);
    for (const auto& [name, value] : response.headers) response_->set(name, value);
    response_->content_length(response.body.size());
    if (!head) response_->body() = std::move(response.body);
    stream_.expires_after(server_.options().answer_time);
    http::async_write(stream_, *response_, [self = shared_from_this()](error_code error, size_t) {
      self->OnWritten(error);
    });
  }

  void OnWritten(error_code error) {
    if (closed_) return;
    if (error == beast::error::timeout) server_.CountTimeout();
    if (error) return Close();
    const bool more = response_->keep_alive() && !server_.stopping();
    response_.reset();
    if (more) return Read();
    stream_.socket().shutdown(tcp::socket::shutdown_send, error);
    stream_.expires_after(kDrainTime);
    Drain();
  }

  /// Closing with bytes unread would reset the connection, and the client might lose the answer.
  void Drain() {
    answering_ = false;
    buffer_.clear();
    stream_.async_read_some(buffer_.prepare(buffer_.max_size()),
                            [self = shared_from_this()](error_code error, size_t) {
                              if (self->closed_) return;
                              error ? self->Close() : self->Drain();
                            });
  }

  Impl& server_;
  beast::tcp_stream stream_;
  beast::flat_buffer buffer_;
  std::optional<http::request_parser<http::string_body>> parser_;
  std::optional<http::response<http::string_body>> response_;
  Connections::iterator self_;
  bool answering_ = false;
  bool closed_ = false;
};

Status HttpServer::Impl::Bind(const tcp::endpoint& endpoint) {
  error_code error;
  tcp::acceptor acceptor(context_);
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (!error) port_ = acceptor.local_endpoint(error).port();
  if (error) {
    return Unavailable("cannot listen on " + options_.listen + ": " + error.message() +
                       "; choose another with " + options_.flag + " HOST:PORT, or port 0");
  }
  acceptor_ = std::move(acceptor);
  return absl::OkStatus();
}

Status HttpServer::Impl::Listen() {
  BROADSIDE_ASSIGN_OR_RETURN(const HostPort address, ParseHostPort(options_.listen, options_.flag));
  error_code error;
  tcp::resolver resolver(context_);
  const auto endpoints =
      resolver.resolve(address.host, std::to_string(address.port), tcp::resolver::passive, error);
  if (error) {
    return Unavailable("cannot listen on " + options_.listen + ": " + error.message() +
                       "; choose another with " + options_.flag + " HOST:PORT");
  }
  Status status = Internal("no address for " + options_.listen);
  for (const auto& entry : endpoints) {
    status = Bind(entry.endpoint());
    if (status.ok()) break;
  }
  BROADSIDE_RETURN_IF_ERROR(status);
  Accept();
  thread_ = std::thread([this] { context_.run(); });
  return absl::OkStatus();
}

HttpResponse HttpServer::Impl::Handle(const HttpRequest& request) {
  try {
    return handler_(request);
  } catch (const std::exception& error) {
    return TextResponse(500, std::string("internal error: ") + error.what());
  }
}

void HttpServer::Impl::Accept() {
  acceptor_.async_accept([this](error_code error, tcp::socket socket) {
    if (stopping_) return;
    if (!error) {
      Admit(std::move(socket));
      return Accept();
    }
    // Most likely no file descriptor is left: free one, and do not spin.
    MakeRoom();
    pause_.expires_after(kAcceptPause);
    pause_.async_wait([this](error_code) {
      if (!stopping_) Accept();
    });
  });
}

void HttpServer::Impl::Admit(tcp::socket socket) {
  ++accepted_;
  if (connections_.size() >= options_.max_connections) MakeRoom();
  error_code ignored;
  socket.set_option(tcp::no_delay(true), ignored);
  ++open_;
  connections_.push_back(std::make_shared<Connection>(*this, std::move(socket)));
  const auto self = std::prev(connections_.end());
  (*self)->Begin(self);
}

void HttpServer::Impl::MakeRoom() {
  if (connections_.empty()) return;
  auto victim = connections_.begin();
  // Rather one that asks nothing than one that takes its answer slowly.
  for (auto it = connections_.begin(); it != connections_.end(); ++it) {
    if (!(*it)->answering()) {
      victim = it;
      break;
    }
  }
  ++evicted_;
  (*victim)->Close();
}

void HttpServer::Impl::CloseAll(bool answering_too) {
  for (auto it = connections_.begin(); it != connections_.end();) {
    const std::shared_ptr<Connection> connection = *it++;
    if (answering_too || !connection->answering()) connection->Close();
  }
}

void HttpServer::Impl::BeginStop(Nanos grace) {
  stopping_ = true;
  error_code ignored;
  acceptor_.close(ignored);
  pause_.cancel();
  CloseAll(false);
  if (connections_.empty()) return;
  grace_.expires_after(grace);
  grace_.async_wait([this](error_code error) {
    if (!error) CloseAll(true);
  });
}

void HttpServer::Impl::Stop(Nanos grace) {
  if (!thread_.joinable()) return;
  BROADSIDE_CHECK(std::this_thread::get_id() != thread_.get_id());
  asio::post(context_, [this, grace] { BeginStop(grace); });
  // Returns once nothing is pending, which BeginStop sees to.
  thread_.join();
}

HttpCounters HttpServer::Impl::counters() const {
  return {.open = open_,
          .accepted = accepted_,
          .evicted = evicted_,
          .timed_out = timed_out_,
          .answers = answers_,
          .refused = refused_};
}

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

HttpServer::~HttpServer() { Stop(kStopTime); }

StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(HttpOptions options, HttpHandler handler) {
  auto impl = std::make_unique<Impl>(std::move(options), std::move(handler));
  BROADSIDE_RETURN_IF_ERROR(impl->Listen());
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

uint16_t HttpServer::bound_port() const { return impl_->port(); }

HttpCounters HttpServer::counters() const { return impl_->counters(); }

void HttpServer::Stop(Nanos grace) { impl_->Stop(grace); }

}  // namespace broadside::rpc
