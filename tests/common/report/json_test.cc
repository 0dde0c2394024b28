#include "common/report/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/common/report/sample.h"

namespace broadside::report {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

/// Every key that ARCHITECTURE.md promises.
TEST(ReportJson, HasTheKeysThatOthersBuildOn) {
  const json j = ReportJson(HealthyReport());
  for (const char* pointer : {"/schema",
                              "/run/id",
                              "/run/name",
                              "/run/state",
                              "/run/started",
                              "/run/ended",
                              "/run/seed",
                              "/run/plan_sha256",
                              "/run/versions",
                              "/verdicts/validity/verdict",
                              "/verdicts/validity/reasons",
                              "/verdicts/slo/verdict",
                              "/verdicts/slo/results",
                              "/verdicts/breaker/verdict",
                              "/verdicts/breaker/results",
                              "/ledger/scheduled",
                              "/ledger/sent",
                              "/ledger/dropped",
                              "/ledger/expired",
                              "/ledger/unowned",
                              "/ledger/unreported",
                              "/ledger/ok",
                              "/ledger/rejected",
                              "/ledger/failed",
                              "/ledger/in_flight",
                              "/ledger/after_stop",
                              "/ledger/mismatch",
                              "/coverage/intervals",
                              "/coverage/complete",
                              "/coverage/missing",
                              "/targets/echo/outcomes/ok",
                              "/targets/echo/rate/offered",
                              "/targets/echo/rate/achieved",
                              "/targets/echo/rate/ok",
                              "/targets/echo/service_ns/p99",
                              "/targets/echo/wait_ns/p99",
                              "/targets/echo/lag_ns/p99",
                              "/targets/echo/by_outcome/ok/latency_ns/p99",
                              "/total/latency_ns/p99",
                              "/phases/0/name",
                              "/phases/0/latency_ns/p50",
                              "/intervals/0/k",
                              "/intervals/0/start_ns",
                              "/agents/0/id",
                              "/agents/0/sent",
                              "/agents/0/p50",
                              "/agents/0/p99",
                              "/agents/0/slow_share",
                              "/agents/0/lag_p99",
                              "/agents/0/clock_bound_ns",
                              "/trips",
                              "/searches"}) {
    EXPECT_TRUE(j.contains(json::json_pointer(pointer))) << pointer;
  }
  for (const char* key :
       {"n", "min", "mean", "p50", "p90", "p95", "p99", "p999", "max", "censored"}) {
    EXPECT_TRUE(j["targets"]["echo"]["latency_ns"][key].is_number_integer()) << key;
  }
  EXPECT_EQ(j["schema"], "broadside.report/v1");
  EXPECT_EQ(j["run"]["started"], 1'795'600'931'000'000'000);
  EXPECT_TRUE(j["trips"].is_array());
  EXPECT_TRUE(j["searches"].is_object());
}

TEST(ReportJson, NothingIsNullNeverZero) {
  Report report;
  report.phases.emplace_back();
  const json j = ReportJson(report);
  for (const char* key : {"min", "mean", "p50", "p90", "p95", "p99", "p999", "max"}) {
    EXPECT_TRUE(j["phases"][0]["latency_ns"][key].is_null()) << key;
  }
  EXPECT_TRUE(j["total"]["rate"]["offered"].is_null());
  EXPECT_EQ(j["total"]["latency_ns"]["n"], 0);
}

TEST(ReportJson, RoundTrip) {
  for (const Report& report : {HealthyReport(), TroubledReport(), Report()}) {
    const std::string text = ReportJsonText(report);
    const StatusOr<Report> back = ReportFromJson(text);
    ASSERT_TRUE(back.ok()) << MessageOf(back.status());
    EXPECT_EQ(ReportJsonText(*back), text);
    EXPECT_EQ(back->targets.size(), report.targets.size());
    for (size_t i = 0; i < report.targets.size(); ++i) {
      EXPECT_EQ(back->targets[i].name, report.targets[i].name);
    }
    EXPECT_EQ(back->total.latency.p99_censored, report.total.latency.p99_censored);
    EXPECT_EQ(back->total.latency.p50_censored, report.total.latency.p50_censored);
    EXPECT_EQ(ExitCode(*back, false), ExitCode(report, false));
  }
}

TEST(ReportJson, KeepsEveryBitOfASeed) {
  Report report;
  report.seed = 18446744073709551615ULL;
  const StatusOr<Report> back = ReportFromJson(ReportJsonText(report));
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(back->seed, report.seed);
}

TEST(ReportJson, IgnoresKeysOfLaterVersions) {
  json j = ReportJson(HealthyReport());
  j["later"] = {1, 2};
  j["total"]["latency_ns"]["p9999"] = 7;
  const StatusOr<Report> back = ReportFromJson(j.dump());
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(back->total.latency.p99, HealthyReport().total.latency.p99);
}

TEST(ReportJson, BytesThatAreNoUtf8DoNotThrow) {
  Report report;
  report.name = "a\xff";
  EXPECT_THAT(ReportJsonText(report), HasSubstr("a\xEF\xBF\xBD"));
}

TEST(ReportJson, SaysWhatIsWrong) {
  const std::pair<const char*, const char*> rows[] = {
      {"", "report: not a report of this version"},
      {"[1]", "report: no \"schema\" key"},
      {"{}", "report: no \"schema\" key"},
      {R"({"schema": "broadside.report/v9"})",
       "schema \"broadside.report/v9\"; this version reads"},
      {R"({"schema": "broadside.report/v1", "total": 3})", "not a report of this version"},
      {R"({"schema": "broadside.report/v1", "run": {"id": 3}})", "not a report of this version"},
      {R"({"schema": "broadside.report/v1", "targets": {"a": 3}})", "not a report of this version"},
  };
  for (const auto& [text, message] : rows) {
    const StatusOr<Report> back = ReportFromJson(text);
    ASSERT_FALSE(back.ok()) << text;
    EXPECT_THAT(MessageOf(back.status()), HasSubstr(message)) << text;
  }
}

}  // namespace
}  // namespace broadside::report
