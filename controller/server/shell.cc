#include "controller/server/shell.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <random>
#include <utility>

#include "common/base/check.h"
#include "common/plan/parse.h"
#include "common/plan/resolve.h"
#include "common/report/json.h"
#include "common/time/clock.h"
#include "common/wire/convert.h"
#include "common/wire/snapshot.h"
#include "controller/merge/validity.h"
#include "controller/server/view.h"

namespace broadside::controller {
namespace {

constexpr Nanos kTick = std::chrono::seconds(1);
constexpr size_t kMaxNotices = 100;

std::string LabelsJson(const std::map<std::string, std::string>& labels) {
  return nlohmann::json(labels).dump();
}

}  // namespace

StatusOr<std::unique_ptr<Shell>> Shell::Start(const std::string& store_dir) {
  std::unique_ptr<Shell> shell(new Shell());
  BROADSIDE_ASSIGN_OR_RETURN(
      shell->store_,
      store::Store::Open({.dir = store_dir, .on_stored = [raw = shell.get()](auto results) {
                            raw->OnStored(std::move(results));
                          }}));
  shell->boot_id_ = BootId();
  shell->dispatcher_ = std::make_unique<Dispatcher>(CoreOptions{
      .controller_incarnation = shell->store_->incarnation(), .boot_id = shell->boot_id_});
  BROADSIDE_RETURN_IF_ERROR(shell->RestoreRuns());
  shell->core_thread_ = std::thread([raw = shell.get()] { raw->CoreLoop(); });
  return shell;
}

Shell::~Shell() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  if (core_thread_.joinable()) core_thread_.join();
  for (auto& [run, closer] : closers_) closer.join();
  if (store_) store_->Close(std::chrono::seconds(10));
}

// ---- The core thread -------------------------------------------------------------------------

void Shell::Post(Job job) {
  absl::MutexLock lock(&mutex_);
  jobs_.push_back(std::move(job));
}

std::deque<Shell::Job> Shell::WaitForJobs() {
  const Instant now = SystemClock().Now();
  Instant until = next_interval_;
  if (const auto deadline = dispatcher_->NextDeadline()) until = std::min(until, *deadline);
  absl::MutexLock lock(&mutex_);
  mutex_.AwaitWithTimeout(absl::Condition(
                              +[](Shell* shell) ABSL_NO_THREAD_SAFETY_ANALYSIS {
                                return !shell->jobs_.empty() || shell->stopping_;
                              },
                              this),
                          absl::FromChrono(std::max(Nanos(0), until - now)));
  return std::exchange(jobs_, {});
}

void Shell::CoreLoop() {
  next_interval_ = SystemClock().Now();
  while (true) {
    for (Job& job : WaitForJobs()) {
      job();
      Settle();
    }
    {
      absl::MutexLock lock(&mutex_);
      if (stopping_ && jobs_.empty()) return;
    }
    const Instant now = SystemClock().Now();
    dispatcher_->Tick(now);
    Settle();
    if (now < next_interval_) continue;
    OnInterval(now);
    next_interval_ = std::max(next_interval_ + kTick, now + kTick / 2);
  }
}

void Shell::Settle() {
  for (auto actions = dispatcher_->TakeActions(); !actions.empty();
       actions = dispatcher_->TakeActions())
    for (Action& action : actions) Perform(std::move(action));
}

void Shell::Perform(Action action) {
  if (action.after != 0) {
    held_[action.run][std::exchange(action.after, 0)].push_back(std::move(action));
    return;
  }
  std::visit([this, &action](auto& what) { Do(action, what); }, action.what);
}

void Shell::Do(Action&, SendTo& what) {
  if (const auto it = streams_.find(what.agent); it != streams_.end())
    it->second->Send(what.message);
}

