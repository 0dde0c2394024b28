#include "ctl/local_cluster.h"

#include <signal.h>
#include <stdlib.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "common/time/clock.h"
#include "ctl/child.h"

namespace broadside::ctl {
namespace {

namespace fs = std::filesystem;

constexpr Nanos kReadyWithin = std::chrono::seconds(15);
constexpr Nanos kStopWithin = std::chrono::seconds(8);
constexpr Nanos kPoll = std::chrono::milliseconds(10);

StatusOr<std::string> MakeTemporary() {
  const char* base = getenv("TMPDIR");
  std::string path =
      std::string(base != nullptr && *base != '\0' ? base : "/tmp") + "/ctl-run-XXXXXX";
  if (mkdtemp(path.data()) == nullptr) return ErrnoStatus(errno, path);
  return path;
}

class LocalCluster : public Cluster {
 public:
  LocalCluster(std::string directory, bool temporary)
      : directory_(std::move(directory)), temporary_(temporary) {}
  ~LocalCluster() override { Stop(); }

  std::string address() const override { return address_; }
  std::string directory() const override { return directory_; }
  Status Check() override;
  void Stop() override;
  void Kill() override;

  Status StartController(const LocalPrograms& programs);
  Status StartAgents(const ClusterOptions& options, const LocalPrograms& programs);

 private:
  struct Member {
    std::string name;
    Child child;
  };
  Status Start(const std::string& name, std::vector<std::string> argv);
  Status Died(const Member& member);
  void StopMembers(size_t from, size_t to);
  void CleanUp();

  std::string directory_;
  bool temporary_;
  std::string address_;
  std::vector<Member> members_;  ///< the controller first
};

Status LocalCluster::Start(const std::string& name, std::vector<std::string> argv) {
  StatusOr<Child> child = Child::Start(std::move(argv), directory_ + "/" + name + ".log");
  if (!child.ok()) {
    return Status(absl::StatusCode::kInternal,
                  "cannot start the local " + name + ": " + MessageOf(child.status()) +
                      ". It stands beside ctl after a build; or give --controller HOST:PORT.");
  }
  members_.push_back({name, std::move(*child)});
  return absl::OkStatus();
}

Status LocalCluster::Died(const Member& member) {
  temporary_ = false;  // the logs are what explains it
  const std::string tail = LastLines(member.child.log(), 5);
  return Internal("the local " + member.name + " ended early (" + member.child.Ending() +
                  "); its log, " + member.child.log() +
                  (tail.empty() ? ", is empty" : ", ends:\n" + tail));
}

Status LocalCluster::StartController(const LocalPrograms& programs) {
  const std::string port_file = directory_ + "/controller.ports";
  std::error_code ignored;
  fs::remove(port_file, ignored);
  BROADSIDE_RETURN_IF_ERROR(Start(
      "controller", {programs.directory + "/broadside-controller", "--listen", "127.0.0.1:0",
                     "--http", "127.0.0.1:0", "--store", directory_, "--port-file", port_file}));
  const SystemClock clock;
  const Instant deadline = clock.Now() + kReadyWithin;
  while (clock.Now() < deadline) {
    std::ifstream file(port_file);
    std::string word;
    int port = 0;
    while (file >> word >> port) {
      // A line counts when its newline is there too: it may be read while it is written.
      if (word == "grpc" && file.peek() == '\n') address_ = "127.0.0.1:" + std::to_string(port);
    }
    if (!address_.empty()) return absl::OkStatus();
    BROADSIDE_RETURN_IF_ERROR(Check());
    std::this_thread::sleep_for(kPoll);
  }
  temporary_ = false;
  return Internal("the local controller did not open its port within 15 s; its log is " +
                  members_[0].child.log());
}

Status LocalCluster::StartAgents(const ClusterOptions& options, const LocalPrograms& programs) {
  // Loops that spin are the most exact, but they must leave a core to everyone else.
  const bool eco = uint64_t{options.agents} * options.loops + 1 > programs.cores;
  for (uint32_t i = 1; i <= options.agents; ++i) {
    const std::string name = "agent-" + std::to_string(i);
    std::vector<std::string> argv = {programs.directory + "/broadside-agent",
                                     "--controller",
                                     address_,
                                     "--http",
                                     "127.0.0.1:0",
                                     "--id",
                                     name,
                                     "--loops",
                                     std::to_string(options.loops)};
    if (eco) argv.insert(argv.end(), {"--wait", "eco"});
    for (const std::string& allow : options.allow) argv.insert(argv.end(), {"--allow", allow});
    if (!options.secrets_dir.empty()) argv.insert(argv.end(), {"--secrets", options.secrets_dir});
    if (!options.record_requests.empty()) {
      argv.insert(argv.end(), {"--record-requests", options.record_requests + "-" + name + ".csv"});
    }
    BROADSIDE_RETURN_IF_ERROR(Start(name, std::move(argv)));
  }
  return absl::OkStatus();
}

Status LocalCluster::Check() {
  for (Member& member : members_) {
    if (member.child.Poll()) return Died(member);
  }
  return absl::OkStatus();
}

void LocalCluster::StopMembers(size_t from, size_t to) {
  const SystemClock clock;
  const Instant deadline = clock.Now() + kStopWithin;
  for (size_t i = from; i < to; ++i) members_[i].child.Signal(SIGTERM);
  for (size_t i = from; i < to; ++i) {
    while (!members_[i].child.Poll() && clock.Now() < deadline) std::this_thread::sleep_for(kPoll);
  }
}

void LocalCluster::Stop() {
  // Agents first: they hand in what they have while the controller is still there.
  if (members_.size() > 1) StopMembers(1, members_.size());
  if (!members_.empty()) StopMembers(0, 1);
  CleanUp();
}

void LocalCluster::Kill() { CleanUp(); }

void LocalCluster::CleanUp() {
  members_.clear();  // kills what still runs
  if (temporary_) {
    std::error_code ignored;
    fs::remove_all(directory_, ignored);
  }
  temporary_ = false;
}

}  // namespace

StatusOr<std::unique_ptr<Cluster>> StartLocalCluster(const ClusterOptions& options,
                                                     const LocalPrograms& programs) {
  constexpr uint32_t kMostAgents = 256;
  if (options.agents == 0 || options.agents > kMostAgents || options.loops == 0) {
    return InvalidArgument("a local run has 1 to 256 agents with 1 loop or more each");
  }
  std::string directory = options.store_dir;
  if (directory.empty()) {
    BROADSIDE_ASSIGN_OR_RETURN(directory, MakeTemporary());
  } else {
    std::error_code error;
    fs::create_directories(directory, error);
    if (error) return InvalidArgument("--store: " + directory + ": " + error.message());
  }
  auto cluster = std::make_unique<LocalCluster>(directory, options.store_dir.empty());
  BROADSIDE_RETURN_IF_ERROR(cluster->StartController(programs));
  BROADSIDE_RETURN_IF_ERROR(cluster->StartAgents(options, programs));
  return cluster;
}

}  // namespace broadside::ctl
