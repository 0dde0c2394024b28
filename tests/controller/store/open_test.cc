// Every way in which a store cannot be opened, or fills up, with the line the user reads.

#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "controller/store/store.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/controller/store/store_fixture.h"

namespace broadside::store {
namespace {

using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

class OpenTest : public StoreTest {
 protected:
  std::string Database() const { return dir_ / "store/broadside.db"; }
  /// What Open says; empty when it works.
  std::string OpenError(StoreOptions options) {
    const StatusOr<std::unique_ptr<Store>> store = Store::Open(std::move(options));
    const std::string message = store.ok() ? "" : MessageOf(store.status());
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    return message;
  }
  void ExecOutside(const std::string& sql) {
    sqlite3* connection = nullptr;
    ASSERT_EQ(sqlite3_open(Database().c_str(), &connection), SQLITE_OK);
    ASSERT_EQ(sqlite3_exec(connection, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK)
        << sqlite3_errmsg(connection);
    sqlite3_close(connection);
  }
};

TEST_F(OpenTest, TheIncarnationRisesAtEveryOpening) {
  for (uint64_t expected = 1; expected <= 3; ++expected) {
    Open();
    EXPECT_EQ(store_->incarnation(), expected);
    store_.reset();
  }
}

TEST_F(OpenTest, WhatWasStoredIsThereAfterReopening) {
  Open();
  PutRunNamed("aa");
  store_.reset();
  Open();
  EXPECT_TRUE(store_->GetRun("aa").ok());
}

TEST_F(OpenTest, WhatWasReportedStoredSurvivesAKill) {
  // The child dies without closing anything, right after its writes were reported.
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    StoreOptions options;
    options.dir = dir_ / "store";
    StatusOr<std::unique_ptr<Store>> store = Store::Open(std::move(options));
    if (!store.ok()) _exit(1);
    (*store)->Enqueue(PutRun{.run = {.id = "aa"}});
    (*store)->Enqueue(PutEntry{"aa", {1, "segment", "x"}});
    if (!(*store)->Flush(kPatience).ok()) _exit(2);
    kill(getpid(), SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status)) << status;
  Open();
  EXPECT_EQ(store_->incarnation(), 2u);
  EXPECT_EQ(store_->ReadEntries("aa")->size(), 1u);
}

TEST_F(OpenTest, ASecondControllerIsRefused) {
  Open();
  const std::string dir = dir_ / "store";
  EXPECT_EQ(OpenError(Options()), dir + " is in use by another controller (pid " +
                                      std::to_string(getpid()) +
                                      "); stop it, or choose another directory with --store DIR");
}

TEST_F(OpenTest, NoDirectory) {
  EXPECT_EQ(OpenError({}), "no directory for the store; give one with --store DIR");
}

TEST_F(OpenTest, ADirectoryThatCannotBeMade) {
  std::ofstream(dir_ / "file") << "x";
  StoreOptions options;
  options.dir = dir_ / "file/store";
  EXPECT_EQ(OpenError(options), "cannot make directory " + options.dir +
                                    ": Not a directory; choose another directory with --store DIR");
}

TEST_F(OpenTest, ADirectoryThatCannotBeWritten) {
  StoreOptions options = Options();
  // Root may write anywhere but in /proc, where nobody can make a file.
  if (geteuid() == 0) {
    options.dir = "/proc/self";
  } else {
    std::filesystem::create_directories(options.dir);
    std::filesystem::permissions(
        options.dir, std::filesystem::perms::owner_read | std::filesystem::perms::owner_exec);
  }
  EXPECT_THAT(OpenError(options), AllOf(StartsWith("cannot write in " + options.dir + ": "),
                                        EndsWith("; choose another directory with --store DIR")));
}

TEST_F(OpenTest, AFileThatIsNoDatabase) {
  std::filesystem::create_directories(dir_ / "store");
  std::ofstream(Database()) << std::string(5000, 'x');
  EXPECT_EQ(OpenError(Options()), Database() +
                                      " is damaged (file is not a database); move it away to start "
                                      "with an empty store");
}

TEST_F(OpenTest, ADamagedDatabase) {
  Open();
  PutRunNamed("aa");
  for (uint64_t i = 1; i <= 200; ++i) {
    store_->Enqueue(PutSnapshot{.run = "aa", .sequence = i, .body = std::string(1000, 'x')});
  }
  store_.reset();
  {
    // Page 1 stays, so that the file still looks like ours.
    std::fstream file(Database(), std::ios::in | std::ios::out | std::ios::binary);
    const auto size = static_cast<int64_t>(std::filesystem::file_size(Database()));
    ASSERT_GT(size, 100'000);
    for (int64_t at = 8192; at + 100 < size; at += 4096) {
      file.seekp(at);
      file << std::string(100, '\xee');
    }
  }
  EXPECT_THAT(OpenError(Options()),
              AllOf(StartsWith(Database() + " is damaged ("),
                    EndsWith("); move it away to start with an empty store")));
}

TEST_F(OpenTest, AnotherProgramsDatabase) {
  std::filesystem::create_directories(dir_ / "store");
  ExecOutside("CREATE TABLE bookmarks(url TEXT)");
  EXPECT_EQ(
      OpenError(Options()),
      Database() + " is another program's database; choose another directory with --store DIR");
}

TEST_F(OpenTest, ADatabaseOfALaterVersion) {
  Open();
  store_.reset();
  ExecOutside("PRAGMA user_version=9");
  EXPECT_EQ(OpenError(Options()),
            Database() +
                " has format 9, this version reads 1; use the version that wrote it, or choose "
                "another directory with --store DIR");
}

TEST_F(OpenTest, NoRoomToOpen) {
  StoreOptions options = Options();
  options.max_bytes = 16'384;
  EXPECT_THAT(OpenError(options),
              AllOf(StartsWith(Database() + ": no room left ("),
                    EndsWith("); free disk space, or choose another directory with --store DIR")));
}

TEST_F(OpenTest, AFullStoreFailsOneOpAndTakesTheNext) {
  StoreOptions options = Options();
  options.max_bytes = 300'000;
  options.linger = kPatience;  // all snapshots in the batch of the decision at the end
  Open(std::move(options));
  PutRunNamed("aa");
  const StoreToken before =
      *store_->TryEnqueue(PutSnapshot{.run = "aa", .sequence = 1, .body = "small"});
  const StoreToken large = *store_->TryEnqueue(
      PutSnapshot{.run = "aa", .sequence = 2, .body = std::string(1'000'000, 'x')});
  const StoreToken after =
      *store_->TryEnqueue(PutSnapshot{.run = "aa", .sequence = 3, .body = "small"});
  ASSERT_TRUE(Put(SetRunState{"aa", "running", "", std::nullopt}).ok());

  EXPECT_TRUE(ResultOf(before).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(ResultOf(large))) << ResultOf(large);
  EXPECT_EQ(MessageOf(ResultOf(large)), Database() +
                                            ": no room left (database or disk is full); free disk "
                                            "space, or choose another directory with --store DIR");
  EXPECT_TRUE(ResultOf(after).ok());
  EXPECT_EQ(store_->GetRun("aa")->state, "running");
  EXPECT_TRUE(absl::IsResourceExhausted(store_->health()));
  EXPECT_TRUE(absl::IsNotFound(Put(SetRunState{"zz", "running", "", std::nullopt})));
  EXPECT_TRUE(store_->health().ok()) << "a refusal is not the disk's failure";
}

}  // namespace
}  // namespace broadside::store
