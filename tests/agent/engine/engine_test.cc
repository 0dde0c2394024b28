#include "agent/engine/engine.h"

#include <gtest/gtest.h>

#include "tests/agent/engine/harness.h"
#include "tests/agent/engine/test_server.h"

namespace broadside::agent {
namespace {

using stats::Measure;
using std::chrono::milliseconds;

TEST(Engine, EveryArrivalIsSentOnceAndAnswered) {
  TestServer server([](const std::string&, int) { return Scripted{}; });
  Harness run({.port = server.port(), .stamp = true});
  run.Run();
  run.CheckLaws();
  const stats::Counters totals = run.Totals();
  EXPECT_EQ(run.Arrivals(), 100u);
  EXPECT_EQ(totals.scheduled, run.Arrivals());
  EXPECT_EQ(totals.sent, run.Arrivals());
  EXPECT_EQ(totals.ok, run.Arrivals());
  EXPECT_EQ(run.Merged("ok", Measure::kLatency).n(), run.Arrivals());
  EXPECT_EQ(run.Merged("ok", Measure::kService).n(), run.Arrivals());
  EXPECT_EQ(run.Merged("ok", Measure::kWait).n(), run.Arrivals());
  EXPECT_EQ(run.Merged("ok", Measure::kFirstByte).n(), run.Arrivals());
  EXPECT_EQ(run.Merged("*", Measure::kLag).n(), run.Arrivals());
  std::map<std::string, int> stamps;
  for (const std::string& request : server.log()) {
    const size_t at = request.find("broadside-arrival: ");
    ASSERT_NE(at, std::string::npos);
    ++stamps[request.substr(at + 19, request.find("\r\n", at) - at - 19)];
  }
  EXPECT_EQ(stamps.size(), run.Arrivals());
  EXPECT_EQ(stamps.count("7f3a2c/0/99"), 1u);
}

Scripted WithBody(const std::string& body) {
  Scripted reply;
  reply.bytes =
      "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  return reply;
}

TEST(Engine, SeveralLoopsShareOneSchedule) {
  TestServer server([](const std::string&, int) { return Scripted{}; });
  Harness run({.port = server.port(), .rate = 400, .loops = 3, .stamp = true});
  run.Run();
  run.CheckLaws();
  EXPECT_EQ(run.Totals().ok, run.Arrivals());
  std::map<std::string, int> stamps;
  for (const std::string& request : server.log()) {
    const size_t at = request.find("broadside-arrival: ");
    ++stamps[request.substr(at, request.find("\r\n", at) - at)];
  }
  EXPECT_EQ(stamps.size(), run.Arrivals());
}

// The signature test against coordinated omission: the server stalls, the schedule does not.
TEST(Engine, AStallIsCountedForEveryArrivalThatMeetsIt) {
  TestServer server([](const std::string&, int n) { return Scripted{.hold = n >= 20 && n < 50}; });
  Harness run({.port = server.port(), .connections = 128});
  run.Start();
  run.Finish();
  // Held requests are let go when the whole schedule has been sent: nobody waited for a reply.
  run.Until([&](const stats::Snapshot& s) {
    return !s.counters.empty() && s.counters[0].counters.sent == run.Arrivals();
  });
  server.Release();
  run.Wait();
  run.CheckLaws();
  EXPECT_EQ(run.Totals().ok, run.Arrivals());
  const int64_t slow = 150'000'000;
  const auto slower = [&](Measure measure, const char* key) {
    const stats::Histogram h = run.Merged(key, measure);
    return h.n() - h.CountAtOrBelow(slow);
  };
  EXPECT_EQ(slower(Measure::kLatency, "ok"), 30u);
  EXPECT_EQ(slower(Measure::kService, "ok"), 30u);
  EXPECT_EQ(slower(Measure::kWait, "ok"), 0u);
  EXPECT_EQ(run.Totals().limited, 0u);
}

TEST(Engine, WithOneConnectionTheStallIsWait) {
  TestServer server([](const std::string&, int n) { return Scripted{.hold = n == 20}; });
  Harness run({.port = server.port(), .connections = 1});
  run.Start();
  run.Finish();
  run.Until([&](const stats::Snapshot& s) {
    return !s.counters.empty() && s.counters[0].counters.scheduled == run.Arrivals();
  });
  server.Release();
  run.Wait();
  run.CheckLaws();
  EXPECT_EQ(run.Totals().ok, run.Arrivals());
  EXPECT_EQ(server.connections(), 1);
  const int64_t slow = 150'000'000;
  const auto slower = [&](Measure measure) {
    const stats::Histogram h = run.Merged("ok", measure);
    return h.n() - h.CountAtOrBelow(slow);
  };
  // The held one is slow in service; those due while it was held, at least 150 ms, only in wait.
  EXPECT_EQ(slower(Measure::kService), 1u);
  EXPECT_GE(slower(Measure::kLatency), 40u);
  EXPECT_GE(slower(Measure::kWait), 39u);
  EXPECT_GE(run.Totals().limited, 70u);
  EXPECT_EQ(run.Totals().own_fault, 0u);
}

TEST(Engine, DropsAboveInFlight) {
  TestServer server([](const std::string&, int) { return Scripted{.hold = true}; });
  Harness run({.port = server.port(), .in_flight = 8, .connections = 4});
  run.Start();
  run.Finish();
  run.Until([&](const stats::Snapshot& s) {
    return !s.counters.empty() && s.counters[0].counters.scheduled == run.Arrivals();
  });
  server.Release();
  run.Wait();
  run.CheckLaws();
  const stats::Counters totals = run.Totals();
  EXPECT_EQ(totals.sent, 8u);
  EXPECT_EQ(totals.ok, 8u);
  EXPECT_EQ(totals.dropped, run.Arrivals() - 8);
  EXPECT_EQ(totals.own_fault, 0u);
  EXPECT_EQ(server.connections(), 4);
}

TEST(Engine, SkipDropsInsteadOfWaiting) {
  TestServer server([](const std::string&, int) { return Scripted{.hold = true}; });
  Harness run({.port = server.port(), .connections = 4, .backlog = plan::Backlog::kSkip});
  run.Start();
  run.Finish();
  run.Until([&](const stats::Snapshot& s) {
    return !s.counters.empty() && s.counters[0].counters.scheduled == run.Arrivals();
  });
  server.Release();
  run.Wait();
  run.CheckLaws();
  // The first few may have come before the spare connections were there.
  EXPECT_EQ(run.Totals().sent, 4u);
  EXPECT_EQ(run.Totals().dropped, run.Arrivals() - 4);
}

TEST(Engine, OneDeadlineForWaitingAndAnswering) {
  TestServer server([](const std::string&, int) { return Scripted{.hold = true}; });
  Harness run({.port = server.port(), .timeout = milliseconds(150), .connections = 1});
  run.Run();
  run.CheckLaws();
  const stats::Counters totals = run.Totals();
  const auto outcomes = run.Outcomes();
  EXPECT_EQ(totals.sent + totals.expired, run.Arrivals());
  EXPECT_GE(totals.sent,
            2u);  // a timed-out connection is closed and the next one waiting opens its own
  EXPECT_EQ(outcomes.at("timeout_client"), totals.sent);
  EXPECT_EQ(totals.failed, totals.sent);
  EXPECT_EQ(run.Merged("timeout_client", Measure::kLatency).n(), totals.sent);
  EXPECT_GE(run.Merged("timeout_client", Measure::kLatency).exact().min, 150'000'000);
}

TEST(Engine, RefusedPortIsAnOutcome) {
  uint16_t port = 0;
  {
    TestServer server([](const std::string&, int) { return Scripted{}; });
    port = server.port();
  }
  Harness run({.port = port});
  run.Run();
  run.CheckLaws();
  EXPECT_EQ(run.Outcomes().at("connect"), run.Arrivals());
  EXPECT_EQ(run.Totals().unsent_failures, run.Arrivals());
}

TEST(Engine, RepliesAreClassified) {
  TestServer server([](const std::string&, int n) -> Scripted {
    switch (n % 10) {
      case 0:
        return {.bytes = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", .reset = true};
      case 1:
        return {.bytes = "", .close = true};
      case 2:
        return {.bytes = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
                .more = "2\r\nde\r\n0\r\n\r\n",
                .pause = milliseconds(1)};
      case 3:
        return {.bytes = "HTTP/1.1 200 OK\r\n\r\nuntil close", .close = true};
      case 4:
        return {.bytes = "SSH-2.0-OpenSSH_9.2\r\n"};
      case 5:
        return {.bytes =
                    "HTTP/1.1 503 Busy\r\nx-envoy-overloaded: true\r\nContent-Length: 0\r\n\r\n"};
      case 6:
        return {.bytes = "HTTP/1.1 503 Busy\r\nContent-Length: 19\r\n\r\nno healthy upstream"};
      case 7:
        return {.bytes = "HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n"};
      case 8:
        return {.bytes = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
                .close = true};
      default:
        return {.bytes = "HTTP/1.1 429 Slow down\r\nContent-Length: 0\r\n\r\n"};
    }
  });
  Harness run({.port = server.port()});
  run.Run();
  run.CheckLaws();
  const auto outcomes = run.Outcomes();
  EXPECT_EQ(server.requests(), static_cast<int>(run.Arrivals()));
  const std::map<std::string, uint64_t> want = {{"reset", 20}, {"ok", 30},         {"protocol", 10},
                                                {"eject", 10}, {"limit_near", 10}, {"redirect", 10},
                                                {"rate", 10}};
  EXPECT_EQ(outcomes, want);
  EXPECT_EQ(run.Totals().rejected, 30u);
  EXPECT_EQ(run.Totals().failed, 40u);
}

TEST(Engine, KserveErrorsUnder200AreErrorReplies) {
  const std::string good =
      R"({"outputs":[{"name":"Y","datatype":"FP32","shape":[1,1],"data":[1.0]}]})";
  TestServer server([&](const std::string&, int n) {
    switch (n % 4) {
      case 0:
        return WithBody(R"({"error":"generate expects model to produce exactly 1 response"})");
      case 1:
        return WithBody("");
      case 2:
        return WithBody(R"({"outputs":[{"name":"Y","datatype":"FP32","shape":[1,0],"data":[]}]})");
      default:
        return WithBody(good);
    }
  });
  Harness run({.port = server.port(), .kserve = true});
  run.Run();
  run.CheckLaws();
  EXPECT_EQ(run.Outcomes().at("error_reply"), 75u);
  EXPECT_EQ(run.Outcomes().at("ok"), 25u);
  EXPECT_EQ(run.Totals().inferences, 25u);
}

TEST(Engine, FreshConnectionForEachRequest) {
  TestServer server([](const std::string&, int) { return Scripted{}; });
  Harness run({.port = server.port(), .reuse = false});
  run.Run();
  run.CheckLaws();
  EXPECT_EQ(run.Totals().ok, run.Arrivals());
  EXPECT_GE(server.connections(), static_cast<int>(run.Arrivals()));
}

TEST(Engine, IdleConnectionsThatThePeerClosesAreReplaced) {
  // Without "Connection: close": the client learns of the end by the end.
  TestServer server([](const std::string&, int) { return Scripted{.close = true}; });
  Harness run({.port = server.port(), .rate = 100});
  run.Run();
  run.CheckLaws();
  EXPECT_EQ(run.Totals().ok + run.Totals().failed, run.Arrivals());
  EXPECT_GE(run.Totals().ok, run.Arrivals() * 9 / 10);
}

TEST(Engine, StopExpiresTheRestAndAwaitsReplies) {
  TestServer server([](const std::string&, int) { return Scripted{.hold = true}; });
  Harness run({.port = server.port(), .length = milliseconds(1000), .connections = 10});
  run.Start();
  run.Until([&](const stats::Snapshot& s) {
    return !s.counters.empty() && s.counters[0].counters.waiting >= 10;
  });
  const RunTime end =
      IntervalStart(IntervalOf(run.Now(), milliseconds(100)) + 1, milliseconds(100));
  run.engine().Stop(end);
  run.engine().Finish(end);
  run.Until([&](const stats::Snapshot& s) { return s.counters[0].counters.waiting == 0; });
  server.Release();
  run.Wait();
  run.CheckLaws();
  const stats::Counters totals = run.Totals();
  EXPECT_EQ(totals.sent, 10u);
  EXPECT_EQ(totals.ok, 10u);
  EXPECT_GE(totals.scheduled, run.segment().CountBefore(end)) << "and what was taken up beyond";
  EXPECT_EQ(totals.expired, totals.scheduled - 10);
  EXPECT_EQ(totals.own_fault, 0u);
  EXPECT_EQ(totals.after_stop, 0u);
}

TEST(Engine, AStopHeardLateTellsWhatWasSentBeyondIt) {
  TestServer server([](const std::string&, int) { return Scripted{.hold = true}; });
  Harness run({.port = server.port(), .length = milliseconds(1000), .connections = 10});
  run.Start();
  // At 400/s 10 are sent and some wait; the stop names an end before all of them.
  run.Until([&](const stats::Snapshot& s) {
    return !s.counters.empty() && s.counters[0].counters.waiting >= 10;
  });
  const RunTime end = RunStart();
  run.engine().Stop(end);
  run.engine().Finish(end);
  run.Until([&](const stats::Snapshot& s) { return s.counters[0].counters.waiting == 0; });
  server.Release();
  run.Wait();
  const stats::Counters totals = run.Totals();
  EXPECT_TRUE(totals.Closes());
  EXPECT_EQ(totals.after_stop, 10u);
  EXPECT_GE(totals.expired, 10u);
}

TEST(Engine, SilentAfterTheLeaseEnds) {
  TestServer server([](const std::string&, int) { return Scripted{}; });
  Harness run({.port = server.port(), .lease = milliseconds(120)});
  run.Run();
  run.CheckLaws();
  const stats::Counters totals = run.Totals();
  EXPECT_EQ(totals.scheduled, run.Arrivals());
  EXPECT_GT(totals.sent, 0u);
  EXPECT_LE(totals.sent, 41u);  // 100 ms at 400/s
  EXPECT_EQ(totals.expired, totals.scheduled - totals.sent);
  EXPECT_EQ(totals.own_fault, totals.expired);
  EXPECT_EQ(static_cast<uint64_t>(server.requests()), totals.sent);
}

TEST(Engine, WhatWaitsAtALapseExpires) {
  TestServer server([](const std::string&, int) { return Scripted{.hold = true}; });
  Harness run({.port = server.port(), .connections = 1, .lease = milliseconds(120)});
  run.Start();
  run.Finish();
  run.Until([&](const stats::Snapshot& s) {
    return !s.counters.empty() && s.counters[0].counters.scheduled == run.Arrivals();
  });
  server.Release();
  run.Wait();
  run.CheckLaws();
  EXPECT_EQ(run.Totals().sent, 1u);
  EXPECT_EQ(run.Totals().expired, run.Arrivals() - 1);
  EXPECT_EQ(server.requests(), 1);
}

TEST(Engine, NothingIsSentWithoutAGrant) {
  TestServer server([](const std::string&, int) { return Scripted{}; });
  Harness run({.port = server.port(), .length = milliseconds(200), .grant = false});
  run.Run();
  EXPECT_EQ(server.requests(), 0);
  EXPECT_EQ(run.Totals().sent, 0u);
}

TEST(Engine, HistogramsEqualTheRawRecordsSlotForSlot) {
  TestServer server([](const std::string&, int n) {
    return n % 7 == 0 ? Scripted{.bytes = "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"}
                      : Scripted{.delay = milliseconds(n % 5)};
  });
  const std::string file = testing::TempDir() + "/engine_raw_records.csv";
  Harness run({.port = server.port(), .rate = 400, .connections = 3, .loops = 2, .record = file});
  run.Run();
  run.CheckLaws();
  std::ifstream in(file);
  std::string line;
  std::getline(in, line);
  EXPECT_EQ(
      line,
      "segment,index,phase,target,due_ns,ready_ns,sent_ns,first_byte_ns,completed_ns,outcome");
  std::map<std::pair<std::string, Measure>, stats::Histogram> raw;
  uint64_t rows = 0;
  std::map<uint64_t, int> indices;
  while (std::getline(in, line)) {
    ++rows;
    std::vector<std::string> f;
    std::stringstream fields(line);
    for (std::string field; std::getline(fields, field, ',');) f.push_back(field);
    ASSERT_EQ(f.size(), 10u) << line;
    ++indices[std::stoull(f[1])];
    const auto at = [&](int i) { return std::stoll(f[static_cast<size_t>(i)]); };
    EXPECT_EQ(at(4), run.segment().Due(std::stoull(f[1])).time_since_epoch().count());
    raw[{f[9], Measure::kLatency}].Record(at(8) - at(4));
    raw[{"*", Measure::kLag}].Record(at(5) - at(4));
    if (f[9] != "ok") continue;
    raw[{"ok", Measure::kService}].Record(at(8) - at(6));
    raw[{"ok", Measure::kWait}].Record(at(6) - at(5));
    raw[{"ok", Measure::kFirstByte}].Record(at(7) - at(6));
  }
  EXPECT_EQ(rows, run.Arrivals());
  EXPECT_EQ(indices.size(), run.Arrivals());
  EXPECT_EQ(raw.size(), 6u);
  for (const auto& [key, histogram] : raw) {
    EXPECT_TRUE(run.Merged(key.first, key.second) == histogram)
        << key.first << " " << stats::MeasureName(key.second);
  }
}

TEST(Engine, GaugesAndEdges) {
  TestServer server([](const std::string&, int) { return Scripted{.delay = milliseconds(20)}; });
  Harness run({.port = server.port(), .rate = 100});
  const auto& snapshots = run.Run();
  uint64_t integral = 0, most = 0;
  for (const stats::Snapshot& snapshot : snapshots) {
    ASSERT_EQ(snapshot.gauges.size(), 1u);
    integral += snapshot.gauges[0].in_flight_ns;
    most = std::max(most, snapshot.gauges[0].in_flight_max);
    for (const stats::OutcomeCount& outcome : snapshot.outcomes) {
      if (outcome.in_interval == 0) continue;
      EXPECT_LE(outcome.first_due, outcome.last_due);
      EXPECT_LE(outcome.first_end, outcome.last_end);
      EXPECT_GE(outcome.first_end, outcome.first_due);
      EXPECT_EQ(outcome.longest_run, outcome.in_interval);
      EXPECT_EQ(IntervalOf(outcome.last_end, milliseconds(100)), snapshot.interval);
    }
    EXPECT_EQ(snapshot.health.loops, 1u);
  }
  EXPECT_GE(most, 2u);
  // Little's law, exactly: the integral of what is in flight is the sum of the service times.
  EXPECT_EQ(uint128{integral}, run.Merged("ok", Measure::kService).exact().sum);
}

TEST(Engine, RefusesWhatItCannotDo) {
  auto plan = std::make_shared<plan::Plan>();
  plan->targets.push_back({.name = "t"});
  auto workload = std::make_shared<Workload>();
  workload->endpoints.push_back({"127.0.0.1", 443, true, "t"});
  RunSetup setup{.plan = plan, .workloads = {workload}};
  const auto tls = Engine::Create({}, setup, [](stats::Snapshot) {});
  EXPECT_EQ(MessageOf(tls.status()),
            "target \"t\": https is not in this version yet; use an http:// URL");
  setup.connections = 0;
  EXPECT_FALSE(Engine::Create({}, setup, [](stats::Snapshot) {}).ok());
  workload->endpoints[0].tls = false;
  setup.connections = 1;
  EngineOptions options;
  options.record_requests = "/nonexistent/dir/file";
  EXPECT_EQ(MessageOf(Engine::Create(options, setup, [](stats::Snapshot) {}).status()),
            "--record-requests /nonexistent/dir/file: No such file or directory");
}

TEST(Engine, UnresolvableNameFailsTheWarmUp) {
  auto plan = std::make_shared<plan::Plan>();
  plan->targets.push_back({.name = "t"});
  auto workload = std::make_shared<Workload>();
  workload->endpoints.push_back({"no such host", 80, false, ""});
  workload->requests.emplace_back();
  auto engine = Engine::Create({}, {.plan = plan, .workloads = {workload}}, [](stats::Snapshot) {});
  ASSERT_TRUE(engine.ok());
  std::mutex mutex;
  std::condition_variable changed;
  std::optional<Status> told;
  (*engine)->Warm(std::chrono::seconds(5), [&](Status status) {
    const std::lock_guard lock(mutex);
    told = status;
    changed.notify_all();
  });
  std::unique_lock lock(mutex);
  ASSERT_TRUE(changed.wait_for(lock, std::chrono::seconds(20), [&] { return told.has_value(); }));
  EXPECT_EQ(MessageOf(*told).rfind("cannot resolve \"no such host\"", 0), 0u) << *told;
}

}  // namespace
}  // namespace broadside::agent