void Shell::Do(Action& action, StoreState& what) {
  const RunId run = action.run;
  spdlog::info("run {}: {}{}{}", run.value(), RunStateName(what.state),
               what.reason.empty() ? "" : ": ", what.reason);
  store::SetRunState op{run.value(), std::string(RunStateName(what.state)), what.reason,
                        std::nullopt};
  if (IsEnded(what.state)) {
    op.ended_wall_ns = WallNanos();
    runs_[run].ended = SystemClock().Now();
    unstored_ends_[run] = op;
    writes_[store_->Enqueue(std::move(op))] = [this, run,
                                               token = action.token](const Status& status) {
      if (status.ok()) unstored_ends_.erase(run);
      Complete(run, token, status);
    };
    return;
  }
  Write(run, action.token, std::move(op));
}

void Shell::Do(Action& action, StoreStart& what) {
  const int64_t wall = WallNanos() + (what.t0 - SystemClock().Now()).count();
  runs_[action.run].t0_wall = wall;
  Write(action.run, action.token,
        store::SetStart{action.run.value(), what.t0.time_since_epoch().count(), boot_id_, wall});
}

void Shell::Do(Action& action, StoreStop& what) {
  const nlohmann::json body{{"end_as", RunStateName(what.end_as)},
                            {"reason", what.reason},
                            {"end_ns", what.end.time_since_epoch().count()}};
  Write(action.run, action.token, store::PutEntry{action.run.value(), {0, "stop", body.dump()}});
}

void Shell::Do(Action& action, StoreEntry& what) {
  const bool deal = std::holds_alternative<rate::Deal>(what.entry.what);
  Write(
      action.run, action.token,
      store::PutEntry{action.run.value(),
                      {what.entry.number, deal ? "deal" : "segment", wire::PackEntry(what.entry)}});
}

void Shell::Do(Action& action, StoreAgent& what) {
  const AgentFacts& agent = what.agent;
  runs_[action.run].agents[agent.incarnation] = agent;
  const nlohmann::json info{{"host", agent.host},
                            {"version", agent.version},
                            {"loops", agent.loops},
                            {"cores", agent.cores},
                            {"rate_ceiling_micro", agent.ceiling}};
  Write(action.run, action.token,
        store::PutRunAgent{
            action.run.value(),
            {agent.id.value(), agent.incarnation.value(), LabelsJson(agent.labels), info.dump()}});
}

void Shell::Do(Action& action, StoreSnapshot& what) {
  const wire::SnapshotEnvelope& from = *what.snapshot;
  std::string agent_id;
  if (const auto live = runs_.find(action.run); live != runs_.end())
    if (const auto agent = live->second.agents.find(from.incarnation);
        agent != live->second.agents.end())
      agent_id = agent->second.id.value();
  store::PutSnapshot op{.run = action.run.value(),
                        .agent_id = agent_id,
                        .incarnation = from.incarnation.value(),
                        .sequence = from.sequence,
                        .interval = from.interval,
                        .final_totals = from.final_totals,
                        .body = from.body};
  const auto token = store_->TryEnqueue(std::move(op));
  auto done = [this, run = action.run, mine = action.token](const Status& status) {
    // A run that was pruned wants no more snapshots; the agent shall not keep them for ever.
    if (absl::IsNotFound(status)) return Complete(run, mine, absl::OkStatus());
    if (!status.ok())
      Say(run, "a snapshot could not be stored and stays with its agent: " + MessageOf(status));
    Complete(run, mine, status);
  };
  if (token) {
    writes_[*token] = std::move(done);
    return;
  }
  // Not at once: what waits for this write may not have been held yet.
  Post([done = std::move(done)] { done(ResourceExhausted("the store's queue is full")); });
}

void Shell::Do(Action& action, FreeAgent&) { BROADSIDE_CHECK(action.token == 0); }

void Shell::Do(Action& action, Notice& what) { Say(action.run, std::move(what.text)); }

void Shell::Say(const RunId& run, std::string notice) {
  const auto live = runs_.find(run);
  if (live == runs_.end()) return spdlog::warn("run {}: {}", run.value(), notice);
  auto& notices = live->second.notices;
  if (!notices.empty() && notices.back() == notice) return;
  spdlog::warn("run {}: {}", run.value(), notice);
  notices.push_back(std::move(notice));
  if (notices.size() > kMaxNotices) notices.pop_front();
}

