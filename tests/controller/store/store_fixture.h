#pragma once

#include <stdlib.h>

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "controller/store/store.h"
#include "gtest/gtest.h"

namespace broadside::store {

inline constexpr Nanos kPatience = std::chrono::seconds(30);

/// A directory of the test's own, gone with it.
class TempDir {
 public:
  TempDir() {
    std::string pattern = (std::filesystem::temp_directory_path() / "store-test-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// A store that remembers every result, in the order in which they came.
class StoreTest : public testing::Test {
 protected:
  StoreOptions Options() {
    StoreOptions options;
    options.dir = dir_ / "store";
    options.on_stored = [this](std::vector<StoreResult> batch) {
      const std::lock_guard lock(mutex_);
      batches_.push_back(batch.size());
      for (StoreResult& result : batch) results_.push_back(std::move(result));
    };
    return options;
  }
  void Open(StoreOptions options) {
    StatusOr<std::unique_ptr<Store>> store = Store::Open(std::move(options));
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
  }
  void Open() { Open(Options()); }

  /// Queues `op`, waits, gives its result.
  Status Put(StoreOp op) {
    const StoreToken token = store_->Enqueue(std::move(op));
    const Status flushed = store_->Flush(kPatience);
    if (!flushed.ok()) return flushed;
    return ResultOf(token);
  }
  Status ResultOf(StoreToken token) {
    const std::lock_guard lock(mutex_);
    for (const StoreResult& result : results_) {
      if (result.token == token) return result.status;
    }
    return Internal("no result");
  }
  std::vector<StoreResult> Results() {
    const std::lock_guard lock(mutex_);
    return results_;
  }
  void PutRunNamed(const std::string& id, int64_t submitted = 0) {
    const Status status = Put(PutRun{.run = {.id = id, .submitted_wall_ns = submitted}});
    ASSERT_TRUE(status.ok()) << status;
  }

  TempDir dir_;
  std::mutex mutex_;
  std::vector<StoreResult> results_;
  std::vector<size_t> batches_;
  // Last, so that its writer is gone before what its callback uses.
  std::unique_ptr<Store> store_;
};

}  // namespace broadside::store
