#include "common/plan/values.h"

#include <gmock/gmock.h>

#include "common/plan/parse.h"

namespace broadside::plan {
namespace {

TEST(Durations, AreExact) {
  const std::pair<const char*, int64_t> kCases[] = {{"0s", 0},
                                                    {"1ns", 1},
                                                    {"1.5s", 1'500'000'000},
                                                    {"250ms", 250'000'000},
                                                    {"1h30m", 5'400'000'000'000},
                                                    {"1m0.000000001s", 60'000'000'001},
                                                    {"3us", 3'000},
                                                    {"3µs", 3'000},
                                                    {"0.1s", 100'000'000}};
  for (const auto& [text, nanos] : kCases) {
    const auto value = ParseDuration(text);
    ASSERT_TRUE(value.ok()) << value.status();
    EXPECT_EQ(value->count(), nanos) << text;
    EXPECT_EQ(ParseDuration(DurationText(*value)).value(), *value);
  }
  for (const char* text : {"", "s", "1", "1x", "1s1s", "1m1h", "-1s", "1.5ns", "1..5s", " 1s",
                           "99999999999999999999s", "9999999999h", "1s ", "0x1s"})
    EXPECT_FALSE(ParseDuration(text).ok()) << text;
}

TEST(Rates, AreExactToAMillionth) {
  const std::pair<const char*, MicroRate> kCases[] = {{"100/s", 100'000'000},
                                                      {"6000/min", 100'000'000},
                                                      {"0.5/s", 500'000},
                                                      {"1/h", 278},
                                                      {"100/min", 1'666'667},
                                                      {"10000000/s", 10'000'000'000'000},
                                                      {"36000000000/h", 10'000'000'000'000},
                                                      {"0.000001/s", 1},
                                                      {"7 / s", 7'000'000}};
  for (const auto& [text, micro] : kCases) {
    const auto value = ParseRate(text);
    ASSERT_TRUE(value.ok()) << value.status();
    EXPECT_EQ(*value, micro) << text;
    EXPECT_EQ(ParseRate(RateText(*value)).value(), *value);
  }
  for (const char* text : {"", "/s", "1", "1/d", "-1/s", "1e3/s", "10000000.1/s", "1k/s"})
    EXPECT_FALSE(ParseRate(text).ok()) << text;
}

TEST(Percentages, AreExactToAMillionth) {
  EXPECT_EQ(ParsePercent("0.1%").value(), 1'000);
  EXPECT_EQ(ParsePercent("0.0001%").value(), 1);
  EXPECT_EQ(ParsePercent("150%").value(), 1'500'000);
  EXPECT_EQ(PercentText(1'500'000), "150%");
  EXPECT_EQ(PercentText(1), "0.0001%");
  for (const char* text : {"", "%", "1", "0.00001%", "-1%", "1%%", "100001%"})
    EXPECT_FALSE(ParsePercent(text).ok()) << text;
}

TEST(Urls, Parts) {
  const Url url = ParseUrl("HTTP://Host.x:81/a?b=c#d").value();
  EXPECT_EQ(url.scheme, "http");
  EXPECT_EQ(url.host, "Host.x");
  EXPECT_EQ(url.path, "/a?b=c");
  EXPECT_EQ(url.HostPort(), "Host.x:81");
  EXPECT_EQ(ParseUrl("https://h").value().port, 443);
  EXPECT_EQ(ParseUrl("https://h").value().HostPort(), "h");
  EXPECT_EQ(ParseUrl("http://h?x").value().path, "/?x");
  EXPECT_EQ(ParseUrl("http://[fe80::1]:8080/").value().HostPort(), "[fe80::1]:8080");
  for (const char* text :
       {"", "h", "http:/h", "http://", "http://:80/", "http://h:/", "http://h:x/",
        "http://h:65536/", "http://[::1/", "http://[]/", "http://[::1]x/", "http://h\r\nx/",
        "http://u@h/", "file:///x", "http://a,b/"})
    EXPECT_FALSE(ParseUrl(text).ok()) << text;
}

TEST(Rules, EveryPart) {
  const Rule p = ParseRule("p99.9<50 ms in a+c[1..3] + d[2] on x+y over 10s").value();
  EXPECT_EQ(p.metric.kind, Metric::Kind::kPercentile);
  EXPECT_EQ(p.metric.measure, "latency");
  EXPECT_EQ(p.metric.percentile, 999'000);
  EXPECT_EQ(std::get<Nanos>(p.value), std::chrono::milliseconds(50));
  EXPECT_THAT(p.phases, testing::ElementsAre(PhaseRef{"a", {}, {}}, PhaseRef{"c", 1, 3},
                                             PhaseRef{"d", 2, 2}));
  EXPECT_THAT(p.targets, testing::ElementsAre("x", "y"));
  EXPECT_EQ(p.window.kind, Window::Kind::kOver);
  EXPECT_EQ(p.window.length, std::chrono::seconds(10));

  const Rule wait = ParseRule("wait.p50 >= 1us for 3 intervals on x in a").value();
  EXPECT_EQ(wait.metric.measure, "wait");
  EXPECT_EQ(wait.op, Op::kGreaterEqual);
  EXPECT_EQ(wait.window.kind, Window::Kind::kForIntervals);
  EXPECT_EQ(wait.window.intervals, 3u);

  const Rule error = ParseRule("error_rate <= 0.1 %").value();
  EXPECT_EQ(error.value.index(), 1u);
  EXPECT_EQ(std::get<1>(error.value), 1'000);
  const Rule rate = ParseRule("ok_rate > 900/s").value();
  EXPECT_EQ(rate.value.index(), 2u);
  EXPECT_EQ(std::get<2>(rate.value), 900'000'000);
  const Rule share = ParseRule("achieved < 98% of offered for 5s").value();
  EXPECT_TRUE(share.of_offered);
  EXPECT_EQ(std::get<1>(share.value), 980'000);
  EXPECT_EQ(share.window.kind, Window::Kind::kFor);
  EXPECT_EQ(ParseRule("service.max < 1s").value().metric.kind, Metric::Kind::kMax);
  EXPECT_EQ(ParseRule("first rejection on x").value().metric.kind, Metric::Kind::kFirstRejection);
}

}  // namespace
}  // namespace broadside::plan
