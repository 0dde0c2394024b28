// What one controller pays for a fleet: N stub agents on real streams, each with AgentCore's own
// conversation and one snapshot a second of the size that 1,000 requests make, all of them stored.
// They send no requests. Prints a row for each N: fleet_bench [N…] (500 and 1,000 when none is
// given); the controller is the program beside it in ../bin.
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <mutex>
#include <random>
#include <sstream>
#include <thread>

#include "agent/control/agent_core.h"
#include "agent/control/fleet_stream.h"
#include "common/plan/parse.h"
#include "common/rate/schedule.h"
#include "common/stats/codec.h"
#include "common/time/clock.h"
#include "common/wire/snapshot.h"
#include "ctl/child.h"
#include "ctl/grpc_client.h"

namespace {

using namespace broadside;
namespace fs = std::filesystem;

constexpr uint64_t kRequests = 1000;  ///< an agent and interval
constexpr Nanos kInterval = std::chrono::seconds(1);
constexpr Nanos kSettle = std::chrono::seconds(3);  ///< from T0, before anything is measured
constexpr Nanos kMeasure = std::chrono::seconds(15);
constexpr Nanos kDeadline = std::chrono::seconds(90);

[[noreturn]] void Die(const std::string& what) {
  std::fprintf(stderr, "fleet_bench: %s\n", what.c_str());
  std::exit(1);
}

/// Cells of one target and outcome, all measures; drawn a few times, then reused.
std::vector<stats::Cell> DrawCells(std::mt19937_64& random) {
  const auto cell = [&random](stats::Measure measure, double median_ns, double sigma) {
    stats::IntervalHistogram histogram;
    std::lognormal_distribution<double> draw(std::log(median_ns), sigma);
    for (uint64_t i = 0; i < kRequests; ++i) histogram.Record(static_cast<int64_t>(draw(random)));
    return stats::Cell{
        .outcome = measure == stats::Measure::kLag ? std::string(stats::kAllSent) : "ok",
        .measure = measure,
        .exact = histogram.exact(),
        .counts = stats::EncodeCounts(histogram)};
  };
  return {cell(stats::Measure::kLatency, 5e6, 0.5), cell(stats::Measure::kService, 5e6, 0.5),
          cell(stats::Measure::kFirstByte, 5e6, 0.5), cell(stats::Measure::kWait, 1e3, 0.5),
          cell(stats::Measure::kLag, 5e4, 0.5)};
}

/// An agent without an engine. One thread, but for the mailbox.
class Stub {
 public:
  Stub(int number, std::string controller, const std::vector<std::vector<stats::Cell>>& cells)
      : controller_(std::move(controller)), cells_(cells), core_(OptionsOf(number)) {}
  ~Stub() {
    if (stream_) stream_->Close("the benchmark ends");
  }

  void Turn(Instant now) {
    std::vector<agent::CoreEvent> mail;
    {
      const std::lock_guard lock(mailbox_->mutex);
      mail.swap(mailbox_->mail);
    }
    for (agent::CoreEvent& event : mail) {
      Count(event);
      core_.Step(now, std::move(event));
    }
    core_.Tick(now);
    if (fit_) MakeSnapshots(now);
    for (agent::CoreAction& action : core_.TakeActions()) {
      std::visit([this, now](auto& what) { Do(now, what); }, action);
    }
  }

  uint64_t stored() const { return stored_; }
  uint64_t bytes() const { return bytes_; }
  bool connected() const { return core_.connected(); }

 private:
  /// Outlives the stub in the hands of gRPC's last callbacks.
  struct Mailbox {
    std::mutex mutex;
    std::vector<agent::CoreEvent> mail;
  };

  static agent::AgentCoreOptions OptionsOf(int number) {
    agent::AgentCoreOptions options;
    options.hello.schedule_version = rate::kScheduleVersion;
    options.hello.histogram_layout = stats::kLayoutVersion;
    options.hello.agent = AgentId("stub-" + std::to_string(number));
    options.hello.incarnation = Incarnation(static_cast<uint64_t>(number) + 1);
    options.hello.version = BROADSIDE_VERSION;
    options.hello.host = "here";
    return options;
  }

  void Count(const agent::CoreEvent& event) {
    const auto* message = std::get_if<agent::FromController>(&event);
    if (message == nullptr) return;
    if (const auto* ack = std::get_if<wire::SnapshotAck>(&message->message))
      stored_ += ack->sequences.size();
  }

