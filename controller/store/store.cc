#include "controller/store/store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <system_error>
#include <utility>

#include "common/base/check.h"
#include "controller/store/schema.h"
#include "controller/store/sqlite.h"
#include "controller/store/writer.h"

namespace broadside::store {

namespace {

constexpr Nanos kCloseTime = std::chrono::seconds(10);
constexpr const char* kOtherDirectory = "; choose another directory with --store DIR";

/// What an op holds in memory while it waits: its strings, and a little for the rest.
uint64_t BytesOf(const StoreOp& op) {
  constexpr uint64_t kRest = 256;
  struct Sizes {
    uint64_t operator()(const PutRun& o) const {
      return o.run.plan_json.size() + o.run.name.size() + o.file_sha256s.size() * 96;
    }
    uint64_t operator()(const SetRunState& o) const { return o.reason.size(); }
    uint64_t operator()(const SetStart&) const { return 0; }
    uint64_t operator()(const PutEntry& o) const { return o.entry.body.size(); }
    uint64_t operator()(const PutRunAgent& o) const {
      return o.agent.labels_json.size() + o.agent.info_json.size();
    }
    uint64_t operator()(const PutSnapshot& o) const { return o.body.size(); }
    uint64_t operator()(const PutReport& o) const { return o.json.size(); }
    uint64_t operator()(const PutFile& o) const { return o.content.size(); }
    uint64_t operator()(const Prune&) const { return 0; }
  };
  return kRest + std::visit(Sizes{}, op);
}

}  // namespace

/// Holds the directory: an flock on a file in it, which the kernel lets go of when we die.
class Store::Lock {
 public:
  static StatusOr<std::unique_ptr<Lock>> Take(const std::string& dir) {
    const std::string path = dir + "/lock";
    const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
      const int error = errno;
      const Status status = ErrnoStatus(error, "cannot write in " + dir);
      return Status(status.code(), MessageOf(status) + kOtherDirectory);
    }
    std::unique_ptr<Lock> lock(new Lock(fd));
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK) return ErrnoStatus(errno, "cannot lock " + path);
      char pid[24] = {};
      const ssize_t size = read(fd, pid, sizeof pid - 1);
      const std::string who = size > 0 ? " (pid " + std::string(pid) + ")" : "";
      return FailedPrecondition(dir + " is in use by another controller" + who + "; stop it" +
                                ", or choose another directory with --store DIR");
    }
    // The pid is only for the message above: failing to write it is no reason not to start.
    const std::string pid = std::to_string(getpid());
    if (ftruncate(fd, 0) == 0 && write(fd, pid.data(), pid.size()) < 0) errno = 0;
    return lock;
  }
  ~Lock() { close(fd_); }

 private:
  explicit Lock(int fd) : fd_(fd) {}
  const int fd_;
};

Store::Store(StoreOptions options) : options_(std::move(options)) {}

StatusOr<std::unique_ptr<Store>> Store::Open(StoreOptions options) {
  BROADSIDE_CHECK(options.max_batch_ops > 0 && options.on_stored != nullptr);
  std::unique_ptr<Store> store(new Store(std::move(options)));
  BROADSIDE_RETURN_IF_ERROR(store->OpenFiles());
  store->thread_ = std::thread(&Store::WriteLoop, store.get());
  return store;
}

Status Store::OpenFiles() {
  const std::string& dir = options_.dir;
  if (dir.empty()) return InvalidArgument("no directory for the store; give one with --store DIR");
  std::error_code error;
  // Plans may carry header values: nobody else's business.
  if (std::filesystem::create_directories(dir, error)) {
    std::filesystem::permissions(dir, std::filesystem::perms::owner_all, error);
  }
  if (error) {
    const Status status = ErrnoStatus(error.value(), "cannot make directory " + dir);
    return Status(status.code(), MessageOf(status) + kOtherDirectory);
  }
  BROADSIDE_ASSIGN_OR_RETURN(lock_, Lock::Take(dir));
  path_ = dir + "/broadside.db";
  BROADSIDE_ASSIGN_OR_RETURN(std::unique_ptr<Database> database,
                             Database::Open(path_, Database::Mode::kReadWrite));
  BROADSIDE_ASSIGN_OR_RETURN(incarnation_,
                             PrepareDatabase(*database, options_.check_bytes, options_.max_bytes));
  BROADSIDE_ASSIGN_OR_RETURN(writer_, Writer::Create(std::move(database), options_.max_file_bytes));
  return absl::OkStatus();
}

Store::~Store() { Close(kCloseTime); }

StoreToken Store::Push(Queued item) {
  item.token = ++last_token_;
  item.patient = std::holds_alternative<PutSnapshot>(item.op) && !item.refused;
  if (!item.patient) ++urgent_;
  counters_.queued_bytes += item.bytes;
  queue_.push_back(std::move(item));
  changed_.notify_all();
  return last_token_;
}

