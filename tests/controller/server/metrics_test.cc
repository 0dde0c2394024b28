#include "controller/server/metrics.h"

#include <cmath>
#include <fstream>
#include <set>
#include <sstream>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/controller/server/sample_view.h"

namespace broadside::server {
namespace {

using testing::HasSubstr;
using testing::Not;

/// The page as series → value, both as written.
std::map<std::string, std::string> SeriesOf(const std::string& text) {
  std::map<std::string, std::string> series;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.empty() || line[0] == '#') continue;
    const size_t space = line.rfind(' ');
    EXPECT_TRUE(series.emplace(line.substr(0, space), line.substr(space + 1)).second)
        << "twice: " << line;
  }
  return series;
}

std::set<std::string> FamiliesOf(const std::string& text) {
  std::set<std::string> families;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("# TYPE ", 0) == 0) families.insert(line.substr(7, line.rfind(' ') - 7));
  }
  return families;
}

double SumOf(const std::map<std::string, std::string>& series, const std::string& family) {
  double sum = 0;
  for (const auto& [name, value] : series) {
    if (name.rfind(family + "{", 0) == 0) sum += std::stod(value);
  }
  return sum;
}

constexpr const char* kBusy = R"({run="ab12cd",target="resnet50",model="resnet")";

TEST(DurationBounds, AreHalfPowersOfTwoFrom100MicrosAndThen120Seconds) {
  const auto bounds = DurationBounds();
  for (size_t k = 0; k + 1 < bounds.size(); ++k) {
    const double exact = 100'000 * std::pow(2.0, static_cast<double>(k) / 2);
    EXPECT_NEAR(static_cast<double>(bounds[k]), exact, 0.5 + exact * 1e-12) << k;
  }
  EXPECT_EQ(bounds[40], 104'857'600'000);
  EXPECT_EQ(bounds[41], 120'000'000'000);
}

TEST(DurationOf, CountsAsTheHistogramDoes) {
  stats::Histogram histogram;
  for (int64_t value = 1; value < 500'000'000'000; value += value / 7 + 1) {
    histogram.Record(value, static_cast<uint64_t>(value % 5) + 1);
  }
  const DurationView view = DurationOf(histogram);
  for (size_t i = 0; i < kDurationBounds; ++i) {
    EXPECT_EQ(view.at_or_below[i], histogram.CountAtOrBelow(DurationBounds()[i])) << i;
  }
  EXPECT_EQ(view.n, histogram.n());
  EXPECT_GT(view.n, view.at_or_below.back());
  EXPECT_DOUBLE_EQ(view.sum_seconds, static_cast<double>(histogram.exact().sum) / 1e9);
}

TEST(QuantilesOf, NothingIsNotZeroAndTheUnansweredAreBeyondAnyBound) {
  stats::Histogram histogram;
  for (const double value : QuantilesOf(histogram).seconds) EXPECT_TRUE(std::isnan(value));
  for (const double value : QuantilesOf(histogram, 1).seconds) EXPECT_TRUE(std::isinf(value));
  for (int i = 0; i < 95; ++i) histogram.Record(1'000'000);
  const QuantileView view = QuantilesOf(histogram, 5);
  EXPECT_NEAR(view.seconds[0], 0.001, 1e-6);
  EXPECT_NEAR(view.seconds[1], 0.001, 1e-6);
  EXPECT_TRUE(std::isinf(view.seconds[2]));
  EXPECT_TRUE(std::isinf(view.seconds[3]));
}

TEST(RenderMetrics, ShowsTheFiguresOfATarget) {
  const auto series = SeriesOf(RenderMetrics(SampleView()));
  const std::string busy = kBusy;
  const std::string ok = busy + R"(,outcome="ok")";
  EXPECT_EQ(series.at("broadside_requests_total" + ok + "}"), "4");
  EXPECT_EQ(series.at("broadside_requests_total" + busy + ",outcome=\"limit_near\"}"), "1");
  EXPECT_EQ(series.at("broadside_request_duration_seconds_count" + ok + "}"), "4");
  EXPECT_EQ(series.at("broadside_request_duration_seconds_sum" + ok + "}"), "0.04209");
  const std::string bucket = "broadside_request_duration_seconds_bucket" + ok + ",le=\"";
  EXPECT_EQ(series.at(bucket + "0.0001\"}"), "1");
  EXPECT_EQ(series.at(bucket + "0.000141421\"}"), "1");
  EXPECT_EQ(series.at(bucket + "0.001131371\"}"), "3");
  EXPECT_EQ(series.at(bucket + "0.0512\"}"), "4");
  EXPECT_EQ(series.at(bucket + "120\"}"), "4");
  EXPECT_EQ(series.at(bucket + "+Inf\"}"), "4");
  const std::string quantile = "broadside_request_duration_quantile_seconds" + busy;
  EXPECT_NEAR(std::stod(series.at(quantile + ",window=\"run\",q=\"0.5\"}")), 0.053, 1e-4);
  EXPECT_EQ(series.at(quantile + ",window=\"run\",q=\"0.99\"}"), "+Inf");
  EXPECT_EQ(series.at(quantile + ",window=\"recent\",q=\"0.99\"}"), "Nan");
  EXPECT_EQ(series.at("broadside_requests_scheduled_total" + busy + "}"), "9");
  EXPECT_EQ(series.at("broadside_requests_sent_total" + busy + "}"), "7");
  EXPECT_EQ(series.at("broadside_requests_unsent_total" + busy + ",reason=\"dropped\"}"), "1");
  EXPECT_EQ(series.at("broadside_requests_in_flight" + busy + "}"), "2");
  EXPECT_EQ(series.at("broadside_offered_requests_per_second" + busy + "}"), "10.5");
  EXPECT_EQ(series.at("broadside_achieved_requests_per_second" + busy + "}"), "10");
  EXPECT_EQ(series.at("broadside_bytes_total" + busy + ",direction=\"received\"}"), "1400");
}

TEST(RenderMetrics, ShowsTheRunTheAgentsAndTheStore) {
  const auto series = SeriesOf(RenderMetrics(SampleView()));
  EXPECT_EQ(series.at(R"(broadside_run_info{run="ab12cd",name="say \"hi\"\\\nbye",)"
                      R"(plan_sha256="5891b5b5",seed="18446744073709551615"})"),
            "1");
  EXPECT_EQ(series.at(R"(broadside_run_state{run="ab12cd",state="running"})"), "1");
  EXPECT_EQ(SumOf(series, "broadside_run_state"), 1);
  EXPECT_EQ(series.at(R"(broadside_run_validity{run="ab12cd",verdict="DEGRADED"})"), "1");
  EXPECT_EQ(series.at(R"(broadside_run_validity{run="ab12cd",verdict="VALID"})"), "0");
  EXPECT_EQ(SumOf(series, "broadside_run_validity"), 1);
  EXPECT_EQ(series.at(R"(broadside_ledger_mismatch_requests{run="ab12cd"})"), "-3");
  EXPECT_EQ(series.at(R"(broadside_intervals_total{run="ab12cd",coverage="complete"})"), "8");
  EXPECT_EQ(series.at(R"(broadside_agents{state="ready"})"), "3");
  EXPECT_EQ(series.at(R"(broadside_agents{state="lost"})"), "0");
  EXPECT_EQ(series.at("broadside_controller_incarnation"), "4");
  EXPECT_EQ(series.at(R"(broadside_store_operations_total{result="failed"})"), "4");
}

TEST(RenderMetrics, EverySeriesOfAKnownRunIsThereAtZeroBeforeItsStart) {
  MetricsView before;
  before.runs = SampleView().runs;
  before.runs[0].validity = "";
  before.runs[0].targets = {{.name = "resnet50", .model = "resnet", .offered = 0}};
  const auto zero = SeriesOf(RenderMetrics(before));
  const auto later = SeriesOf(RenderMetrics(SampleView()));
  for (const auto& [name, value] : later) {
    const bool of_ok_target =
        name.find(kBusy) != std::string::npos && name.find("limit_near") == std::string::npos;
    if (!of_ok_target) continue;
    ASSERT_TRUE(zero.contains(name)) << name;
    EXPECT_EQ(zero.at(name), name.find("_quantile_") == std::string::npos ? "0" : "Nan") << name;
  }
  EXPECT_EQ(SumOf(zero, "broadside_run_validity"), 0);
}

TEST(RenderMetrics, AClosedLoopHasNoOfferedRate) {
  MetricsView view = SampleView();
  for (TargetView& target : view.runs[0].targets) target.offered.reset();
  EXPECT_THAT(RenderMetrics(view), Not(HasSubstr("broadside_offered_requests_per_second{")));
}

TEST(RenderMetrics, TheSameViewGivesTheSameText) {
  EXPECT_EQ(RenderMetrics(SampleView()), RenderMetrics(SampleView()));
}

TEST(RenderMetrics, OutcomesBeyondTheLimitAreFoldedNotLost) {
  MetricsView view = SampleView();
  TargetView& target = view.runs[0].targets[0];
  target.outcomes.clear();
  uint64_t total = 0;
  for (uint64_t i = 1; i <= 50; ++i) {
    target.outcomes["class" + std::to_string(i)].count = i;
    total += i;
  }
  target.outcomes["other"].count = 1000;
  const auto series = SeriesOf(RenderMetrics(view, {.outcomes = 4}));
  EXPECT_EQ(SumOf(series, "broadside_requests_total"), static_cast<double>(total + 1000));
  const std::string name = std::string("broadside_requests_total") + kBusy + ",outcome=\"";
  EXPECT_EQ(series.at(name + "class50\"}"), "50");
  EXPECT_EQ(series.at(name + "class48\"}"), "48");
  EXPECT_FALSE(series.contains(name + "class47\"}"));
  EXPECT_EQ(series.at(name + "ok\"}"), "0");
  EXPECT_EQ(series.at("broadside_exposition_folded{dimension=\"outcome\"}"), "47");
}

TEST(RenderMetrics, TargetsAndRunsBeyondTheLimitAreBoundedToo) {
  MetricsView view = SampleView();
  std::vector<TargetView>& targets = view.runs[0].targets;
  targets.assign(10, targets[0]);
  for (size_t i = 0; i < targets.size(); ++i) targets[i].name = "t" + std::to_string(i);
  view.runs.resize(5, view.runs[0]);
  for (size_t i = 0; i < view.runs.size(); ++i) view.runs[i].id = "run" + std::to_string(i);
  const auto series = SeriesOf(RenderMetrics(view, {.runs = 2, .targets = 3}));
  EXPECT_EQ(SumOf(series, "broadside_requests_total"), 2 * 10 * 5);
  EXPECT_EQ(SumOf(series, "broadside_requests_in_flight"), 2 * 10 * 2);
  EXPECT_EQ(series.at(R"(broadside_requests_sent_total{run="run1",target="other",model="other"})"),
            "49");
  EXPECT_EQ(series.at("broadside_exposition_folded{dimension=\"run\"}"), "3");
  EXPECT_EQ(series.at("broadside_exposition_folded{dimension=\"target\"}"), "14");
}

TEST(MetricsBoard, GivesTheNewestViewWhileOthersPublish) {
  MetricsBoard board;
  EXPECT_THAT(board.Text(), HasSubstr("process_resident_memory_bytes "));
  std::thread publisher([&] {
    for (uint64_t i = 1; i <= 50; ++i) {
      auto view = std::make_shared<MetricsView>();
      view->incarnation = i;
      board.Publish(view);
    }
  });
  uint64_t last = 0;
  while (last < 50) {
    const auto series = SeriesOf(board.Text());
    const uint64_t now = std::stoul(series.at("broadside_controller_incarnation"));
    ASSERT_GE(now, last);
    last = now;
  }
  publisher.join();
}

TEST(MetricsDocument, ListsExactlyTheFamiliesThatThereAre) {
  MetricsBoard board;
  board.Publish(std::make_shared<MetricsView>(SampleView()));
  std::set<std::string> documented;
  std::ifstream file(BROADSIDE_SOURCE_DIR "/docs/metrics.md");
  ASSERT_TRUE(file.is_open());
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("| `", 0) == 0) documented.insert(line.substr(3, line.find('`', 3) - 3));
  }
  EXPECT_EQ(documented, FamiliesOf(board.Text()));
}

}  // namespace
}  // namespace broadside::server
