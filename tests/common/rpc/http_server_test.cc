#include "common/rpc/http_server.h"

#include <chrono>
#include <stdexcept>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/common/rpc/raw_client.h"

namespace broadside::rpc {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr const char* kGetMetrics = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";

class HttpServerTest : public testing::Test {
 protected:
  void Start(HttpOptions options) {
    options.listen = "127.0.0.1:0";
    StatusOr<std::unique_ptr<HttpServer>> server = HttpServer::Start(
        options,
        ServePaths({
            {"/metrics", [](const HttpRequest&) { return HttpResponse{.body = "up 1\n"}; }},
            {"/big",
             [](const HttpRequest&) { return HttpResponse{.body = std::string(8 << 20, 'x')}; }},
            {"/echo", Echo},
            {"/throw",
             [](const HttpRequest&) -> HttpResponse { throw std::runtime_error("no such luck"); }},
        }));
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }
  void SetUp() override { Start({}); }

  static HttpResponse Echo(const HttpRequest& request) {
    std::string body = request.method + " " + request.path + "\n";
    for (const auto& [key, value] : request.query) body += "?" + key + "=" + value + "\n";
    for (const auto& [key, value] : request.headers) body += key + ": " + value + "\n";
    return {.status = 203, .content_type = "text/x-echo", .body = body};
  }

  RawClient Connect() { return RawClient(server_->bound_port()); }
  /// The whole answer to `request` on a connection of its own.
  std::string Ask(const std::string& request) {
    RawClient client = Connect();
    EXPECT_TRUE(client.Send(request));
    return client.ReadAnswer();
  }
  void ExpectMetricsAnswer() {
    EXPECT_THAT(Ask(kGetMetrics), AllOf(StartsWith("HTTP/1.1 200 OK\r\n"), EndsWith("\nup 1\n")));
  }
  /// Waits for what the server's thread does of itself; the test's own time limit is the deadline.
  template <class Condition>
  void Await(Condition condition) {
    while (!condition(server_->counters())) std::this_thread::yield();
  }

  std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpServerTest, AnswersGet) {
  EXPECT_THAT(Ask(kGetMetrics),
              AllOf(StartsWith("HTTP/1.1 200 OK\r\n"), HasSubstr("\r\nContent-Length: 5\r\n"),
                    HasSubstr("\r\nContent-Type: text/plain; charset=utf-8\r\n"),
                    EndsWith("\r\n\r\nup 1\n")));
}

TEST_F(HttpServerTest, HandsTheRequestOver) {
  EXPECT_THAT(Ask("GET /ech%6f?a=1&b=x%20y+z&c&a=2&=n&d=%zz HTTP/1.1\r\nX-Thing: V\r\n\r\n"),
              AllOf(StartsWith("HTTP/1.1 203 "), HasSubstr("Content-Type: text/x-echo\r\n"),
                    EndsWith("\r\n\r\nGET /echo\n?a=2\n?b=x y z\n?c=\n?d=%zz\nx-thing: V\n")));
}

TEST_F(HttpServerTest, HeadHasTheLengthButNoBody) {
  RawClient client = Connect();
  client.Send("HEAD /metrics HTTP/1.1\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(client.ReadAll(), AllOf(StartsWith("HTTP/1.1 200 OK\r\n"),
                                      HasSubstr("Content-Length: 5\r\n"), EndsWith("\r\n\r\n")));
}

TEST_F(HttpServerTest, UnknownPathsGetTheListOfKnownOnes) {
  EXPECT_THAT(Ask("GET /nope HTTP/1.1\r\n\r\n"),
              AllOf(StartsWith("HTTP/1.1 404 Not Found\r\n"),
                    EndsWith("nothing here; there is: /big, /echo, /metrics, /throw\n")));
}

TEST_F(HttpServerTest, OtherMethodsAreNotAllowed) {
  EXPECT_THAT(
      Ask("POST /metrics HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi"),
      AllOf(StartsWith("HTTP/1.1 405 Method Not Allowed\r\n"),
            HasSubstr("\r\nAllow: GET, HEAD\r\n"), EndsWith("this server takes GET and HEAD\n")));
  EXPECT_EQ(server_->counters().refused, 1u);
}

TEST_F(HttpServerTest, AHandlersExceptionIsAnAnswer) {
  EXPECT_THAT(Ask("GET /throw HTTP/1.1\r\n\r\n"),
              AllOf(StartsWith("HTTP/1.1 500 "), EndsWith("internal error: no such luck\n")));
  ExpectMetricsAnswer();
}

TEST_F(HttpServerTest, OneConnectionServesMany) {
  RawClient client = Connect();
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(client.Send(kGetMetrics));
    ASSERT_THAT(client.ReadAnswer(), EndsWith("up 1\n"));
  }
  EXPECT_EQ(server_->counters().accepted, 1u);
  client.Send("GET /metrics HTTP/1.0\r\n\r\n");
  EXPECT_THAT(client.ReadAll(), AllOf(StartsWith("HTTP/1.0 200"), EndsWith("up 1\n")));
}

