// Snapshots stored and read a second, each commit flushed to the disk that TMPDIR is on.

#include <benchmark/benchmark.h>
#include <stdlib.h>

#include <filesystem>
#include <memory>
#include <string>

#include "controller/store/store.h"

namespace broadside::store {
namespace {

constexpr uint64_t kBatch = 1000;
constexpr Nanos kPatience = std::chrono::minutes(1);

/// A store of its own with one run, removed afterwards.
class Bench {
 public:
  Bench() {
    std::string pattern = (std::filesystem::temp_directory_path() / "store-bench-XXXXXX").string();
    dir_ = mkdtemp(pattern.data());
    StatusOr<std::unique_ptr<Store>> opened = Store::Open({.dir = dir_});
    if (!opened.ok()) abort();
    store_ = *std::move(opened);
    store_->Enqueue(PutRun{.run = {.id = "aa"}});
  }
  ~Bench() {
    store_.reset();
    std::filesystem::remove_all(dir_);
  }
  /// As 1000 agents would in one interval; false when the store did not keep up.
  bool StoreInterval(const std::string& body) {
    ++interval_;
    for (uint64_t agent = 1; agent <= kBatch; ++agent) {
      store_->Enqueue(PutSnapshot{.run = "aa",
                                  .agent_id = "agent-" + std::to_string(agent),
                                  .incarnation = agent * 0x9e3779b97f4a7c15,
                                  .sequence = interval_,
                                  .body = body});
    }
    return store_->Flush(kPatience).ok();
  }
  const Store& store() const { return *store_; }

 private:
  std::string dir_;
  std::unique_ptr<Store> store_;
  uint64_t interval_ = 0;
};

void StoreSnapshots(benchmark::State& state) {
  Bench bench;
  const std::string body(static_cast<size_t>(state.range(0)), 'x');
  for (auto _ : state) {
    if (!bench.StoreInterval(body)) state.SkipWithError("the store did not keep up");
  }
  const StoreCounters counters = bench.store().counters();
  state.SetItemsProcessed(static_cast<int64_t>(counters.stored_ops));
  state.counters["ops_per_commit"] =
      static_cast<double>(counters.stored_ops) / static_cast<double>(counters.commits);
  state.counters["failed"] = static_cast<double>(counters.failed_ops);
}
BENCHMARK(StoreSnapshots)->Arg(4'096)->Arg(12'288)->Iterations(20)->UseRealTime();

void ReadSnapshots(benchmark::State& state) {
  Bench bench;
  const std::string body(static_cast<size_t>(state.range(0)), 'x');
  for (int i = 0; i < 20; ++i) bench.StoreInterval(body);
  uint64_t rows = 0;
  uint64_t bytes = 0;
  for (auto _ : state) {
    const Status status = bench.store().ForEachSnapshot("aa", [&](const SnapshotRow& row) {
      ++rows;
      bytes += row.body.size();
      return absl::OkStatus();
    });
    if (!status.ok()) state.SkipWithError("cannot read");
  }
  state.SetItemsProcessed(static_cast<int64_t>(rows));
  state.SetBytesProcessed(static_cast<int64_t>(bytes));
}
BENCHMARK(ReadSnapshots)->Arg(4'096)->UseRealTime();

}  // namespace
}  // namespace broadside::store
