#include "agent/control/agent.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "common/plan/resolve.h"
#include "common/time/clock.h"
#include "common/wire/snapshot.h"

namespace broadside::agent {
namespace {

constexpr Nanos kFileDeadline = std::chrono::seconds(60);
constexpr Nanos kWarmDeadline = std::chrono::seconds(5);
constexpr Nanos kLongestWait = std::chrono::milliseconds(500);

}  // namespace

Agent::Agent(AgentOptions options) : options_(std::move(options)), core_(options_.core) {}

Agent::~Agent() {
  if (stream_) stream_->Close("the agent ends");
  if (preparing_.joinable()) preparing_.join();
}

void Agent::RequestDrain() { mailbox_->Post(CoreEvent(DrainWanted{})); }
void Agent::RequestExit() { mailbox_->Post(LeaveNow{}); }

Agent::Health Agent::health() const {
  absl::MutexLock lock(&mutex_);
  return health_;
}

void Agent::Mailbox::Post(Mail item) {
  absl::MutexLock lock(&mutex);
  mail.push_back(std::move(item));
}

std::deque<Agent::Mail> Agent::WaitForMail(std::optional<Instant> until) {
  const Instant now = SystemClock().Now();
  const Nanos wait = until ? std::clamp(*until - now, Nanos(0), kLongestWait) : kLongestWait;
  absl::MutexLock lock(&mailbox_->mutex);
  mailbox_->mutex.AwaitWithTimeout(
      absl::Condition(
          +[](std::deque<Mail>* mail) { return !mail->empty(); }, &mailbox_->mail),
      absl::FromChrono(wait));
  return std::exchange(mailbox_->mail, {});
}

void Agent::Run() {
  core_.Tick(SystemClock().Now());
  while (!exit_) {
    for (CoreAction& action : core_.TakeActions()) Perform(std::move(action));
    if (exit_) break;
    PublishHealth();
    for (Mail& mail : WaitForMail(core_.NextDeadline())) Handle(std::move(mail));
    core_.Tick(SystemClock().Now());
  }
  run_.reset();
}

void Agent::PublishHealth() {
  absl::MutexLock lock(&mutex_);
  health_ = {core_.connected(), core_.status(), core_.outbox_bytes(), core_.outbox_dropped(),
             core_.clock_bound(SystemClock().Now()).count()};
}

void Agent::Handle(Mail mail) {
  const Instant now = SystemClock().Now();
  if (std::holds_alternative<LeaveNow>(mail)) {
    exit_ = true;
  } else if (auto* event = std::get_if<CoreEvent>(&mail)) {
    core_.Step(now, std::move(*event));
    // Between two events actions are done, so that a grant never waits behind a batch of mail.
    for (CoreAction& action : core_.TakeActions()) Perform(std::move(action));
  } else {
    EngineReady& ready = *std::get<std::unique_ptr<EngineReady>>(mail);
    if (ready.preparation != preparation_) return;  // released, and perhaps assigned again
    if (preparing_.joinable()) preparing_.join();
    if (ready.result.ok()) {
      run_ = *std::move(ready.result);
      core_.Step(now, RunPrepared{ready.run, "", run_->warnings});
    } else {
      core_.Step(now, RunPrepared{ready.run, MessageOf(ready.result.status()), {}});
    }
  }
}

void Agent::Perform(CoreAction action) {
  std::visit([this](auto& what) { Do(what); }, action);
}

void Agent::Do(OpenStream&) {
  stream_ = FleetStream::Open(options_.controller, [mailbox = mailbox_](CoreEvent event) {
    mailbox->Post(std::move(event));
  });
}
void Agent::Do(CloseStream& action) { stream_->Close(action.reason); }
void Agent::Do(Say& action) { stream_->Send(action.message); }

void Agent::Do(PrepareRun& action) {
  spdlog::info("run {}: preparing", action.assignment.run.value());
  if (preparing_.joinable()) preparing_.join();
  segments_.clear();
  preparing_ =
      std::thread([this, number = ++preparation_, assignment = std::move(action.assignment)] {
        const FileFetcher fetch = [this](const std::string& sha256) {
          return FetchFile(options_.controller, sha256, kFileDeadline);
        };
        const SnapshotSink sink = [this](stats::Snapshot snapshot) {
          snapshot.health.outbox_dropped = health().outbox_dropped;
          mailbox_->Post(CoreEvent(SnapshotMade{wire::PackSnapshot(snapshot),
                                                wire::PackSnapshot(snapshot, /*thin=*/true)}));
        };
        auto ready = std::make_unique<EngineReady>(
            EngineReady{assignment.run, number,
                        Prepare(assignment, options_.core.hello.incarnation, options_.policy, fetch,
                                kWarmDeadline, sink)});
        mailbox_->Post(std::move(ready));
      });
}

Status Agent::ApplySegment(const rate::Segment& segment) {
  const auto file = [this](const std::string& sha256) -> StatusOr<std::string> {
    const auto found = run_->files.find(sha256);
    if (found == run_->files.end()) return NotFound("the replay's file did not come with the plan");
    return found->second;
  };
  BROADSIDE_ASSIGN_OR_RETURN(auto compiled, plan::CompileSegment(segment, file, "replay"));
  segments_.push_back(segment);
  run_->engine->AddSegment(std::move(compiled));
  return absl::OkStatus();
}

void Agent::Do(ApplyEntry& action) {
  if (!run_) return;
  Status status;
  if (const auto* segment = std::get_if<rate::Segment>(&action.entry.what)) {
    status = ApplySegment(*segment);
  } else {
    const auto& deal = std::get<rate::Deal>(action.entry.what);
    status = CheckCeiling(deal, segments_, options_.core.hello.incarnation,
                          options_.policy.rate_ceiling);
    if (status.ok()) run_->engine->AddDeal(deal);
  }
  if (!status.ok()) spdlog::error("schedule entry {}: {}", action.entry.number, MessageOf(status));
}

void Agent::Do(SetRunClock& action) {
  if (run_) run_->engine->SetClock(action.fit, action.bound, action.pending_slew);
}
void Agent::Do(GrantLease& action) {
  if (run_) run_->engine->Grant(action.epoch, action.last, action.lease_end);
}
void Agent::Do(StopEngine& action) {
  if (run_) run_->engine->Stop(action.end);
}
void Agent::Do(FinishEngine& action) {
  if (run_) run_->engine->Finish(action.end);
}
void Agent::Do(DropRun& action) {
  run_.reset();
  ++preparation_;
  spdlog::info("run {}: done", action.run.value());
}
void Agent::Do(Log& action) {
  action.warning ? spdlog::warn("{}", action.text) : spdlog::info("{}", action.text);
}
void Agent::Do(Exit&) { exit_ = true; }

}  // namespace broadside::agent
