#include "agent/engine/engine.h"

#include <sys/resource.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

#include "agent/engine/loop.h"

namespace broadside::agent {
namespace {

/// Latency to expect of a target that nothing is known about, for the size of warm pools.
constexpr double kExpectedSeconds = 0.02;
constexpr uint32_t kLeastWarm = 2;
/// What all interval histograms of an engine may take.
constexpr size_t kHistogramBudget = size_t{256} << 20;
constexpr size_t kHistogramBytes = size_t{stats::kSlots} * 4;
constexpr uint32_t kMaxLoops = 64;

uint32_t ShareOf(uint32_t total, uint32_t parts, uint32_t index) {
  return total / parts + (index < total % parts ? 1 : 0);
}

plan::MicroRate MicroOf(const plan::RateValue& value) {
  const auto* rate = std::get_if<plan::MicroRate>(&value);
  return rate != nullptr ? *rate : 0;
}

/// The highest rate that a phase asks for, of all targets together; 0 where it is not known.
plan::MicroRate PeakOf(const plan::Load& load) {
  if (const auto* l = std::get_if<plan::ConstantLoad>(&load)) return MicroOf(l->rate);
  if (const auto* l = std::get_if<plan::RampLoad>(&load)) return std::max(l->from, l->to);
  if (const auto* l = std::get_if<plan::StepsLoad>(&load)) return std::max(l->from, l->to);
  if (const auto* l = std::get_if<plan::SineLoad>(&load)) return l->mean + l->amplitude;
  if (const auto* l = std::get_if<plan::SearchLoad>(&load)) return l->from;
  if (const auto* l = std::get_if<plan::RatesLoad>(&load)) {
    plan::MicroRate sum = 0;
    for (const auto& [name, rate] : l->rates) sum += MicroOf(rate);
    return sum;
  }
  return 0;
}

/// Connections to open before T0, over all loops: enough for the highest rate at the expected
/// latency, and the pool grows on demand.
uint32_t WarmConnections(const RunSetup& setup, size_t target) {
  double weights = 0;
  for (const plan::Target& t : setup.plan->targets) weights += static_cast<double>(t.weight);
  plan::MicroRate peak = 0;
  for (const plan::Phase& phase : setup.plan->phases) peak = std::max(peak, PeakOf(phase.load));
  const double rate = static_cast<double>(peak) / rate::kMicroPerUnit * setup.share *
                      static_cast<double>(setup.plan->targets[target].weight) /
                      std::max(weights, 1.0);
  const auto wanted = static_cast<uint32_t>(std::min(rate * kExpectedSeconds, 1e6)) + 1;
  return std::min(setup.connections, std::max(kLeastWarm, wanted));
}

Status Check(const RunSetup& setup) {
  if (setup.plan == nullptr || setup.workloads.size() != setup.plan->targets.size()) {
    return Internal("a run needs a plan and one workload for each target");
  }
  if (setup.in_flight == 0 || setup.connections == 0) {
    return InvalidArgument("limits: in_flight and connections must give each agent at least 1");
  }
  if (setup.plan->interval <= Nanos(0)) return Internal("the interval must be positive");
  for (size_t i = 0; i < setup.workloads.size(); ++i) {
    for (const Endpoint& endpoint : setup.workloads[i]->endpoints) {
      if (endpoint.tls) {
        return Unimplemented("target \"" + setup.plan->targets[i].name +
                             "\": https is not in this version yet; use an http:// URL");
      }
    }
  }
  return absl::OkStatus();
}

/// Connections are descriptors; the soft limit is often 1,024.
void RaiseDescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

/// Resolves on a thread that may hang in the system's resolver without holding anyone else up.
class Resolution {
 public:
  static std::shared_ptr<Resolution> Start(std::shared_ptr<Resolver> resolver,
                                           std::vector<std::vector<Endpoint>> endpoints,
                                           Instant deadline) {
    auto self = std::make_shared<Resolution>();
    std::thread([self, resolver = std::move(resolver), endpoints = std::move(endpoints), deadline] {
      auto book = std::make_shared<AddressBook>();
      Status status;
      for (const auto& of_target : endpoints) {
        auto& list = book->emplace_back();
        for (const Endpoint& endpoint : of_target) {
          const auto all = resolver->Resolve(endpoint.host, endpoint.port);
          if (!all.ok() && status.ok()) status = all.status();
          list.push_back(all.ok() ? TakingAddresses(*all, deadline) : std::vector<Address>{});
        }
      }
      const std::lock_guard lock(self->mutex_);
      self->book_ = std::move(book);
      self->status_ = std::move(status);
      self->changed_.notify_all();
    }).detach();
    return self;
  }
  StatusOr<std::shared_ptr<const AddressBook>> Await(Instant deadline) {
    std::unique_lock lock(mutex_);
    const auto left = deadline - SystemClock().Now();
    changed_.wait_for(lock, left, [this] { return book_ != nullptr || cancelled_; });
    if (book_ == nullptr) return DeadlineExceeded("the target's name was not resolved in time");
    if (!status_.ok()) return status_;
    return book_;
  }
  void Cancel() {
    const std::lock_guard lock(mutex_);
    cancelled_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::shared_ptr<const AddressBook> book_;  ///< guarded by mutex_
  Status status_;                            ///< guarded by mutex_
  bool cancelled_ = false;                   ///< guarded by mutex_
};

class LoopEngine : public Engine {
 public:
  LoopEngine(const EngineOptions& options, RunSetup setup, std::unique_ptr<RawLog> raw_log,
             SnapshotSink sink)
      : setup_(std::move(setup)) {
    // Every loop must be able to have a connection and a request in flight.
    const uint32_t loops =
        std::clamp(std::min({options.loops, setup_.connections, setup_.in_flight}), 1u, kMaxLoops);
    const size_t targets = setup_.workloads.size();
    const size_t cap =
        std::max<size_t>(8, std::min(targets * 40, kHistogramBudget / kHistogramBytes / loops));
    Encoder::Options encoder;
    for (uint32_t i = 0; i < loops; ++i) {
      pools_.push_back(std::make_unique<HistogramPool>(targets * 10, cap));
      encoder.pools.push_back(pools_.back().get());
      if (raw_log == nullptr) continue;
      rings_.push_back(std::make_unique<RawRing>());
      encoder.rings.push_back(rings_.back().get());
    }
    encoder.run = setup_.run;
    encoder.owner = setup_.owner;
    encoder.interval = setup_.plan->interval;
    encoder.raw_log = std::move(raw_log);
    encoder.sink = std::move(sink);
    encoder_ = std::make_unique<Encoder>(std::move(encoder));
    for (uint32_t i = 0; i < loops; ++i) {
      loops_.push_back(std::make_unique<Loop>(Loop::Options{
          .index = i,
          .loops = loops,
          .wait = options.wait,
          .run = setup_.run,
          .owner = setup_.owner,
          .plan = setup_.plan,
          .workloads = setup_.workloads,
          .in_flight = ShareOf(setup_.in_flight, loops, i),
          .connections = ShareOf(setup_.connections, loops, i),
          .encoder = encoder_.get(),
          .pool = pools_[i].get(),
          .ring = rings_.empty() ? nullptr : rings_[i].get(),
      }));
    }
    for (const auto& loop : loops_) loop->Start();
  }