  void MakeSnapshots(Instant now) {
    while (fit_->RunAt(now) >= RunTime(kInterval * (next_ + 1))) {
      const auto all = kRequests * static_cast<uint64_t>(next_ + 1);
      const RunTime start(kInterval * next_);
      const RunTime last = start + kInterval - Nanos(1);
      stats::Snapshot snapshot{.run = run_,
                               .incarnation = incarnation_,
                               .sequence = static_cast<uint64_t>(next_) + 1,
                               .interval = next_,
                               .interval_length = kInterval};
      snapshot.counters.push_back({.counters = {.scheduled = all, .sent = all, .ok = all}});
      snapshot.outcomes.push_back({.outcome = "ok",
                                   .total = all,
                                   .in_interval = kRequests,
                                   .first_due = start,
                                   .last_due = last,
                                   .first_end = start,
                                   .last_end = last,
                                   .longest_run = kRequests});
      snapshot.cells = cells_[(incarnation_.value() + static_cast<size_t>(next_)) % cells_.size()];
      snapshot.gauges.push_back({.in_flight_max = 9, .in_flight_ns = 5'000'000'000});
      snapshot.health = {.loops = 1, .busiest_loop_ppm = 12'000, .cpu_ns = 1'000'000};
      wire::SnapshotEnvelope full = wire::PackSnapshot(snapshot);
      bytes_ = full.body.size();
      core_.Step(now,
                 agent::SnapshotMade{std::move(full), wire::PackSnapshot(snapshot, /*thin=*/true)});
      ++next_;
    }
  }

  void Do(Instant, agent::OpenStream&) {
    stream_ = agent::FleetStream::Open(controller_, [box = mailbox_](agent::CoreEvent event) {
      const std::lock_guard lock(box->mutex);
      box->mail.push_back(std::move(event));
    });
  }
  void Do(Instant, agent::CloseStream& action) { stream_->Close(action.reason); }
  void Do(Instant, agent::Say& action) {
    if (const auto* hello = std::get_if<wire::Hello>(&action.message))
      incarnation_ = hello->incarnation;
    stream_->Send(action.message);
  }
  void Do(Instant now, agent::PrepareRun& action) {
    run_ = action.assignment.run;
    core_.Step(now, agent::RunPrepared{run_, "", {}});
  }
  void Do(Instant, agent::SetRunClock& action) { fit_ = action.fit; }
  template <typename Other>
  void Do(Instant, Other&) {}

  const std::string controller_;
  const std::vector<std::vector<stats::Cell>>& cells_;
  agent::AgentCore core_;
  const std::shared_ptr<Mailbox> mailbox_ = std::make_shared<Mailbox>();
  std::shared_ptr<agent::FleetStream> stream_;
  Incarnation incarnation_;
  RunId run_;
  std::optional<ClockFit> fit_;
  IntervalIndex next_ = 0;
  uint64_t stored_ = 0;
  uint64_t bytes_ = 0;
};

/// A controller of our own, and what /proc says of it.
class Controller {
 public:
  Controller(const std::string& program, const std::string& directory) {
    const std::string ports = directory + "/ports";
    auto child = ctl::Child::Start({program, "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0",
                                    "--store", directory + "/store", "--port-file", ports},
                                   directory + "/controller.log");
    if (!child.ok()) Die(MessageOf(child.status()));
    child_ = std::make_unique<ctl::Child>(*std::move(child));
    const Instant until = SystemClock().Now() + std::chrono::seconds(10);
    std::string name;
    int port = 0;
    while (!(std::ifstream(ports) >> name >> port) || name != "grpc") {
      if (child_->Poll() || SystemClock().Now() > until)
        Die("the controller does not start:\n" + ctl::LastLines(child_->log(), 5));
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    address_ = "127.0.0.1:" + std::to_string(port);
  }

  const std::string& address() const { return address_; }

  double CpuSeconds() const {
    std::ifstream file(Proc("stat"));
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    std::istringstream rest(text.substr(text.rfind(')') + 2));
    std::vector<std::string> fields{std::istream_iterator<std::string>(rest), {}};
    const double ticks = std::stod(fields.at(11)) + std::stod(fields.at(12));
    return ticks / static_cast<double>(sysconf(_SC_CLK_TCK));
  }
  double ResidentKilobytes() const {
    std::ifstream file(Proc("status"));
    for (std::string line; std::getline(file, line);)
      if (line.starts_with("VmRSS:")) return std::stod(line.substr(6));
    Die("the controller has gone");
  }

 private:
  std::string Proc(const std::string& name) const {
    return "/proc/" + std::to_string(child_->pid()) + "/" + name;
  }
  std::unique_ptr<ctl::Child> child_;
  std::string address_;
};

/// What a watcher sees of the run, and when.
class Watch {
 public:
  Watch(const std::string& address, size_t agents) {
    thread_ = std::thread([this, address, agents] { Follow(address, agents); });
  }
  ~Watch() {
    over_ = true;
    thread_.join();
  }
  Nanos elapsed() const { return Nanos(elapsed_ns_); }
  std::string error() const {
    const std::lock_guard lock(mutex_);
    return error_;
  }
  /// From each interval's end to the first message whose P99 has it, in seconds, sorted.
  std::vector<double> delays() const {
    const std::lock_guard lock(mutex_);
    std::vector<double> out = delays_;
    std::sort(out.begin(), out.end());
    return out;
  }

 private:
  void Follow(const std::string& address, size_t agents) {
    const std::string text =
        "name: fleet\ntargets: {t: {url: \"http://127.0.0.1:9/\"}}\nload: [{phase: a, rate: " +
        std::to_string(agents * kRequests) +
        "/s, duration: 120s}]\nagents: {min: " + std::to_string(agents) + ", wait: 60s}\n";
    const auto plan = plan::ParsePlan(text, {.file_name = "plan"});
    if (!plan.ok()) return Fail(plan.status());
    const auto client = ctl::MakeGrpcClient(address);
    const auto run = client->Submit({.plan_json = plan::CanonicalJson(*plan)});
    if (!run.ok()) return Fail(run.status());
    const Status status = client->Watch(
        *run, [this](const report::Progress& progress) { See(progress); },
        [this] { return !over_; });
    if (!over_) Fail(status.ok() ? Internal("the run ended too early") : status);
  }
  void Fail(const Status& status) {
    const std::lock_guard lock(mutex_);
    error_ = MessageOf(status);
  }
  void See(const report::Progress& progress) {
    elapsed_ns_ = progress.elapsed_ns;
    if (progress.n == 0 || progress.interval <= interval_) return;
    interval_ = progress.interval;
    const Nanos end = kInterval * (interval_ + 1);
    if (end < kSettle) return;
    const std::lock_guard lock(mutex_);
    delays_.push_back(std::chrono::duration<double>(elapsed() - end).count());
  }

  std::atomic<bool> over_ = false;
  std::atomic<int64_t> elapsed_ns_ = 0;
  int64_t interval_ = -1;
  mutable std::mutex mutex_;
  std::vector<double> delays_;
  std::string error_;
  std::thread thread_;
};

class Fleet {
 public:
  Fleet(size_t size, const std::string& address, const std::vector<std::vector<stats::Cell>>& cells)
      : until_(SystemClock().Now() + kDeadline) {
    for (size_t i = 0; i < size; ++i)
      stubs_.push_back(std::make_unique<Stub>(static_cast<int>(i), address, cells));
  }
  /// Turns all stubs until `done`.
  template <typename Done>
  void RunUntil(Done done, const Watch* watch = nullptr) {
    while (!done()) {
      const Instant now = SystemClock().Now();
      if (now > until_) Die("not done in time");
      if (watch != nullptr && !watch->error().empty()) Die(watch->error());
      for (const auto& stub : stubs_) stub->Turn(now);
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  }
  bool connected() const {
    return std::all_of(stubs_.begin(), stubs_.end(), [](const auto& s) { return s->connected(); });
  }
  uint64_t stored() const {
    uint64_t out = 0;
    for (const auto& stub : stubs_) out += stub->stored();
    return out;
  }
  uint64_t bytes() const { return stubs_.front()->bytes(); }

 private:
  const Instant until_;
  std::vector<std::unique_ptr<Stub>> stubs_;
};

void Measure(const std::string& program, size_t agents,
             const std::vector<std::vector<stats::Cell>>& cells) {
  std::string directory = (fs::temp_directory_path() / "fleet-bench-XXXXXX").string();
  if (mkdtemp(directory.data()) == nullptr) Die("cannot make " + directory);
  {
    const Controller controller(program, directory);
    const double empty = controller.ResidentKilobytes();
    Fleet fleet(agents, controller.address(), cells);
    fleet.RunUntil([&] { return fleet.connected(); });
    const double idle = controller.ResidentKilobytes();
    const Watch watch(controller.address(), agents);
    fleet.RunUntil([&] { return watch.elapsed() >= kSettle; }, &watch);
    const double cpu = controller.CpuSeconds();
    const uint64_t stored = fleet.stored();
    fleet.RunUntil([&] { return watch.elapsed() >= kSettle + kMeasure; }, &watch);
    const double seconds = controller.CpuSeconds() - cpu;
    const auto count = static_cast<double>(fleet.stored() - stored);
    const std::vector<double> delays = watch.delays();
    if (count == 0 || delays.empty()) Die("no snapshot was stored");
    const auto of_each = [agents](double kilobytes) {
      return kilobytes / static_cast<double>(agents);
    };
    std::printf("%6zu  %8llu  %10.0f  %9.0f µs  %11.0f  %9.0f KB  %9.0f KB  %8.2f s  %8.2f s\n",
                agents, static_cast<unsigned long long>(fleet.bytes()),
                count / std::chrono::duration<double>(kMeasure).count(), 1e6 * seconds / count,
                count / seconds, of_each(idle - empty),
                of_each(controller.ResidentKilobytes() - empty), delays[delays.size() / 2],
                delays.back());
    std::fflush(stdout);
  }
  fs::remove_all(directory);
}

}  // namespace

int main(int argc, char** argv) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  const fs::path here = fs::read_symlink("/proc/self/exe").parent_path();
  const std::string program = (here / "../bin/broadside-controller").lexically_normal().string();
  std::vector<size_t> sizes;
  for (int i = 1; i < argc; ++i) sizes.push_back(std::strtoul(argv[i], nullptr, 10));
  if (sizes.empty()) sizes = {500, 1000};
  std::mt19937_64 random(7);
  std::vector<std::vector<stats::Cell>> cells;
  for (int i = 0; i < 16; ++i) cells.push_back(DrawCells(random));
  std::printf(
      "agents  snapshot    stored/s  CPU of each  a core does  memory, idle  in a run   "
      "interval end → P99, median  longest\n");
  for (const size_t agents : sizes) Measure(program, agents, cells);
  return 0;
}