std::optional<StoreToken> Store::TryEnqueue(StoreOp op) {
  const uint64_t bytes = BytesOf(op);
  const std::lock_guard lock(mutex_);
  if (closing_) return std::nullopt;
  // An op larger than the whole queue may pass alone, or it never could.
  if (counters_.queued_bytes > 0 && counters_.queued_bytes + bytes > options_.max_queued_bytes) {
    ++counters_.refused_ops;
    return std::nullopt;
  }
  return Push({.bytes = bytes, .op = std::move(op)});
}

StoreToken Store::Enqueue(StoreOp op) {
  const uint64_t bytes = BytesOf(op);
  const std::lock_guard lock(mutex_);
  if (closing_) return 0;
  if (counters_.queued_bytes > 0 &&
      counters_.queued_bytes + bytes > 2 * options_.max_queued_bytes) {
    ++counters_.refused_ops;
    return Push({.refused = true});
  }
  return Push({.bytes = bytes, .op = std::move(op)});
}

Status Store::Flush(Nanos timeout) {
  BROADSIDE_CHECK(std::this_thread::get_id() != thread_.get_id());
  std::unique_lock lock(mutex_);
  const StoreToken until = last_token_;
  if (changed_.wait_for(lock, timeout, [&] { return handed_over_ >= until; })) {
    return absl::OkStatus();
  }
  return DeadlineExceeded(path_ + ": " + std::to_string(until - handed_over_) +
                          " writes are still waiting; the disk is slow or stuck");
}

void Store::Close(Nanos timeout) {
  if (!thread_.joinable()) return;
  {
    std::unique_lock lock(mutex_);
    closing_ = true;
    changed_.notify_all();
    // Without time, nothing that waits may slip in between.
    abandon_ = timeout <= Nanos(0);
    changed_.wait_for(lock, timeout, [&] { return handed_over_ == last_token_; });
    abandon_ = true;
  }
  thread_.join();
}

std::vector<Store::Queued> Store::NextBatch() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return closing_ || !queue_.empty(); });
  // A snapshot waits a little for company, since every commit costs a disk flush.
  changed_.wait_for(lock, options_.linger, [&] {
    return closing_ || urgent_ > 0 || queue_.size() >= options_.max_batch_ops ||
           counters_.queued_bytes >= options_.max_batch_bytes;
  });
  std::vector<Queued> batch;
  uint64_t bytes = 0;
  while (!queue_.empty() && batch.size() < options_.max_batch_ops &&
         (batch.empty() || bytes + queue_.front().bytes <= options_.max_batch_bytes)) {
    bytes += queue_.front().bytes;
    if (!queue_.front().patient) --urgent_;
    batch.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  return batch;
}

std::vector<StoreResult> Store::Write(const std::vector<Queued>& batch) {
  bool abandon = false;
  {
    const std::lock_guard lock(mutex_);
    abandon = abandon_;
  }
  std::vector<const StoreOp*> ops;
  for (const Queued& item : batch) {
    if (!item.refused) ops.push_back(&item.op);
  }
  uint64_t commits = 0;
  std::vector<Status> statuses;
  if (abandon) {
    statuses.assign(ops.size(), Cancelled(path_ + " was closed before this was written"));
  } else if (!ops.empty()) {
    statuses = writer_->ApplyBatch(ops, commits);
  }
  Status health;
  for (const Status& status : statuses) {
    if (!status.ok() && !IsRefusal(status)) health = status;
  }
  std::vector<StoreResult> results;
  uint64_t failed = 0;
  size_t next = 0;
  for (const Queued& item : batch) {
    Status status = item.refused ? ResourceExhausted(path_ +
                                                     ": too many writes are waiting; the "
                                                     "disk is slow or stuck")
                                 : std::move(statuses[next++]);
    failed += status.ok() ? 0 : 1;
    results.push_back({item.token, std::move(status)});
  }
  const std::lock_guard lock(mutex_);
  if (!ops.empty()) health_ = std::move(health);
  counters_.commits += commits;
  counters_.failed_ops += failed;
  counters_.stored_ops += results.size() - failed;
  return results;
}

void Store::WriteLoop() {
  for (;;) {
    std::vector<Queued> batch = NextBatch();
    if (batch.empty()) return;
    std::vector<StoreResult> results = Write(batch);
    uint64_t bytes = 0;
    for (const Queued& item : batch) bytes += item.bytes;
    const StoreToken last = batch.back().token;
    batch.clear();
    options_.on_stored(std::move(results));
    const std::lock_guard lock(mutex_);
    counters_.queued_bytes -= bytes;
    handed_over_ = last;
    changed_.notify_all();
  }
}

StoreCounters Store::counters() const {
  const std::lock_guard lock(mutex_);
  StoreCounters counters = counters_;
  counters.queued_ops = last_token_ - handed_over_;
  return counters;
}

Status Store::health() const {
  const std::lock_guard lock(mutex_);
  return health_;
}

}  // namespace broadside::store
