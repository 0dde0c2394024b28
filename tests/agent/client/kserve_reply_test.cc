#include "agent/client/kserve_reply.h"

#include <gtest/gtest.h>

namespace broadside::agent {
namespace {

std::string Padded(std::string text) {
  text.reserve(text.size() + Buffer::kPadding);
  return text;
}

TEST(KserveChecker, JsonTable) {
  struct Case {
    std::string body;
    bool valid;
  };
  const std::string output = R"({"name":"Y","datatype":"FP32","shape":[1,2],"data":[1.0,2.5]})";
  const Case cases[] = {
      {R"({"id":"r1","model_name":"m","model_version":"1","outputs":[)" + output + "]}", true},
      {R"({"outputs":[)" + output + "," + output + "]}", true},
      {R"({"outputs":[{"name":"Y","datatype":"FP32","shape":[],"data":[1]}]})", true},
      {R"({"outputs":[{"data":[["a"],["b"]],"shape":[2,1],"datatype":"BYTES","name":"Y"}]})", true},
      {R"({"error":"[request id: r1] Exceeds maximum queue size"})", false},
      {R"({"outputs":[)" + output + R"(],"error":"late"})", false},
      {R"({"outputs":[]})", false},
      {R"({"model_name":"m"})", false},
      {R"({"outputs":[{"name":"Y","datatype":"FP32","shape":[1,0],"data":[]}]})", false},
      {R"({"outputs":[{"name":"Y","datatype":"FP32","shape":[1,2],"data":[]}]})", false},
      {R"({"outputs":[{"name":"Y","datatype":"FP32","shape":[1,2]}]})", false},
      {R"({"outputs":[{"datatype":"FP32","shape":[1],"data":[1]}]})", false},
      {R"({"outputs":[{"name":"Y","datatype":"FP32","shape":"1","data":[1]}]})", false},
      {R"({"outputs":[{"name":"Y","datatype":"FP32","shape":[-1],"data":[1]}]})", false},
      {R"({"outputs":{"name":"Y"}})", false},
      {R"({"outputs":[)" + output + "]", false},
      {R"({"outputs":[)" + output + "]} trailing", false},
      {R"([1,2])", false},
      {"", false},
      {"   ", false},
      {"<html>busy</html>", false},
  };
  KserveChecker checker;
  for (const Case& c : cases) {
    EXPECT_EQ(checker.Valid(Padded(c.body), -1), c.valid) << c.body;
  }
}

TEST(KserveChecker, BinaryTable) {
  const std::string json =
      R"({"outputs":[{"name":"Y","datatype":"FP32","shape":[2],"parameters":{"binary_data_size":8}}]})";
  const auto length = static_cast<int64_t>(json.size());
  KserveChecker checker;
  EXPECT_TRUE(checker.Valid(Padded(json + "12345678"), length));
  EXPECT_FALSE(checker.Valid(Padded(json + "1234567"), length));
  EXPECT_FALSE(checker.Valid(Padded(json + "123456789"), length));
  EXPECT_FALSE(checker.Valid(Padded(json + "12345678"), length + 9));
  EXPECT_FALSE(checker.Valid(Padded(json), -1));
  EXPECT_TRUE(checker.Valid(Padded("12345678"), 0));  // a raw tensor
  EXPECT_FALSE(checker.Valid(Padded(""), 0));
  const std::string empty =
      R"({"outputs":[{"name":"Y","datatype":"FP32","shape":[0],"parameters":{"binary_data_size":0}}]})";
  EXPECT_FALSE(checker.Valid(Padded(empty), static_cast<int64_t>(empty.size())));
}

TEST(KserveChecker, LongAndCompressedRepliesAreNotJudged) {
  KserveChecker checker;
  ReplyParser parser;
  const std::string body = R"({"outputs":[]})";
  const std::string head =
      "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n";
  size_t used = 0;
  parser.Start(false, 4);
  const std::string plain = Padded(head + "\r\n" + body);
  parser.Feed(plain.data(), plain.size(), used);
  EXPECT_EQ(checker.Check(parser), ReplyCheck::kUnvalidated);
  parser.Start(false, 4096);
  parser.Feed(plain.data(), plain.size(), used);
  EXPECT_EQ(checker.Check(parser), ReplyCheck::kInvalid);
  parser.Start(false, 4096);
  const std::string gzip = Padded(head + "Content-Encoding: gzip\r\n\r\n" + body);
  parser.Feed(gzip.data(), gzip.size(), used);
  EXPECT_EQ(checker.Check(parser), ReplyCheck::kUnvalidated);
}

}  // namespace
}  // namespace broadside::agent
