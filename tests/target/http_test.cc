#include "tests/target/http.h"

#include <gtest/gtest.h>

#include <string>

namespace broadside::target {
namespace {

using State = RequestReader::State;

TEST(RequestReader, ReadsARequestThatComesByteByByte) {
  const std::string text =
      "POST /v2/models/m/infer?a=1&b=two HTTP/1.1\r\ncontent-LENGTH: 5\r\n\r\nhello";
  RequestReader reader;
  for (size_t i = 0; i < text.size(); ++i) {
    ASSERT_EQ(reader.Next(), State::kMore) << i;
    reader.Append(&text[i], 1);
  }
  ASSERT_EQ(reader.Next(), State::kReady);
  EXPECT_EQ(reader.request().method, "POST");
  EXPECT_EQ(reader.request().path, "/v2/models/m/infer");
  EXPECT_EQ(reader.request().Query("b"), "two");
  EXPECT_EQ(reader.request().Query("c"), "");
  EXPECT_EQ(reader.request().body, "hello");
  EXPECT_TRUE(reader.request().keep_alive);
}

TEST(RequestReader, KeepsWhatComesBehindARequest) {
  const std::string text = "GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.0\r\n\r\n";
  RequestReader reader;
  reader.Append(text.data(), text.size());
  ASSERT_EQ(reader.Next(), State::kReady);
  EXPECT_EQ(reader.request().path, "/a");
  reader.Consume();
  ASSERT_EQ(reader.Next(), State::kReady);
  EXPECT_EQ(reader.request().path, "/b");
  EXPECT_FALSE(reader.request().keep_alive);
  reader.Consume();
  EXPECT_EQ(reader.Next(), State::kMore);
  EXPECT_EQ(reader.buffered(), 0u);
}

TEST(RequestReader, JoinsChunks) {
  const std::string text =
      "POST / HTTP/1.1\r\nTransfer-Encoding: "
      "chunked\r\n\r\n3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\nGET";
  RequestReader reader;
  for (const char c : text.substr(0, text.size() - 4)) {
    ASSERT_EQ(reader.Next(), State::kMore);
    reader.Append(&c, 1);
  }
  reader.Append(text.data() + text.size() - 4, 4);
  ASSERT_EQ(reader.Next(), State::kReady);
  EXPECT_EQ(reader.request().body, "abc0123456789");
  reader.Consume();
  EXPECT_EQ(reader.buffered(), 3u);
}

TEST(RequestReader, SaysContinueOnce) {
  const std::string head = "POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
  RequestReader reader;
  reader.Append(head.data(), head.size());
  EXPECT_EQ(reader.Next(), State::kContinue);
  EXPECT_EQ(reader.Next(), State::kMore);
  reader.Append("ok", 2);
  EXPECT_EQ(reader.Next(), State::kReady);
}

TEST(RequestReader, RefusesWhatIsNotHttp) {
  for (const std::string text :
       {"hello\r\n\r\n", "GET / SPDY/3\r\n\r\n", "GET / HTTP/1.1\r\nno colon\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: many\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"}) {
    RequestReader reader;
    reader.Append(text.data(), text.size());
    EXPECT_EQ(reader.Next(), State::kBad) << text;
    EXPECT_FALSE(reader.error().empty());
  }
  RequestReader reader;
  const std::string endless(RequestReader::kMaxHead + 1, 'x');
  reader.Append(endless.data(), endless.size());
  EXPECT_EQ(reader.Next(), State::kBad);
}

TEST(ChunkedReply, IsReadableAsChunks) {
  EXPECT_EQ(ChunkedReply(200, "text/plain", "abcdefgh", 5),
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
            "5\r\nabcde\r\n3\r\nfgh\r\n0\r\n\r\n");
}

}  // namespace
}  // namespace broadside::target
