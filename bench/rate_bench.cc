// What an arrival costs: finding it in a stripe, and taking it through the pacer. One position of a
// Poisson schedule is walked by every owner, so its cost is given for each position too.

#include <benchmark/benchmark.h>

#include <array>
#include <memory>
#include <vector>

#include "agent/pacer/pacer.h"
#include "common/rate/profile.h"
#include "common/rate/schedule.h"

namespace broadside::rate {
namespace {

constexpr int64_t kRate = 100'000;
constexpr Nanos kLength = std::chrono::seconds(60);

enum Profile : int64_t { kFlat, kRamp, kPoissonFlat };

std::shared_ptr<const CompiledSegment> Compile(int64_t profile) {
  Segment segment;
  segment.length = kLength;
  segment.seed = 1;
  segment.kind = profile == kPoissonFlat ? ArrivalKind::kPoisson : ArrivalKind::kRegular;
  segment.knots = profile == kRamp ? RampKnots(0, 2 * kRate * kMicroPerUnit, kLength)
                                   : ConstantKnots(kRate * kMicroPerUnit, kLength);
  segment.mix = {{TargetIndex(0), 3}, {TargetIndex(1), 1}};
  auto made = CompiledSegment::Make(segment);
  if (!made.ok()) abort();
  return *std::move(made);
}

Deal EqualDeal(int64_t owners) {
  std::vector<Incarnation> names;
  for (int64_t k = 0; k < owners; ++k) names.push_back(Incarnation(static_cast<uint64_t>(k)));
  return MakeDeal(ShardEpoch(1), 0, names, std::vector<uint64_t>(names.size(), 1));
}

/// Arguments: profile, owners. Items are the owner's own arrivals.
void BM_Stripe(benchmark::State& state) {
  const auto segment = Compile(state.range(0));
  const Deal deal = EqualDeal(state.range(1));
  int64_t own = 0;
  int64_t passes = 0;
  for (auto _ : state) {
    Stripe stripe(segment, deal, Incarnation(0), RunStart(), segment->end());
    for (; const Arrival* arrival = stripe.Peek(); stripe.Pop(), ++own) {
      benchmark::DoNotOptimize(arrival->due);
    }
    ++passes;
  }
  state.SetItemsProcessed(own);
  using benchmark::Counter;
  state.counters["per_position"] =
      Counter(static_cast<double>(passes) * static_cast<double>(segment->Count()),
              Counter::kIsRate | Counter::kInvert);
}
BENCHMARK(BM_Stripe)
    ->ArgNames({"profile", "owners"})
    ->ArgsProduct({{kFlat, kRamp, kPoissonFlat}, {1, 3, 100}})
    ->Unit(benchmark::kMillisecond);

void BM_DueAtRandom(benchmark::State& state) {
  const auto segment = Compile(state.range(0));
  uint64_t index = 0;
  for (auto _ : state) {
    index = (index + 0x9E3779B97F4A7C15u) % segment->Count();
    benchmark::DoNotOptimize(segment->Due(index));
  }
}
BENCHMARK(BM_DueAtRandom)->ArgName("profile")->DenseRange(kFlat, kPoissonFlat);

/// A loop's turns: everything due is taken each 100 µs of run time.
void BM_PacerTake(benchmark::State& state) {
  const auto segment = Compile(state.range(0));
  const Deal deal = EqualDeal(1);
  std::array<agent::DueArrival, 64> batch;
  int64_t taken = 0;
  for (auto _ : state) {
    agent::Pacer pacer({.owner = Incarnation(0)});
    pacer.AddSegment(segment);
    pacer.AddDeal(deal);
    pacer.ExtendLease(Instant(kLength * 2));
    pacer.Grant(ShardEpoch(1), kLength / std::chrono::seconds(1), RunStart());
    for (Nanos now(0); now < kLength; now += std::chrono::microseconds(100)) {
      size_t n = batch.size();
      while (n == batch.size()) {
        n = pacer.Take(RunTime(now), Instant(now), batch);
        taken += static_cast<int64_t>(n);
      }
      benchmark::DoNotOptimize(pacer.NextDue());
    }
  }
  state.SetItemsProcessed(taken);
}
BENCHMARK(BM_PacerTake)
    ->ArgName("profile")
    ->DenseRange(kFlat, kPoissonFlat)
    ->Unit(benchmark::kMillisecond);

void BM_MakeDeal(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(EqualDeal(state.range(0)));
}
BENCHMARK(BM_MakeDeal)->Arg(3)->Arg(100)->Arg(500)->Arg(987)->Unit(benchmark::kMicrosecond);

void BM_CompilePoisson(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(Compile(kPoissonFlat));
  state.SetItemsProcessed(state.iterations() * kRate * (kLength / std::chrono::seconds(1)));
}
BENCHMARK(BM_CompilePoisson)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace broadside::rate
