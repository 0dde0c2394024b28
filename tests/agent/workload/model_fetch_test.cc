#include "agent/workload/model_fetch.h"

#include <gtest/gtest.h>

#include "common/plan/parse.h"
#include "tests/agent/engine/test_server.h"

namespace broadside::agent {
namespace {

std::string Reply(int status, const std::string& body) {
  return "HTTP/1.1 " + std::to_string(status) +
         " X\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

plan::Target TargetAt(uint16_t port) {
  plan::Target target;
  target.name = "t";
  target.protocol = plan::Protocol::kKserveHttp;
  target.endpoint = *plan::ParseUrl("http://127.0.0.1:" + std::to_string(port));
  target.model = "m";
  target.model_version = "2";
  target.headers = {{"Authorization", "${secret:k}"}};
  return target;
}

StatusOr<std::string> Secret(const std::string&) { return std::string("letmein"); }

TEST(FetchModelConfig, AsksForTheConfig) {
  Resolver resolver;
  TestServer server([](const std::string&, int) {
    return Scripted{.bytes = Reply(200, R"({"max_batch_size":4,"input":[]})")};
  });
  const auto model = FetchModelConfig(TargetAt(server.port()), Secret, resolver);
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(model->max_batch_size, 4);
  ASSERT_EQ(server.log().size(), 1u);
  EXPECT_EQ(server.log()[0].rfind("GET /v2/models/m/versions/2/config HTTP/1.1\r\n", 0), 0u);
  EXPECT_NE(server.log()[0].find("Authorization: letmein\r\n"), std::string::npos);
}

TEST(FetchModelConfig, FallsBackToTheMetadata) {
  Resolver resolver;
  TestServer server([](const std::string& request, int) {
    return Scripted{.bytes = request.find("/config") != std::string::npos
                                 ? Reply(404, "")
                                 : Reply(200, R"({"inputs":[{"name":"A","datatype":"FP32",)"
                                              R"("shape":[4]}]})")};
  });
  const auto model = FetchModelConfig(TargetAt(server.port()), Secret, resolver);
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(model->inputs[0].name, "A");
}

TEST(FetchModelConfig, Errors) {
  Resolver resolver;
  std::string bytes;
  auto server = std::make_unique<TestServer>(
      [&](const std::string&, int) { return Scripted{.bytes = bytes, .close = true}; });
  const uint16_t port = server->port();
  const auto error = [&] {
    return MessageOf(FetchModelConfig(TargetAt(port), Secret, resolver).status());
  };
  const std::string at = "127.0.0.1:" + std::to_string(port);
  bytes = Reply(400, R"({"error":"Request for unknown model"})");
  EXPECT_EQ(error(), "GET /v2/models/m/versions/2 at " + at +
                         " answered 400: {\"error\":\"Request for unknown model\"}");
  bytes = "SSH-2.0-x\r\n";
  EXPECT_EQ(error(), at + " does not answer as an HTTP server: not an HTTP/1 reply");
  bytes = "";
  EXPECT_EQ(error(), at + " closed the connection before it had answered");
  bytes = Reply(200, "nonsense");
  EXPECT_EQ(error(), "GET /v2/models/m/versions/2/config at " + at +
                         " answered no model configuration: an object with \"input\" was expected, "
                         "found: nonsense");
  server.reset();
  EXPECT_EQ(error(), "cannot connect to " + at + ": Connection refused");
}

TEST(FetchModelConfig, GivesUpAtItsDeadline) {
  Resolver resolver;
  TestServer server([](const std::string&, int) { return Scripted{.hold = true}; });
  const auto model =
      FetchModelConfig(TargetAt(server.port()), Secret, resolver, std::chrono::milliseconds(50));
  EXPECT_EQ(MessageOf(model.status()),
            "127.0.0.1:" + std::to_string(server.port()) + " did not answer in time");
}

}  // namespace
}  // namespace broadside::agent