TEST_F(HttpServerTest, PipelinedRequestsAreAnsweredInOrder) {
  RawClient client = Connect();
  std::string requests;
  for (int i = 0; i < 100; ++i) {
    requests += "GET /echo?n=" + std::to_string(i) + " HTTP/1.1\r\n\r\n";
  }
  ASSERT_TRUE(client.Send(requests));
  for (int i = 0; i < 100; ++i) {
    ASSERT_THAT(client.ReadAnswer(), EndsWith("?n=" + std::to_string(i) + "\n"));
  }
}

TEST_F(HttpServerTest, ARequestMayComeByteByByte) {
  RawClient client = Connect();
  for (const char c : std::string(kGetMetrics)) ASSERT_TRUE(client.Send(std::string(1, c)));
  EXPECT_THAT(client.ReadAnswer(), EndsWith("up 1\n"));
}

TEST_F(HttpServerTest, AClientThatHalfClosesStillGetsItsAnswer) {
  RawClient client = Connect();
  client.Send(kGetMetrics);
  client.FinishSending();
  EXPECT_THAT(client.ReadAll(), EndsWith("up 1\n"));
}

TEST_F(HttpServerTest, GarbageIsNamedAndTheConnectionClosed) {
  const std::string garbage[] = {
      std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11),  // a TLS hello
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
      "\r\n\r\n\r\n\r\n",
      std::string(300, '\0'),
      "GET /metrics HTTP/1.1\r\nNo colon here\r\n\r\n",
      "GET /metrics HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
      "GET /metrics HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
  };
  for (const std::string& bytes : garbage) {
    RawClient client = Connect();
    client.Send(bytes);
    EXPECT_THAT(client.ReadAll(), AllOf(StartsWith("HTTP/1.1 400 Bad Request\r\n"),
                                        HasSubstr("not an HTTP/1.1 request: ")))
        << bytes;
  }
  ExpectMetricsAnswer();
}

