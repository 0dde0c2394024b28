// What a scrape of the controller costs: 3 targets with 4 outcomes each, and the page's bounds.

#include <benchmark/benchmark.h>

#include <string>

#include "controller/server/metrics.h"

namespace broadside::server {
namespace {

stats::Histogram FullHistogram() {
  stats::Histogram histogram;
  for (int64_t value = 1; value < 60'000'000'000; value += value / 1000 + 1) {
    histogram.Record(value);
  }
  return histogram;
}

MetricsView ViewOf(size_t runs, size_t targets, size_t outcomes) {
  const DurationView durations = DurationOf(FullHistogram());
  RunView run;
  for (size_t i = 0; i < targets; ++i) {
    TargetView target;
    target.name = "target" + std::to_string(i);
    for (size_t j = 0; j < outcomes; ++j) {
      target.outcomes["class" + std::to_string(j)] = {durations.n, durations};
    }
    run.targets.push_back(target);
  }
  MetricsView view;
  for (size_t i = 0; i < runs; ++i) {
    run.id = "run" + std::to_string(i);
    view.runs.push_back(run);
  }
  return view;
}

void RenderPage(benchmark::State& state) {
  const auto size = [&](int i) { return static_cast<size_t>(state.range(i)); };
  const MetricsView view = ViewOf(size(0), size(1), size(2));
  size_t bytes = 0;
  for (auto _ : state) bytes = RenderMetrics(view).size();
  state.counters["page_bytes"] = static_cast<double>(bytes);
}
BENCHMARK(RenderPage)->Args({1, 3, 4})->Args({8, 32, 24})->Unit(benchmark::kMillisecond);

void MakeDurations(benchmark::State& state) {
  const stats::Histogram histogram = FullHistogram();
  for (auto _ : state) benchmark::DoNotOptimize(DurationOf(histogram));
}
BENCHMARK(MakeDurations)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace broadside::server
