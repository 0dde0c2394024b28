#include <benchmark/benchmark.h>

#include <cmath>
#include <random>

#include "common/stats/codec.h"
#include "common/stats/packed.h"

/// What the hot loop pays to record a value, and what a snapshot's histogram costs on its way into
/// the merged ones. Samples are log-normal around 5 ms.
namespace broadside::stats {
namespace {

std::vector<int64_t> Draw(size_t count) {
  std::mt19937_64 random(1);
  std::lognormal_distribution<double> latency(std::log(5e6), 0.5);
  std::vector<int64_t> values(count);
  for (int64_t& value : values) value = static_cast<int64_t>(latency(random));
  return values;
}

IntervalHistogram Recorded(int64_t count) {
  IntervalHistogram recorder;
  for (const int64_t value : Draw(static_cast<size_t>(count))) recorder.Record(value);
  return recorder;
}

void BM_Record(benchmark::State& state) {
  const std::vector<int64_t> values = Draw(4096);
  IntervalHistogram recorder;
  size_t i = 0;
  for (auto _ : state) recorder.Record(values[i++ & 4095]);
  benchmark::DoNotOptimize(recorder.exact().n);
}
BENCHMARK(BM_Record);

void BM_RecordAndClearAnInterval(benchmark::State& state) {
  const std::vector<int64_t> values = Draw(static_cast<size_t>(state.range(0)));
  IntervalHistogram recorder;
  for (auto _ : state) {
    for (const int64_t value : values) recorder.Record(value);
    recorder.Clear();
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_RecordAndClearAnInterval)->Arg(1'000);

void BM_Encode(benchmark::State& state) {
  const IntervalHistogram recorder = Recorded(state.range(0));
  size_t bytes = 0;
  for (auto _ : state) bytes = EncodeCounts(recorder).size();
  state.counters["bytes"] = static_cast<double>(bytes);
}
BENCHMARK(BM_Encode)->Arg(100)->Arg(1'000)->Arg(10'000);

void BM_DecodeAndMerge(benchmark::State& state) {
  const IntervalHistogram recorder = Recorded(state.range(0));
  const std::string bytes = EncodeCounts(recorder);
  Histogram merged;
  for (auto _ : state) {
    const Status status = DecodeCounts(bytes, recorder.exact(), merged);
    if (!status.ok()) state.SkipWithError(MessageOf(status).c_str());
  }
}
BENCHMARK(BM_DecodeAndMerge)->Arg(100)->Arg(1'000)->Arg(10'000);

void BM_AddToPacked(benchmark::State& state) {
  const IntervalHistogram recorder = Recorded(state.range(0));
  const auto slots = DecodeSlots(EncodeCounts(recorder), recorder.exact());
  PackedHistogram packed;
  for (auto _ : state) packed.Add(*slots, recorder.exact());
}
BENCHMARK(BM_AddToPacked)->Arg(1'000);

void BM_Percentile(benchmark::State& state) {
  Histogram merged;
  Recorded(10'000).AddTo(merged);
  for (auto _ : state) benchmark::DoNotOptimize(merged.Percentile(990'000));
}
BENCHMARK(BM_Percentile);

}  // namespace
}  // namespace broadside::stats
