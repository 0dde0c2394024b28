#include <gtest/gtest.h>

#include "tests/agent/engine/counting_new.h"
#include "tests/agent/engine/harness.h"
#include "tests/agent/engine/test_server.h"

namespace broadside::agent {
namespace {

// A loop may allocate when an interval ends (its part of the snapshot) and at first uses; a
// thousand requests a second must not add to that.
TEST(Allocation, NoneForEachRequestAfterWarmUp) {
  const std::string body = R"({"outputs":[{"name":"Y","datatype":"FP32","shape":[1],"data":[1]}]})";
  TestServer server([&](const std::string&, int n) -> Scripted {
    const std::string whole =
        "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n";
    switch (n % 3) {
      case 0:
        return {.bytes = whole + body};
      case 1:
        return {.bytes = whole + body.substr(0, 10), .more = body.substr(10)};
      default:
        return {.bytes = "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy"};
    }
  });
  Harness run({.port = server.port(),
               .rate = 1000,
               .length = std::chrono::milliseconds(800),
               .connections = 4,
               .stamp = true,
               .kserve = true});
  run.Start();
  run.Finish();
  const auto at = [&](IntervalIndex k) {
    run.Until([k](const stats::Snapshot& s) { return s.interval >= k; });
    return LoopAllocations();
  };
  const uint64_t warm = at(3);
  const uint64_t later = at(6);
  run.Wait();
  run.CheckLaws();
  EXPECT_EQ(run.Totals().sent, run.Arrivals());
  EXPECT_GT(warm, 0u);  // the counter counts
  // Three intervals, 300 requests: parts that grow to their size, and nothing else.
  EXPECT_LE(later - warm, 12u);
}

}  // namespace
}  // namespace broadside::agent