TEST_F(HttpServerTest, LargeHeadersAndBodiesAreRefused) {
  RawClient header = Connect();
  header.Send("GET /metrics HTTP/1.1\r\nX: " + std::string(17'000, 'x'));
  EXPECT_THAT(header.ReadAll(),
              AllOf(StartsWith("HTTP/1.1 431 "), EndsWith("header is larger than 16384 bytes\n")));
  RawClient body = Connect();
  body.Send("GET /metrics HTTP/1.1\r\nContent-Length: 1048577\r\n\r\n");
  EXPECT_THAT(body.ReadAll(),
              AllOf(StartsWith("HTTP/1.1 413 "), EndsWith("body is larger than 1048576 bytes\n")));
  RawClient chunked = Connect();
  chunked.Send("GET /metrics HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFF\r\n");
  EXPECT_THAT(chunked.ReadAll(), StartsWith("HTTP/1.1 4"));
  ExpectMetricsAnswer();
}

TEST_F(HttpServerTest, MoreConnectionsThanAllowedDoNotStopMetrics) {
  std::vector<RawClient> clients;
  for (int i = 0; i < 300; ++i) {
    clients.push_back(Connect());
    ASSERT_TRUE(clients.back().connected());
    // Half of them say nothing, half never end their request.
    if (i % 2 == 0) {
      ASSERT_TRUE(clients.back().Send("GET /metrics HTTP/1.1\r\nX-Slow:"));
    }
  }
  ExpectMetricsAnswer();
  const HttpCounters counters = server_->counters();
  EXPECT_EQ(counters.accepted, 301u);
  EXPECT_EQ(counters.evicted, 301u - 256u);
  EXPECT_TRUE(clients.front().ReadsEnd()) << "the oldest gave way";
  clients.back().Send(" y\r\n\r\n");
  clients[298].Send(" y\r\n\r\n");
  EXPECT_THAT(clients[298].ReadAnswer(), EndsWith("up 1\n")) << "the newest live on";
}

TEST_F(HttpServerTest, ThreeHundredClientsAtOnceAreAllAnswered) {
  HttpOptions options;
  options.max_connections = 512;
  Start(options);
  std::vector<RawClient> clients;
  for (int i = 0; i < 300; ++i) clients.push_back(Connect());
  for (RawClient& client : clients) ASSERT_TRUE(client.Send(kGetMetrics));
  for (RawClient& client : clients) ASSERT_THAT(client.ReadAnswer(), EndsWith("up 1\n"));
}

TEST_F(HttpServerTest, ClientsThatDoNotTakeTheirAnswersDoNotStopMetrics) {
  std::vector<RawClient> clients;
  for (int i = 0; i < 8; ++i) {
    clients.emplace_back(server_->bound_port(), 4096);
    ASSERT_TRUE(clients.back().Send("GET /big HTTP/1.1\r\n\r\n"));
  }
  ExpectMetricsAnswer();
}

TEST_F(HttpServerTest, IdlersRatherThanSlowTakersGiveWay) {
  HttpOptions options;
  options.max_connections = 2;
  Start(options);
  RawClient taker(server_->bound_port(), 4096);
  taker.Send("GET /big HTTP/1.1\r\nConnection: close\r\n\r\n");
  Await([](const HttpCounters& counters) { return counters.answers == 1; });
  RawClient idler = Connect();
  Await([](const HttpCounters& counters) { return counters.accepted == 2; });
  ExpectMetricsAnswer();
  EXPECT_TRUE(idler.ReadsEnd());
  EXPECT_GT(taker.ReadAll().size(), size_t{8} << 20);
}

TEST_F(HttpServerTest, SlowRequestsAndAnswersHaveADeadline) {
  HttpOptions options;
  options.request_time = 1ms;
  options.answer_time = 1ms;
  Start(options);
  RawClient dribbler = Connect();
  dribbler.Send("GET /met");
  EXPECT_TRUE(dribbler.ReadsEnd());
  Await([](const HttpCounters& counters) { return counters.timed_out == 1; });
  options.request_time = 30s;
  Start(options);
  RawClient taker(server_->bound_port(), 4096);
  taker.Send("GET /big HTTP/1.1\r\n\r\n");
  Await([](const HttpCounters& counters) { return counters.timed_out == 1; });
  EXPECT_LT(taker.ReadAll().size(), size_t{8} << 20);
}

TEST_F(HttpServerTest, StoppingLetsAnswersUnderWayEnd) {
  RawClient idler = Connect();
  RawClient taker(server_->bound_port(), 4096);
  taker.Send("GET /big HTTP/1.1\r\n\r\n");
  Await([](const HttpCounters& counters) { return counters.answers == 1; });
  std::thread stopper([this] { server_->Stop(30s); });
  EXPECT_TRUE(idler.ReadsEnd());
  EXPECT_GT(taker.ReadAll().size(), size_t{8} << 20);
  stopper.join();
  EXPECT_EQ(server_->counters().open, 0u);
  EXPECT_FALSE(RawClient(server_->bound_port()).connected());
  server_->Stop(1s);
}

TEST_F(HttpServerTest, StoppingDoesNotWaitBeyondItsGrace) {
  RawClient taker(server_->bound_port(), 4096);
  taker.Send("GET /big HTTP/1.1\r\n\r\n");
  Await([](const HttpCounters& counters) { return counters.answers == 1; });
  server_->Stop(1ms);
  EXPECT_EQ(server_->counters().open, 0u);
  EXPECT_LT(taker.ReadAll().size(), size_t{8} << 20);
}

TEST(HttpServerStart, ABusyPortIsOneClearLine) {
  const auto handler = [](const HttpRequest&) { return HttpResponse{}; };
  const auto first = HttpServer::Start({.listen = "127.0.0.1:0"}, handler);
  ASSERT_TRUE(first.ok()) << first.status();
  const std::string address = "127.0.0.1:" + std::to_string((*first)->bound_port());
  const auto second = HttpServer::Start({.listen = address}, handler);
  EXPECT_EQ(MessageOf(second.status()),
            "cannot listen on " + address +
                ": Address already in use; choose another with --http HOST:PORT, or port 0");
}

TEST(HttpServerStart, AnAddressOfAnotherHost) {
  const auto server = HttpServer::Start({.listen = "192.0.2.1:0"},
                                        [](const HttpRequest&) { return HttpResponse{}; });
  EXPECT_EQ(MessageOf(server.status()),
            "cannot listen on 192.0.2.1:0: Cannot assign requested address; choose another with "
            "--http HOST:PORT, or port 0");
}

TEST(ParseHostPort, TakesTheUsualForms) {
  EXPECT_EQ(*ParseHostPort("127.0.0.1:7301", "--http"), (HostPort{"127.0.0.1", 7301}));
  EXPECT_EQ(*ParseHostPort("[::1]:0", "--http"), (HostPort{"::1", 0}));
  EXPECT_EQ(*ParseHostPort("localhost:65535", "--http"), (HostPort{"localhost", 65535}));
}

TEST(ParseHostPort, NamesTheFlagAndTheCure) {
  for (const char* text : {"", "7301", "host", "host:", ":7301", "::1:80", "host:65536", "host:8x",
                           "host:-1", "[]:80", "[:80"}) {
    EXPECT_EQ(MessageOf(ParseHostPort(text, "--listen").status()),
              std::string("--listen: \"") + text +
                  "\" is not HOST:PORT. Write, say, lab:7300 or [::1]:7300.");
  }
}

}  // namespace
}  // namespace broadside::rpc
