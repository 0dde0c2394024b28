#include "common/plan/vegeta.h"

#include <gmock/gmock.h>

namespace broadside::plan {
namespace {

std::string Error(std::string_view text, std::string_view format = "http") {
  const auto targets = ParseVegetaTargets(text, format, "targets.txt");
  return targets.ok() ? "no error" : MessageOf(targets.status());
}

TEST(Vegeta, TheGuidesFileWorksUnchanged) {
  const auto targets = ParseVegetaTargets(
      "POST http://localhost:8000/v2/models/resnet50/infer\n"
      "Content-Type: application/json\n"
      "@payload.json\n",
      "http", "targets.txt");
  ASSERT_TRUE(targets.ok()) << targets.status();
  ASSERT_EQ(targets->size(), 1u);
  const VegetaTarget& target = targets->front();
  EXPECT_EQ(target.method, "POST");
  EXPECT_EQ(target.url.host, "localhost");
  EXPECT_EQ(target.url.port, 8000);
  EXPECT_EQ(target.url.path, "/v2/models/resnet50/infer");
  EXPECT_THAT(target.headers, testing::ElementsAre(Header{"Content-Type", "application/json"}));
  EXPECT_EQ(target.body_file, "payload.json");
  EXPECT_EQ(target.line, 1);
}

TEST(Vegeta, FormsThatItsUsersWrite) {
  const auto targets = ParseVegetaTargets(
      "# all of it\r\n"
      "\r\n"
      "GET http://a/\r\n"
      "GET http://b:81/x?y=1\r\n"
      "  X-A: 1 \r\n"
      "# among headers\r\n"
      "X-A: 2\r\n"
      "\r\n"
      "# between targets\r\n"
      "PUT http://[::1]:9/z\r\n"
      "@ body.bin\r\n"
      "DELETE http://c",
      "http", "targets.txt");
  ASSERT_TRUE(targets.ok()) << targets.status();
  ASSERT_EQ(targets->size(), 4u);
  EXPECT_EQ((*targets)[0].url.path, "/");
  EXPECT_THAT((*targets)[1].headers, testing::ElementsAre(Header{"X-A", "1"}, Header{"X-A", "2"}));
  EXPECT_EQ((*targets)[2].url.host, "::1");
  EXPECT_EQ((*targets)[2].body_file, "body.bin");
  EXPECT_EQ((*targets)[3].line, 12);
}

TEST(Vegeta, LinesOver64KiBAreFine) {
  const std::string text = "GET http://a/\nX-Long: " + std::string(100'000, 'x') + "\n";
  EXPECT_EQ(Error(text), "no error");
}

TEST(Vegeta, WhatVegetaReadsDifferentlyIsAnError) {
  const std::pair<const char*, const char*> kCases[] = {
      {"GET http://a/\nX-A: 1\nGET http://x/\n",
       "targets.txt:3: \"GET http://x/\" would be read as a header of the target in line 1: put an "
       "empty line between targets."},
      {"GET http://a/\n# comment\nGET http://x/\n",
       "targets.txt:3: \"GET http://x/\" would be read as a header of the target in line 1, "
       "because "
       "the comment in line 2 begins its headers: put an empty line between targets."},
      {"GET http://a/ HTTP/1.1\n",
       "targets.txt:1: \"HTTP/1.1\" would become part of the URL: leave it out."},
      {"GET http://a/b c\n", "targets.txt:1: the URL \"http://a/b c\" holds a space; write %20."},
      {"\nGET /a\n",
       "targets.txt:2: the URL \"/a\" is relative: Vegeta's files have whole URLs, "
       "http://HOST:PORT/a."},
      {"get http://a/\n", "targets.txt:1: the method \"get\" is not in capitals: write GET."},
      {"POST http://a/\n@b.json\nX-A: 1\n",
       "targets.txt:3: \"X-A: 1\" stands after the @body of the target in line 1, which ends it: "
       "put headers above @."},
      {"POST http://a/\n@\n", "targets.txt:2: after @ stands the body's file."},
      {"@b.json\n", "targets.txt:1: \"@b.json\": a body without a target above it."},
      {"http://a/\n",
       "targets.txt:1: \"http://a/\" is not a target. Write METHOD URL, as in GET http://HOST/."},
      {"GET http://a/\nnonsense\n",
       "targets.txt:2: \"nonsense\" is not a header of the target in line 1. Write NAME: VALUE."},
      {"GET http://a/\nX-A:\n",
       "targets.txt:2: \"X-A:\" is not a header of the target in line 1. Write NAME: VALUE."},
      {"GET http://a/\nContent-Length: 3\n",
       "targets.txt:2: header \"Content-Length\" is written by Broadside itself; leave it out."},
      {"GET ftp://a/\n",
       "targets.txt:1: \"ftp://a/\" is not a URL: the scheme is none of http, https, grpc, grpcs. "
       "Write http://HOST:PORT/PATH."},
      {"GET http://a:99999/\n",
       "targets.txt:1: \"http://a:99999/\" is not a URL: the port is not 1 … 65535. Write "
       "http://HOST:PORT/PATH."},
      {"# nothing\n\n",
       "targets.txt:1: no target in this file. Write METHOD URL, as in GET http://HOST/."},
  };
  for (const auto& [text, message] : kCases) EXPECT_EQ(Error(text), message);
}

TEST(Vegeta, JsonForm) {
  const auto targets = ParseVegetaTargets(
      "{\"method\":\"POST\",\"url\":\"http://a/\",\"body\":\"aGVsbG8=\",\"header\":{\"X-A\":[\"1\","
      "\"2\"]}}\n\n  {\"method\":\"GET\",\"url\":\"http://b/\",\"body\":null}",
      "json", "t.jsonl");
  ASSERT_TRUE(targets.ok()) << targets.status();
  ASSERT_EQ(targets->size(), 2u) << "a last line without newline counts";
  EXPECT_EQ((*targets)[0].body, "hello");
  EXPECT_THAT((*targets)[0].headers, testing::ElementsAre(Header{"X-A", "1"}, Header{"X-A", "2"}));
  EXPECT_EQ((*targets)[1].line, 3);
}

TEST(Vegeta, JsonFormErrors) {
  const std::pair<const char*, const char*> kCases[] = {
      {"[{\"method\":\"GET\"}]",
       "targets.txt:1: a JSON array; Vegeta's json form is one object a line, without brackets."},
      {"{\"method\":\"GET\"}", "targets.txt:1: url is missing."},
      {"{\"url\":\"http://a/\"}", "targets.txt:1: method is missing."},
      {"{\"method\":1,\"url\":\"http://a/\"}", "targets.txt:1: method is not a string."},
      {"{\"method\":\"get\",\"url\":\"http://a/\"}",
       "targets.txt:1: the method \"get\" is not in capitals."},
      {"{\"method\":\"GET\",\"url\":\"http://a/\",\"headers\":{}}",
       "targets.txt:1: unknown key \"headers\". Did you mean \"header\"?"},
      {"{\"method\":\"GET\",\"url\":\"http://a/\",\"body\":\"{}\"}",
       "targets.txt:1: body \"{}\" is not base64; Vegeta's json form has it so."},
      {"{\"method\":\"GET\",\"url\":\"http://a/\",\"header\":{\"K\":\"v\"}}",
       "targets.txt:1: header \"K\" is not a list. Write {\"K\": [\"VALUE\"]}."},
      {"{\"method\":\"GET\",\n\"url\":\"http://a/\"}",
       "targets.txt:1: \"{\"method\":\"GET\",\" is not a JSON object on one line, as in "
       "{\"method\": \"GET\", \"url\": …}."},
      {"\n", "targets.txt:1: no target in this file. Write METHOD URL, as in GET http://HOST/."},
  };
  for (const auto& [text, message] : kCases) EXPECT_EQ(Error(text, "json"), message);
}

}  // namespace
}  // namespace broadside::plan