void Shell::Write(const RunId& run, StoreToken token, store::StoreOp op) {
  writes_[store_->Enqueue(std::move(op))] = [this, run, token](const Status& status) {
    Complete(run, token, status);
  };
}

void Shell::Complete(const RunId& run, StoreToken token, const Status& status) {
  dispatcher_->StoreResult(SystemClock().Now(), run, token, status.ok() ? "" : MessageOf(status));
  const auto waiting = held_.find(run);
  if (waiting == held_.end()) return;
  const auto it = waiting->second.find(token);
  if (it == waiting->second.end()) return;
  std::vector<Action> actions = std::move(it->second);
  waiting->second.erase(it);
  if (waiting->second.empty()) held_.erase(waiting);
  if (!status.ok()) return;
  for (Action& held : actions) Perform(std::move(held));
}

void Shell::OnStored(std::vector<store::StoreResult> results) {
  Post([this, results = std::move(results)] {
    for (const store::StoreResult& result : results) Finished(result.token, result.status);
  });
}

void Shell::Finished(store::StoreToken token, const Status& status) {
  if (!status.ok()) spdlog::error("store: {}", MessageOf(status));
  const auto it = writes_.find(token);
  if (it == writes_.end()) return;
  auto done = std::move(it->second);
  writes_.erase(it);
  done(status);
}

// ---- Agents ----------------------------------------------------------------------------------

FleetEvents Shell::fleet_events() {
  // The stream knows its agent only after hello; the core thread keeps who is who.
  struct Who {
    std::map<AgentStream*, Incarnation> of;
  };
  const auto who = std::make_shared<Who>();
  FleetEvents events;
  events.connected = [this, who](std::shared_ptr<AgentStream> stream, wire::Hello hello) {
    Post([this, who, stream = std::move(stream), hello = std::move(hello)]() mutable {
      spdlog::info("agent {} connected from {}", hello.agent.value(), hello.host);
      who->of[stream.get()] = hello.incarnation;
      if (auto& old = streams_[hello.incarnation]; old && old != stream)
        old->Close("replaced by a newer stream");
      streams_[hello.incarnation] = std::move(stream);
      dispatcher_->Connected(SystemClock().Now(), hello);
    });
  };
  events.received = [this, who](std::shared_ptr<AgentStream> stream, wire::AgentMessage message) {
    Post([this, who, stream = std::move(stream), message = std::move(message)]() mutable {
      const auto it = who->of.find(stream.get());
      if (it != who->of.end())
        dispatcher_->Received(SystemClock().Now(), it->second, std::move(message));
    });
  };
  events.snapshot = [this, who](std::shared_ptr<AgentStream> stream,
                                wire::SnapshotEnvelope envelope, stats::Snapshot snapshot) {
    Post([this, who, stream = std::move(stream), envelope = std::move(envelope),
          snapshot = std::move(snapshot)]() mutable {
      const auto it = who->of.find(stream.get());
      if (it == who->of.end()) return;
      if (const auto live = runs_.find(envelope.run); live != runs_.end() && live->second.merge) {
        const auto agent = live->second.agents.find(envelope.incarnation);
        const AgentId id = agent == live->second.agents.end() ? AgentId("?") : agent->second.id;
        if (const Status status = live->second.merge->Fold(id, snapshot); !status.ok())
          spdlog::error("run {}: {}", envelope.run.value(), MessageOf(status));
      }
      dispatcher_->Received(SystemClock().Now(), it->second, std::move(envelope));
    });
  };
  events.disconnected = [this, who](std::shared_ptr<AgentStream> stream, std::string reason) {
    Post([this, who, stream = std::move(stream), reason = std::move(reason)] {
      const auto it = who->of.find(stream.get());
      if (it == who->of.end()) return;
      const Incarnation agent = it->second;
      who->of.erase(it);
      if (const auto current = streams_.find(agent);
          current != streams_.end() && current->second == stream) {
        streams_.erase(current);
        dispatcher_->Disconnected(SystemClock().Now(), agent, reason);
      }
    });
  };
  events.file = [this](const std::string& sha256) { return store_->GetFile(sha256); };
  return events;
}

}  // namespace broadside::controller
