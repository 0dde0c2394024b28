#include "controller/store/store.h"

#include <atomic>
#include <condition_variable>
#include <future>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/controller/store/store_fixture.h"

namespace broadside::store {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// sha256sum of "hello\n" and of nothing.
constexpr const char* kHelloSha =
    "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
constexpr const char* kEmptySha =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

RunRow FullRun() {
  return {.id = "ab12cd",
          .name = "breaker \"x\"",
          .state = "running",
          .state_reason = "because",
          .plan_json = "{\"a\": 1}",
          .plan_sha256 = kHelloSha,
          .seed = 0xfedcba9876543210,
          .submitted_wall_ns = 1'700'000'000'000'000'000,
          .t0_boottime_ns = 12'345,
          .t0_boot_id = "boot-1",
          .t0_wall_ns = 1'700'000'001'000'000'000,
          .ended_wall_ns = 1'700'000'009'000'000'000};
}

PutSnapshot SnapshotOf(const std::string& run, uint64_t incarnation, uint64_t sequence,
                       std::string body) {
  return {.run = run,
          .agent_id = "a" + std::to_string(incarnation),
          .incarnation = incarnation,
          .sequence = sequence,
          .interval = static_cast<IntervalIndex>(sequence) - 1,
          .body = std::move(body)};
}

std::vector<std::string> BodiesOf(const Store& store, const std::string& run) {
  std::vector<std::string> bodies;
  const Status status = store.ForEachSnapshot(run, [&](const SnapshotRow& row) {
    bodies.emplace_back(row.body);
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
  return bodies;
}

TEST_F(StoreTest, RunsComeBackAsTheyWere) {
  Open();
  ASSERT_TRUE(Put(PutRun{.run = FullRun()}).ok());
  const RunRow bare = {.id = "ffffff", .submitted_wall_ns = 1'800'000'000'000'000'000};
  ASSERT_TRUE(Put(PutRun{.run = bare}).ok());

  EXPECT_EQ(*store_->GetRun("ab12cd"), FullRun());
  EXPECT_EQ(*store_->GetRun("ffffff"), bare);
  EXPECT_THAT(*store_->ListRuns(10), ElementsAre(bare, FullRun()));
  EXPECT_THAT(*store_->ListRuns(1), ElementsAre(bare));
  EXPECT_EQ(MessageOf(store_->GetRun("nope").status()), "run nope is not in the store");
}

TEST_F(StoreTest, ARunIdIsTakenOnce) {
  Open();
  ASSERT_TRUE(Put(PutRun{.run = FullRun()}).ok());
  EXPECT_EQ(MessageOf(Put(PutRun{.run = FullRun()})), "run ab12cd is in the store already");
}

TEST_F(StoreTest, StateMovesAndItsEndStays) {
  Open();
  PutRunNamed("aa");
  ASSERT_TRUE(Put(SetRunState{"aa", "closing", "guard", 77}).ok());
  ASSERT_TRUE(Put(SetRunState{"aa", "aborted", "p99 > 2s", std::nullopt}).ok());
  const RunRow run = *store_->GetRun("aa");
  EXPECT_EQ(run.state, "aborted");
  EXPECT_EQ(run.state_reason, "p99 > 2s");
  EXPECT_EQ(run.ended_wall_ns, 77);
}

TEST_F(StoreTest, TheStartIsFixedOnce) {
  Open();
  PutRunNamed("aa");
  ASSERT_TRUE(Put(SetStart{"aa", 1000, "boot", 5}).ok());
  EXPECT_TRUE(Put(SetStart{"aa", 1000, "boot", 5}).ok());
  EXPECT_EQ(MessageOf(Put(SetStart{"aa", 1001, "boot", 5})), "run aa has another T0 already");
  EXPECT_EQ(store_->GetRun("aa")->t0_boottime_ns, 1000);
  EXPECT_EQ(store_->GetRun("aa")->t0_boot_id, "boot");
}

TEST_F(StoreTest, EntriesNeverChangeOnceT0IsStored) {
  Open();
  PutRunNamed("aa");
  const std::string bytes("\0\xff\0x", 4);
  ASSERT_TRUE(Put(PutEntry{"aa", {2, "epoch", "of a start that was given up"}}).ok());
  ASSERT_TRUE(Put(PutEntry{"aa", {2, "epoch", ""}}).ok());
  ASSERT_TRUE(Put(SetStart{"aa", 1000, "boot", 5}).ok());
  ASSERT_TRUE(Put(PutEntry{"aa", {1, "segment", bytes}}).ok());
  EXPECT_TRUE(Put(PutEntry{"aa", {1, "segment", bytes}}).ok());
  EXPECT_EQ(MessageOf(Put(PutEntry{"aa", {1, "segment", "other"}})),
            "entry 1 of run aa is stored already, with other content");
  EXPECT_EQ(MessageOf(Put(PutEntry{"aa", {1, "epoch", bytes}})),
            "entry 1 of run aa is stored already, with other content");
  EXPECT_THAT(*store_->ReadEntries("aa"),
              ElementsAre(EntryRow{1, "segment", bytes}, EntryRow{2, "epoch", ""}));
}

TEST_F(StoreTest, ListsTheRunsThatHaveNotEnded) {
  Open();
  for (const char* run : {"aa", "bb", "cc"}) PutRunNamed(run);
  ASSERT_TRUE(Put(SetRunState{"bb", "completed", "", 7}).ok());
  const auto rows = store_->ListOpenRuns();
  ASSERT_TRUE(rows.ok());
  ASSERT_EQ(rows->size(), 2u);
  EXPECT_EQ((*rows)[0].id, "aa");
  EXPECT_EQ((*rows)[1].id, "cc");
}

TEST_F(StoreTest, AgentsOfARunKeepTheNewestInfo) {
  Open();
  PutRunNamed("aa");
  ASSERT_TRUE(Put(PutRunAgent{"aa", {"n2", 9, "{}", "old"}}).ok());
  ASSERT_TRUE(Put(PutRunAgent{"aa", {"n1", UINT64_MAX, "{\"z\":1}", "x"}}).ok());
  ASSERT_TRUE(Put(PutRunAgent{"aa", {"n2", 9, "{}", "new"}}).ok());
  EXPECT_THAT(*store_->ListRunAgents("aa"),
              ElementsAre(RunAgentRow{"n1", UINT64_MAX, "{\"z\":1}", "x"},
                          RunAgentRow{"n2", 9, "{}", "new"}));
  EXPECT_THAT(*store_->ListRunAgents("bb"), IsEmpty());
}

TEST_F(StoreTest, ASecondSnapshotOfTheSameKeyChangesNothing) {
  Open();
  PutRunNamed("aa");
  ASSERT_TRUE(Put(SnapshotOf("aa", 7, 1, "first")).ok());
  EXPECT_TRUE(Put(SnapshotOf("aa", 7, 1, "second")).ok());
  EXPECT_THAT(BodiesOf(*store_, "aa"), ElementsAre("first"));
}

TEST_F(StoreTest, SnapshotsComeInOneOrderHoweverTheyArrived) {
  Open();
  PutRunNamed("aa");
  PutRunNamed("bb");
  for (const auto& [incarnation, sequence] :
       std::vector<std::pair<uint64_t, uint64_t>>{{8, 2}, {7, 3}, {8, 1}, {7, 1}, {7, 2}}) {
    PutSnapshot op = SnapshotOf("aa", incarnation, sequence,
                                std::to_string(incarnation) + "." + std::to_string(sequence));
    op.final_totals = sequence == 3;
    ASSERT_TRUE(store_->TryEnqueue(op).has_value());
  }
  ASSERT_TRUE(store_->TryEnqueue(SnapshotOf("bb", 7, 1, "of another run")).has_value());
  ASSERT_TRUE(store_->Flush(kPatience).ok());

  EXPECT_THAT(BodiesOf(*store_, "aa"), ElementsAre("7.1", "7.2", "7.3", "8.1", "8.2"));
  std::vector<SnapshotRow> rows;
  ASSERT_TRUE(store_
                  ->ForEachSnapshot("aa",
                                    [&](const SnapshotRow& row) {
                                      EXPECT_EQ(row.agent_id,
                                                "a" + std::to_string(row.incarnation));
                                      rows.push_back(row);
                                      return absl::OkStatus();
                                    })
                  .ok());
  ASSERT_EQ(rows.size(), 5u);
  EXPECT_EQ(rows[2].incarnation, 7u);
  EXPECT_EQ(rows[2].sequence, 3u);
  EXPECT_EQ(rows[2].interval, 2);
  EXPECT_TRUE(rows[2].final_totals);
  EXPECT_FALSE(rows[3].final_totals);
}

TEST_F(StoreTest, ReadingSnapshotsEndsWithTheCallersError) {
  Open();
  PutRunNamed("aa");
  ASSERT_TRUE(Put(SnapshotOf("aa", 1, 1, "x")).ok());
  ASSERT_TRUE(Put(SnapshotOf("aa", 1, 2, "y")).ok());
  int seen = 0;
  const Status status = store_->ForEachSnapshot("aa", [&](const SnapshotRow&) {
    ++seen;
    return DataLoss("cannot decode");
  });
  EXPECT_EQ(MessageOf(status), "cannot decode");
  EXPECT_EQ(seen, 1);
}

TEST_F(StoreTest, WritesForAnUnknownRunSaySo) {
  Open();
  PutRunNamed("aa");
  const std::string expected = "run zz is not in the store";
  EXPECT_EQ(MessageOf(Put(SetRunState{"zz", "done", "", std::nullopt})), expected);
  EXPECT_EQ(MessageOf(Put(SetStart{"zz", 1, "b", 1})), expected);
  EXPECT_EQ(MessageOf(Put(PutEntry{"zz", {1, "segment", "x"}})), expected);
  EXPECT_EQ(MessageOf(Put(PutRunAgent{"zz", {"n", 1, "{}", "{}"}})), expected);
  EXPECT_EQ(MessageOf(Put(SnapshotOf("zz", 1, 1, "x"))), expected);
  EXPECT_EQ(MessageOf(Put(PutReport{"zz", "{}"})), expected);
  EXPECT_EQ(store_->counters().failed_ops, 6u);
}

TEST_F(StoreTest, TheNewestReportStands) {
  Open();
  PutRunNamed("aa");
  EXPECT_EQ(MessageOf(store_->GetReport("aa").status()), "no report of run aa is in the store");
  ASSERT_TRUE(Put(PutReport{"aa", "{\"v\":1}"}).ok());
  ASSERT_TRUE(Put(PutReport{"aa", "{\"v\":2}"}).ok());
  EXPECT_EQ(*store_->GetReport("aa"), "{\"v\":2}");
}

TEST_F(StoreTest, FilesAreKnownByTheirContent) {
  StoreOptions options = Options();
  options.max_file_bytes = 6;
  Open(std::move(options));
  ASSERT_TRUE(Put(PutFile{kHelloSha, "hello\n"}).ok());
  EXPECT_TRUE(Put(PutFile{kHelloSha, "hello\n"}).ok());
  ASSERT_TRUE(Put(PutFile{kEmptySha, ""}).ok());
  EXPECT_EQ(*store_->GetFile(kHelloSha), "hello\n");
  EXPECT_EQ(*store_->GetFile(kEmptySha), "");
  EXPECT_TRUE(*store_->HasFile(kHelloSha));
  EXPECT_FALSE(*store_->HasFile("00"));
  EXPECT_TRUE(absl::IsNotFound(store_->GetFile("00").status()));

  EXPECT_EQ(MessageOf(Put(PutFile{kHelloSha, "hellO\n"})),
            std::string("file named ") + kHelloSha +
                " has the SHA-256 "
                "0655937a5582c55b9ac610ed7ce474ed9be0a0fbefe9afcba31b36040be5530b; it was changed "
                "or cut on the way, send it again");
  EXPECT_EQ(MessageOf(Put(PutFile{"00", "1234567"})),
            "file 00 has 7 bytes; plan files may have up to 6");
}

TEST_F(StoreTest, ResultsComeInTheOrderOfQueueingEachOnce) {
  Open();
  PutRunNamed("aa");
  constexpr uint64_t kSnapshots = 2000;
  for (uint64_t i = 1; i <= kSnapshots; ++i) {
    ASSERT_TRUE(store_->TryEnqueue(SnapshotOf("aa", 1, i, std::string(100, 'x'))).has_value());
  }
  ASSERT_TRUE(store_->Flush(kPatience).ok());
  const std::vector<StoreResult> results = Results();
  ASSERT_EQ(results.size(), kSnapshots + 1);
  for (size_t i = 0; i < results.size(); ++i) {
    ASSERT_EQ(results[i].token, i + 1);
    ASSERT_TRUE(results[i].status.ok());
  }
  const StoreCounters counters = store_->counters();
  EXPECT_EQ(counters.stored_ops, kSnapshots + 1);
  EXPECT_LT(counters.commits, kSnapshots / 2) << "commits are shared";
  EXPECT_EQ(counters.queued_ops, 0u);
  EXPECT_EQ(counters.queued_bytes, 0u);
}

TEST_F(StoreTest, WhatIsReportedStoredIsOnTheDiskAlready) {
  StoreOptions options = Options();
  std::promise<std::vector<std::string>> seen;
  options.on_stored = [&](std::vector<StoreResult> results) {
    if (results.back().token == 2) seen.set_value(BodiesOf(*store_, "aa"));
  };
  Open(std::move(options));
  store_->Enqueue(PutRun{.run = {.id = "aa"}});
  ASSERT_TRUE(store_->Flush(kPatience).ok());
  store_->Enqueue(SnapshotOf("aa", 1, 1, "body"));
  ASSERT_TRUE(store_->Flush(kPatience).ok());
  EXPECT_THAT(seen.get_future().get(), ElementsAre("body"));
}

TEST_F(StoreTest, ARefusedOpLeavesItsBatchAlone) {
  StoreOptions options = Options();
  options.linger = kPatience;  // until the decision at the end hurries it: all in one batch
  Open(std::move(options));
  PutRunNamed("aa");
  const StoreToken good = *store_->TryEnqueue(SnapshotOf("aa", 1, 1, "x"));
  const StoreToken bad = *store_->TryEnqueue(SnapshotOf("zz", 1, 1, "x"));
  const StoreToken last = *store_->TryEnqueue(SnapshotOf("aa", 1, 2, "y"));
  ASSERT_TRUE(Put(SetRunState{"aa", "running", "", std::nullopt}).ok());
  EXPECT_TRUE(ResultOf(good).ok());
  EXPECT_TRUE(absl::IsNotFound(ResultOf(bad)));
  EXPECT_TRUE(ResultOf(last).ok());
  EXPECT_THAT(batches_, ElementsAre(1, 4));
  EXPECT_THAT(BodiesOf(*store_, "aa"), ElementsAre("x", "y"));
}

/// A store whose writer stands still in its callback until the test lets it go on.
class StalledStoreTest : public StoreTest {
 protected:
  void OpenStalled(uint64_t max_queued_bytes) {
    StoreOptions options = Options();
    options.max_queued_bytes = max_queued_bytes;
    options.on_stored = [this, remember = options.on_stored](std::vector<StoreResult> results) {
      remember(std::move(results));
      stalled_.count_down();
      go_on_.wait();
    };
    Open(std::move(options));
    store_->Enqueue(PutRun{.run = {.id = "aa"}});
    stalled_.wait();
  }
  struct Gate {
    void wait() {
      std::unique_lock lock(mutex);
      changed.wait(lock, [this] { return open; });
    }
    void count_down() {
      const std::lock_guard lock(mutex);
      open = true;
      changed.notify_all();
    }
    std::mutex mutex;
    std::condition_variable changed;
    bool open = false;
  };
  Gate stalled_;
  Gate go_on_;
};

TEST_F(StalledStoreTest, AFullQueueRefusesSnapshotsButTakesDecisions) {
  OpenStalled(10'000);
  const std::string body(2'000, 'x');
  uint64_t taken = 0;
  while (store_->TryEnqueue(SnapshotOf("aa", 1, taken + 1, body))) ++taken;
  EXPECT_EQ(taken, 4u);
  EXPECT_EQ(store_->counters().refused_ops, 1u);
  const StoreToken decision = store_->Enqueue(SetRunState{"aa", "stopping", "", std::nullopt});
  // The reserve has an end as well, and what does not fit is told so in its turn.
  StoreToken last = decision;
  while (store_->counters().refused_ops == 1) last = store_->Enqueue(PutReport{"aa", body});
  go_on_.count_down();
  ASSERT_TRUE(store_->Flush(kPatience).ok());

  EXPECT_TRUE(ResultOf(decision).ok());
  EXPECT_THAT(MessageOf(ResultOf(last)), HasSubstr("too many writes are waiting"));
  EXPECT_EQ(Results().size(), last);
  EXPECT_EQ(BodiesOf(*store_, "aa").size(), taken);
  EXPECT_TRUE(store_->TryEnqueue(SnapshotOf("aa", 1, taken + 1, body)).has_value());
}

TEST_F(StalledStoreTest, FlushHasADeadline) {
  OpenStalled(10'000);
  const Status status = store_->Flush(Nanos(1));
  EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
  EXPECT_THAT(MessageOf(status), HasSubstr("1 writes are still waiting"));
  go_on_.count_down();
  EXPECT_TRUE(store_->Flush(kPatience).ok());
}

TEST_F(StalledStoreTest, ClosingWithoutTimeCancelsTheRest) {
  OpenStalled(1'000'000);
  const StoreToken late = *store_->TryEnqueue(SnapshotOf("aa", 1, 1, "x"));
  std::thread closer([this] { store_->Close(Nanos(0)); });
  // Only once Close takes no more may the stalled writer go on.
  while (store_->Enqueue(SetRunState{"aa", "x", "", std::nullopt}) != 0) std::this_thread::yield();
  go_on_.count_down();
  closer.join();
  EXPECT_TRUE(absl::IsCancelled(ResultOf(late))) << ResultOf(late);
  EXPECT_EQ(store_->TryEnqueue(SnapshotOf("aa", 1, 2, "x")), std::nullopt);
}

TEST_F(StoreTest, ClosingWritesWhatIsQueued) {
  Open();
  for (int i = 0; i < 50; ++i) {
    store_->Enqueue(PutRun{.run = {.id = "run" + std::to_string(i)}});
  }
  store_.reset();
  EXPECT_EQ(Results().size(), 50u);
  Open();
  EXPECT_EQ(store_->ListRuns(100)->size(), 50u);
}

TEST_F(StoreTest, ReadersAndTheWriterDoNotDisturbEachOther) {
  Open();
  PutRunNamed("aa");
  std::vector<std::thread> readers;
  std::atomic<bool> done = false;
  std::atomic<int> failures = 0;
  for (int i = 0; i < 6; ++i) {
    readers.emplace_back([&] {
      while (!done) {
        uint64_t expected = 1;
        const Status status = store_->ForEachSnapshot("aa", [&](const SnapshotRow& row) {
          return row.sequence == expected++ ? absl::OkStatus() : DataLoss("a gap");
        });
        if (!status.ok() || !store_->GetRun("aa").ok()) ++failures;
      }
    });
  }
  for (uint64_t i = 1; i <= 300; ++i) {
    store_->Enqueue(SnapshotOf("aa", 1, i, std::string(500, 'x')));
    if (i % 10 == 0) {
      ASSERT_TRUE(store_->Flush(kPatience).ok());
    }
  }
  done = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(failures, 0);
}

TEST_F(StoreTest, PruningForgetsTheOldestEndedRunsAndTheirFiles) {
  Open();
  ASSERT_TRUE(Put(PutFile{kHelloSha, "hello\n", 10}).ok());
  ASSERT_TRUE(Put(PutFile{kEmptySha, "", 10}).ok());
  ASSERT_TRUE(Put(PutRun{.run = {.id = "live"}, .file_sha256s = {kEmptySha}}).ok());
  ASSERT_TRUE(Put(PutRun{.run = {.id = "old"}, .file_sha256s = {kHelloSha}}).ok());
  ASSERT_TRUE(Put(PutRun{.run = {.id = "new"}}).ok());
  ASSERT_TRUE(Put(SetRunState{"old", "completed", "", 100}).ok());
  ASSERT_TRUE(Put(SetRunState{"new", "completed", "", 200}).ok());
  ASSERT_TRUE(Put(SnapshotOf("old", 1, 1, "x")).ok());
  ASSERT_TRUE(Put(PutEntry{"old", {1, "segment", "x"}}).ok());
  ASSERT_TRUE(Put(PutReport{"old", "{}"}).ok());
  ASSERT_TRUE(Put(SnapshotOf("new", 1, 1, "y")).ok());

  ASSERT_TRUE(Put(Prune{.keep_runs = 2, .files_before_wall_ns = 1000}).ok());
  EXPECT_TRUE(store_->GetRun("old").ok());
  ASSERT_TRUE(Put(Prune{.keep_runs = 1, .files_before_wall_ns = 5}).ok());
  EXPECT_TRUE(absl::IsNotFound(store_->GetRun("old").status()));
  EXPECT_THAT(BodiesOf(*store_, "old"), IsEmpty());
  EXPECT_THAT(*store_->ReadEntries("old"), IsEmpty());
  EXPECT_FALSE(store_->GetReport("old").ok());
  EXPECT_THAT(BodiesOf(*store_, "new"), ElementsAre("y"));
  EXPECT_TRUE(*store_->HasFile(kHelloSha)) << "young files wait for their run";
  ASSERT_TRUE(Put(Prune{.files_before_wall_ns = 11}).ok());
  EXPECT_FALSE(*store_->HasFile(kHelloSha));
  EXPECT_TRUE(*store_->HasFile(kEmptySha));

  ASSERT_TRUE(Put(Prune{.keep_bytes = 0}).ok());
  EXPECT_FALSE(store_->GetRun("new").ok());
  EXPECT_TRUE(store_->GetRun("live").ok()) << "what has not ended stays, whatever it takes";
}

}  // namespace
}  // namespace broadside::store