  ~LoopEngine() override {
    if (resolution_ != nullptr) resolution_->Cancel();
    if (warm_thread_.joinable()) warm_thread_.join();
    loops_.clear();  // joins; nothing submits any more
    encoder_.reset();
  }

  void Warm(Nanos deadline, std::function<void(Status)> done) override {
    const Instant until = SystemClock().Now() + deadline;
    std::vector<std::vector<Endpoint>> endpoints;
    for (const auto& workload : setup_.workloads) endpoints.push_back(workload->endpoints);
    resolution_ = Resolution::Start(setup_.resolver, std::move(endpoints), until);
    warm_thread_ = std::thread([this, until, done = std::move(done)]() mutable {
      StatusOr<std::shared_ptr<const AddressBook>> book = resolution_->Await(until);
      if (!book.ok()) return done(book.status());
      auto warm_up = std::make_shared<WarmUp>();
      warm_up->loops_left = loops_.size();
      warm_up->done = std::move(done);
      const auto loops = static_cast<uint32_t>(loops_.size());
      for (uint32_t i = 0; i < loops; ++i) {
        WarmMessage message{*book, {}, until, warm_up};
        for (size_t target = 0; target < setup_.workloads.size(); ++target) {
          message.connections.push_back(
              std::max(1u, ShareOf(WarmConnections(setup_, target), loops, i)));
        }
        loops_[i]->Post(std::move(message));
      }
    });
  }

  void AddSegment(std::shared_ptr<const rate::CompiledSegment> segment) override {
    PostAll(std::move(segment));
  }
  void AddDeal(const rate::Deal& deal) override { PostAll(deal); }
  void SetClock(const ClockFit& fit, Nanos bound, Nanos pending_slew) override {
    encoder_->SetClockQuality(bound, pending_slew);
    if (!first_interval_) {
      const RunTime now = fit.RunAt(SystemClock().Now());
      first_interval_ = std::max<IntervalIndex>(0, IntervalOf(now, setup_.plan->interval));
    }
    PostAll(ClockMessage{fit, *first_interval_});
  }
  void Grant(ShardEpoch epoch, IntervalIndex last, Instant lease_end) override {
    PostAll(GrantMessage{epoch, last, lease_end});
  }
  void Stop(RunTime end) override { PostAll(StopMessage{end}); }
  void Finish(RunTime end) override { PostAll(FinishMessage{end}); }

 private:
  void PostAll(const LoopMessage& message) {
    for (const auto& loop : loops_) loop->Post(message);
  }

  RunSetup setup_;
  std::vector<std::unique_ptr<HistogramPool>> pools_;
  std::vector<std::unique_ptr<RawRing>> rings_;
  std::unique_ptr<Encoder> encoder_;
  std::vector<std::unique_ptr<Loop>> loops_;
  std::optional<IntervalIndex> first_interval_;
  std::shared_ptr<Resolution> resolution_;  ///< shared with a thread that may outlive the engine
  std::thread warm_thread_;
};

}  // namespace

StatusOr<std::unique_ptr<Engine>> Engine::Create(const EngineOptions& options, RunSetup setup,
                                                 SnapshotSink sink) {
  BROADSIDE_RETURN_IF_ERROR(Check(setup));
  std::unique_ptr<RawLog> raw_log;
  if (!options.record_requests.empty()) {
    BROADSIDE_ASSIGN_OR_RETURN(raw_log, RawLog::Open(options.record_requests));
  }
  RaiseDescriptorLimit();
  return std::unique_ptr<Engine>(
      new LoopEngine(options, std::move(setup), std::move(raw_log), std::move(sink)));
}

}  // namespace broadside::agent
