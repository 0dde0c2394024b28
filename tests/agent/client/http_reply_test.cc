#include "agent/client/http_reply.h"

#include <gtest/gtest.h>

namespace broadside::agent {
namespace {

using State = ReplyParser::State;

struct Case {
  std::string name;
  std::string wire;
  State want;
  int status = 0;
  std::string body;
  bool keep_alive = true;
  std::string error;
  size_t extra = 0;  ///< bytes of `wire` that are not part of the reply
  bool head_request = false;
};

std::vector<Case> Cases() {
  const std::string ok = "HTTP/1.1 200 OK\r\n";
  return {
      {"length", ok + "Content-Length: 5\r\n\r\nhello", State::kDone, 200, "hello"},
      {"length 0", ok + "Content-Length: 0\r\n\r\n", State::kDone, 200, ""},
      {"no reason phrase", "HTTP/1.1 200\r\nContent-Length: 1\r\n\r\nx", State::kDone, 200, "x"},
      {"bare newlines", "HTTP/1.1 200 OK\ncontent-length: 2\n\nhi", State::kDone, 200, "hi"},
      {"extra", ok + "Content-Length: 2\r\n\r\nhiHTTP", State::kDone, 200, "hi", true, "", 4},
      {"close", ok + "connection: Close\r\nContent-Length: 1\r\n\r\nx", State::kDone, 200, "x",
       false},
      {"http 1.0", "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", State::kDone, 200, "x", false},
      {"http 1.0 kept", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx",
       State::kDone, 200, "x"},
      {"chunked",
       ok + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=\"y\"\r\n0123456789\r\n0\r\n\r\n",
       State::kDone, 200, "abc0123456789"},
      {"chunked with trailers",
       ok + "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nx-a: b\r\nx-c: d\r\n\r\n",
       State::kDone, 200, "a"},
      {"coding beats length",
       ok + "Content-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
       State::kDone, 200, "a", false},
      {"204", "HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n", State::kDone, 204, ""},
      {"304", "HTTP/1.1 304 Not Modified\r\n\r\n", State::kDone, 304, ""},
      {"head", ok + "Content-Length: 70\r\n\r\n", State::kDone, 200, "", true, "", 0, true},
      {"continue first", "HTTP/1.1 100 Continue\r\n\r\n" + ok + "Content-Length: 1\r\n\r\nx",
       State::kDone, 200, "x"},
      {"same length twice", ok + "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx", State::kDone,
       200, "x"},
      {"until close", ok + "\r\nabc", State::kMore, 200, "abc", false},
      {"not enough", ok + "Content-Length: 5\r\n\r\nhel", State::kMore, 200, "hel"},
      // Hostile peers.
      {"ssh", "SSH-2.0-OpenSSH_9.2\r\n", State::kError, 0, "", true, "not an HTTP/1 reply"},
      {"http 2", "HTTP/2 200 OK\r\n\r\n", State::kError, 0, "", true, "not an HTTP/1 reply"},
      {"http 1.7", "HTTP/1.7 200 OK\r\n\r\n", State::kError, 0, "", true, "not an HTTP/1 reply"},
      {"status", "HTTP/1.1 2x0 OK\r\n\r\n", State::kError, 0, "", true, "not an HTTP/1 reply"},
      {"status 099", "HTTP/1.1 099 OK\r\n\r\n", State::kError, 0, "", true, "not an HTTP/1 reply"},
      {"upgrade", "HTTP/1.1 101 Switching\r\n\r\n", State::kError, 0, "", true,
       "unasked-for protocol upgrade"},
      {"lengths differ", ok + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nx", State::kError, 0,
       "", true, "malformed Content-Length"},
      {"negative length", ok + "Content-Length: -1\r\n\r\n", State::kError, 0, "", true,
       "malformed Content-Length"},
      {"endless length", ok + "Content-Length: 99999999999999999999\r\n\r\n", State::kError, 0, "",
       true, "malformed Content-Length"},
      {"huge length", ok + "Content-Length: 999999999999\r\n\r\n", State::kError, 0, "", true,
       "body too large"},
      {"folded header", ok + "a: b\r\n c\r\n\r\n", State::kError, 0, "", true,
       "malformed header line"},
      {"space before colon", ok + "a : b\r\n\r\n", State::kError, 0, "", true,
       "malformed header name"},
      {"chunk size", ok + "Transfer-Encoding: chunked\r\n\r\nzz\r\n", State::kError, 0, "", true,
       "malformed chunk size"},
      {"no chunk size", ok + "Transfer-Encoding: chunked\r\n\r\n\r\n", State::kError, 0, "", true,
       "malformed chunk size"},
      {"huge chunk", ok + "Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n", State::kError,
       0, "", true, "body too large"},
      {"chunk end", ok + "Transfer-Encoding: chunked\r\n\r\n1\r\nabc", State::kError, 0, "", true,
       "malformed chunk end"},
      {"chunk line", ok + "Transfer-Encoding: chunked\r\n\r\n1;" + std::string(5000, 'x'),
       State::kError, 0, "", true, "chunk line too long"},
      {"header block", ok + "a: " + std::string(70'000, 'x'), State::kError, 0, "", true,
       "header block too large"},
      {"trailers", ok + "Transfer-Encoding: chunked\r\n\r\n0\r\na: " + std::string(70'000, 'x'),
       State::kError, 0, "", true, "trailers too large"},
      {"interim flood",
       [] {
         std::string all;
         for (int i = 0; i < 20; ++i) all += "HTTP/1.1 100 Continue\r\n\r\n";
         return all;
       }(),
       State::kError, 0, "", true, "too many interim replies"},
  };
}

/// Every reply must read the same however the network cuts it.
TEST(ReplyParser, TableInPiecesOfAnySize) {
  for (const Case& c : Cases()) {
    for (const size_t piece : {size_t{1}, size_t{2}, size_t{3}, size_t{7}, c.wire.size()}) {
      SCOPED_TRACE(c.name + " in pieces of " + std::to_string(piece));
      ReplyParser parser;
      parser.Start(c.head_request, 1024);
      size_t used_all = 0;
      std::vector<char> chunk(piece + Buffer::kPadding);
      while (used_all < c.wire.size() && parser.state() == State::kMore) {
        const size_t n = std::min(piece, c.wire.size() - used_all);
        std::copy_n(c.wire.data() + used_all, n, chunk.data());
        size_t used = 0;
        parser.Feed(chunk.data(), n, used);
        used_all += used;
      }
      ASSERT_EQ(parser.state(), c.want) << parser.error();
      EXPECT_EQ(parser.error(), c.error);
      if (c.want == State::kError) continue;
      EXPECT_EQ(parser.head().status, c.status);
      EXPECT_EQ(parser.body(), c.body);
      EXPECT_EQ(parser.head().keep_alive, c.keep_alive);
      EXPECT_EQ(c.wire.size() - used_all, c.extra);
    }
  }
}

State FeedAll(ReplyParser& parser, const std::string& wire) {
  size_t used = 0;
  return parser.Feed(wire.data(), wire.size(), used);
}

TEST(ReplyParser, CloseCompletesOnlyABodyWithoutLength) {
  ReplyParser parser;
  parser.Start(false, 16);
  FeedAll(parser, "HTTP/1.1 200 OK\r\n\r\nabc");
  EXPECT_TRUE(parser.FinishAtClose());
  EXPECT_EQ(parser.body(), "abc");
  parser.Start(false, 16);
  EXPECT_FALSE(parser.FinishAtClose());
  FeedAll(parser, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc");
  EXPECT_FALSE(parser.FinishAtClose());
  parser.Start(false, 16);
  FeedAll(parser, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n");
  EXPECT_FALSE(parser.FinishAtClose());
}

TEST(ReplyParser, KeepsAPrefixAndCountsTheRest) {
  ReplyParser parser;
  parser.Start(false, 4);
  EXPECT_EQ(FeedAll(parser, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234"), State::kMore);
  EXPECT_EQ(FeedAll(parser, "56789"), State::kDone);
  EXPECT_EQ(parser.body(), "0123");
  EXPECT_EQ(parser.body_bytes(), 10u);
  EXPECT_FALSE(parser.body_complete());
}

TEST(ReplyParser, BodyLimit) {
  ReplyParser parser(ReplyParser::Limits{.body_bytes = 8});
  parser.Start(false, 4);
  EXPECT_EQ(FeedAll(parser, "HTTP/1.1 200 OK\r\n\r\n123456789"), State::kError);
  parser.Start(false, 4);
  EXPECT_EQ(FeedAll(parser,
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n12345678\r\n1\r\n"),
            State::kError);
  EXPECT_EQ(parser.error(), "body too large");
}

TEST(ReplyParser, Headers) {
  ReplyParser parser;
  parser.Start(false, 64);
  ASSERT_EQ(FeedAll(parser,
                    "HTTP/1.1 503 Service Unavailable\r\nX-Envoy-Overloaded: true\r\n"
                    "x-envoy-upstream-service-time: 3\r\nServer: istio-envoy\r\n"
                    "X-ENVOY-RATELIMITED: true\r\nContent-Encoding: gzip\r\n"
                    "Inference-Header-Content-Length: 12\r\nContent-Length: 0\r\n\r\n"),
            State::kDone);
  EXPECT_TRUE(parser.head().envoy_overloaded);
  EXPECT_TRUE(parser.head().envoy_upstream_time);
  EXPECT_TRUE(parser.head().envoy_ratelimited);
  EXPECT_TRUE(parser.head().from_envoy);
  EXPECT_TRUE(parser.head().encoded);
  EXPECT_EQ(parser.head().inference_header_length, 12);
  parser.Start(false, 64);
  ASSERT_EQ(FeedAll(parser, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), State::kDone);
  EXPECT_FALSE(parser.head().envoy_overloaded);
  EXPECT_EQ(parser.head().inference_header_length, -1);
}

}  // namespace
}  // namespace broadside::agent
