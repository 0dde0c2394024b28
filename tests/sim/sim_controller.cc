#include "tests/sim/sim_controller.h"

#include <algorithm>
#include <utility>

#include "common/base/check.h"
#include "tests/sim/codec.h"

namespace broadside::sim {
namespace {

using namespace std::chrono_literals;

/// Above the one of the old controller that agents may meet.
constexpr uint64_t kBelowFirstIncarnation = 6;

}  // namespace

// ---- The store -------------------------------------------------------------------------------

void SimStore::Write(StoreOp op) {
  queue_.push_back(std::move(op));
  Commit();
}

bool SimStore::TryWrite(StoreOp op) {
  if (world_.queue.now() < full_until) {
    world_.Count(Fault::kStoreFull);
    return false;
  }
  Write(std::move(op));
  return true;
}

void SimStore::Commit() {
  if (committing_ || queue_.empty()) return;
  committing_ = true;
  const size_t batch = queue_.size();
  const Scenario& s = world_.scenario;
  Instant at = world_.queue.now() + world_.random.Between(s.sync_min, s.sync_max);
  if (world_.queue.now() < slow_until) {
    world_.Count(Fault::kSlowStore);
    at = std::max(at, slow_until);
  }
  world_.queue.At(at, [this, batch, life = life_] {
    if (life != life_) return;
    const bool fails = world_.queue.now() < failing_until;
    std::vector<Result> results;
    for (size_t i = 0; i < batch; ++i) {
      StoreOp op = std::move(queue_.front());
      queue_.pop_front();
      results.push_back({op.run, op.token, fails ? "disk full" : ""});
      if (fails) {
        world_.Count(Fault::kStoreFailure);
        continue;
      }
      world_.laws.Durable(world_.queue.now(), op);
      durable_[op.run].push_back(std::move(op));
    }
    committing_ = false;
    Commit();
    on_stored_(std::move(results));
  });
}

size_t SimStore::Crash() {
  ++life_;
  committing_ = false;
  return std::exchange(queue_, {}).size();
}

// ---- The shell -------------------------------------------------------------------------------

SimController::SimController(World& world, Network& network)
    : world_(world),
      network_(network),
      store_(world, [this](std::vector<SimStore::Result> results) {
        if (CrashesAt(Fault::kCrashAfterStore)) return;
        Post([this, results = std::move(results)] { Finished(results); });
      }) {
  incarnation_ = kBelowFirstIncarnation;
  Start();
}

void SimController::Start() {
  up_ = true;
  dispatcher_ = std::make_unique<controller::Dispatcher>(controller::CoreOptions{
      .lease = world_.scenario.lease, .controller_incarnation = ++incarnation_, .boot_id = "boot"});
  for (const auto& [run, spec] : world_.specs) Restore(run);
  network_.ControllerBack();
  Settle();
  ScheduleTick();
}

/// As controller/server/shell_restore.cc.
void SimController::Restore(const RunId& run) {
  const controller::RunSpec& spec = world_.specs.at(run);
  LiveRun& live = runs_[run];
  live.merge = std::make_unique<merge::RunMerge>(run, spec.plan, SegmentsOf(run));
  controller::StoredRun stored;
  const auto durable = store_.durable().find(run);
  std::vector<controller::AgentFacts> agents;
  if (durable != store_.durable().end())
    for (const StoreOp& op : durable->second) {
      if (const auto* state = std::get_if<controller::StoreState>(&op.what)) {
        if (controller::IsEnded(state->state)) return;
      } else if (std::holds_alternative<controller::CloseRun>(op.what)) {
        return;
      } else if (const auto* start = std::get_if<controller::StoreStart>(&op.what)) {
        stored.start = {start->t0, "boot", world_.queue.now() - start->t0};
      } else if (const auto* entry = std::get_if<controller::StoreEntry>(&op.what)) {
        // Written again where T0 was not reached: the last one counts.
        const size_t number = entry->entry.number;
        std::erase_if(stored.entries, [&](const auto& e) { return e.number >= number; });
        stored.entries.push_back(entry->entry);
      } else if (const auto* stop = std::get_if<controller::StoreStop>(&op.what)) {
        if (!stored.stop) stored.stop = *stop;
      } else if (const auto* agent = std::get_if<controller::StoreAgent>(&op.what)) {
        agents.push_back(agent->agent);
      } else if (const auto* snapshot = std::get_if<controller::StoreSnapshot>(&op.what)) {
        const wire::SnapshotEnvelope& envelope = *snapshot->snapshot;
        const Status status = live.merge->Fold(AgentId("a"), Unpack(envelope));
        if (!status.ok()) world_.laws.Break(MessageOf(status));
        stored.newest = std::max(stored.newest, envelope.interval);
        if (envelope.final_totals) stored.final_totals.insert(envelope.incarnation);
      }
    }
  stored.agents = agents;
  if (stored.start)
    for (const controller::AgentFacts& facts : agents) live.agents[facts.incarnation] = facts.id;
  const Status status = dispatcher_->Restore(world_.queue.now(), spec, stored);
  // Where writes had failed the run may be beyond help; whoever holds it is released.
  const bool excused = world_.coverage[static_cast<size_t>(Fault::kStoreFailure)] > 0;
  if (!status.ok() && !excused) world_.laws.Break("restart: " + MessageOf(status));
}

void SimController::CrashAt(Fault point, Nanos away) {
  if (!up_ || crash_at_) return;
  crash_at_ = point;
  away_ = away;
}

bool SimController::CrashesAt(Fault point) {
  if (!up_ || crash_at_ != point || world_.healed) return false;
  Crash();
  return true;
}

void SimController::Crash() {
  world_.Count(*crash_at_);
  crash_at_.reset();
  up_ = false;
  ++life_;
  store_.Crash();
  network_.ControllerGone();
  world_.laws.Crashed();
  jobs_.clear();
  busy_ = false;
  who_.clear();
  streams_.clear();
  held_.clear();
  runs_.clear();
  seen_.clear();
  next_tick_ = Instant::max();
  world_.queue.After(away_, [this] { Start(); });
}

void SimController::Post(std::function<void()> job) {
  if (!up_) return;
  jobs_.push_back(std::move(job));
  RunJobs();
}

void SimController::RunJobs() {
  if (busy_ || jobs_.empty()) return;
  busy_ = true;
  Nanos delay(0);
  if (world_.queue.now() < lag_until_) {
    world_.Count(Fault::kSlowController);
    delay = world_.random.Between(Nanos(0), lag_);
  }
  world_.queue.At(std::max(world_.queue.now() + delay, paused_until_), [this, life = life_] {
    if (life != life_) return;
    busy_ = false;
    if (jobs_.empty()) return;
    if (world_.queue.now() < paused_until_) return RunJobs();
    auto job = std::move(jobs_.front());
    jobs_.pop_front();
    job();
    Settle();
    if (life != life_) return;
    if (jobs_.empty()) dispatcher_->Tick(world_.queue.now());
    Settle();
    if (life != life_) return;
    RunJobs();
    ScheduleTick();
  });
}

void SimController::ScheduleTick() {
  const std::optional<Instant> deadline = dispatcher_->NextDeadline();
  if (!deadline) return;
  const Instant at = std::max(*deadline, world_.queue.now() + 1us);
  if (at >= next_tick_ && next_tick_ > world_.queue.now()) return;
  next_tick_ = at;
  world_.queue.At(at, [this, at, life = life_] {
    if (life == life_ && at == next_tick_) Post([this] { dispatcher_->Tick(world_.queue.now()); });
  });
}

void SimController::Settle() {
  const uint64_t life = life_;
  for (auto actions = dispatcher_->TakeActions(); !actions.empty();
       actions = dispatcher_->TakeActions())
    for (controller::Action& action : actions) {
      if (life != life_) return;
      Perform(std::move(action));
    }
}

void SimController::Perform(controller::Action action) {
  using namespace controller;
  const Instant now = world_.queue.now();
  if (action.after != 0) {
    held_[action.run][std::exchange(action.after, 0)].push_back(std::move(action));
    return;
  }
  const auto write = [&](auto what) { store_.Write({action.run, action.token, std::move(what)}); };
  if (CrashesAt(Fault::kCrashUnsynced)) return;
  if (auto* send = std::get_if<SendTo>(&action.what)) {
    if (const auto it = streams_.find(send->agent); it != streams_.end()) {
      world_.laws.Sent(now, send->agent, send->message);
      network_.SendDown(it->second, send->message);
      CrashesAt(Fault::kCrashAfterSend);
    }
  } else if (auto* state = std::get_if<StoreState>(&action.what)) {
    if (world_.verbose)
      world_.Say("run " + action.run.value() + ": " + std::string(RunStateName(state->state)) +
                 (state->reason.empty() ? "" : ": " + state->reason));
    write(std::move(*state));
  } else if (auto* start = std::get_if<StoreStart>(&action.what)) {
    write(std::move(*start));
  } else if (auto* stop = std::get_if<StoreStop>(&action.what)) {
    write(std::move(*stop));
  } else if (auto* entry = std::get_if<StoreEntry>(&action.what)) {
    world_.laws.Decided(action.run, entry->entry);
    write(std::move(*entry));
  } else if (auto* agent = std::get_if<StoreAgent>(&action.what)) {
    runs_[action.run].agents[agent->agent.incarnation] = agent->agent.id;
    world_.laws.Given(action.run, agent->agent.incarnation);
    write(std::move(*agent));
  } else if (auto* snapshot = std::get_if<StoreSnapshot>(&action.what)) {
    if (!store_.TryWrite({action.run, action.token, std::move(*snapshot)}))
      Finished({{action.run, action.token, "the store's queue is full"}});
  } else if (auto* close = std::get_if<controller::CloseRun>(&action.what)) {
    world_.laws.Closing(*close, action.run);
    // The report is made on another thread.
    const StoreOp op{action.run, action.token, std::move(*close)};
    world_.queue.After(world_.random.Between(1ms, 50ms), [this, op, life = life_] {
      if (life == life_) CloseRun(op);
    });
  } else if (auto* free = std::get_if<FreeAgent>(&action.what)) {
    world_.laws.Freed(action.run, free->agent);
  } else if (auto* notice = std::get_if<Notice>(&action.what)) {
    if (world_.verbose) world_.Say("run " + action.run.value() + ": " + notice->text);
  }
}

merge::Segments SimController::SegmentsOf(const RunId& run) const {
  merge::Segments segments;
  for (const rate::Segment& segment : world_.specs.at(run).segments)
    segments.push_back(*rate::CompiledSegment::Make(segment));
  return segments;
}

void SimController::CloseRun(const StoreOp& op) {
  LiveRun& live = runs_[op.run];
  merge::RunMerge merge(op.run, world_.specs.at(op.run).plan, SegmentsOf(op.run));
  for (const StoreOp& stored : store_.durable().at(op.run)) {
    const auto* snapshot = std::get_if<controller::StoreSnapshot>(&stored.what);
    if (snapshot == nullptr) continue;
    const Status status =
        merge.Fold(live.agents[snapshot->snapshot->incarnation], Unpack(*snapshot->snapshot));
    if (!status.ok()) world_.laws.Break(MessageOf(status));
  }
  world_.laws.Closed(world_.queue.now(), op.run, std::get<controller::CloseRun>(op.what),
                     *live.merge, merge);
  store_.Write(op);
}

void SimController::Finished(std::vector<SimStore::Result> results) {
  const uint64_t life = life_;
  for (const SimStore::Result& result : results) {
    dispatcher_->StoreResult(world_.queue.now(), result.run, result.token, result.error);
    auto& waiting = held_[result.run];
    const auto it = waiting.find(result.token);
    if (it != waiting.end()) {
      std::vector<controller::Action> actions = std::move(it->second);
      waiting.erase(it);
      if (result.error.empty())
        for (controller::Action& action : actions)
          if (life == life_) Perform(std::move(action));
    }
    if (life != life_) return;
    Settle();
    if (life != life_) return;
  }
}

void SimController::Submit(controller::RunSpec spec) {
  if (!up_) {  // who submits tries again
    world_.queue.After(500ms, [this, spec] { Submit(spec); });
    return;
  }
  world_.specs[spec.run] = spec;
  world_.laws.Submitted(spec);
  Post([this, spec = std::move(spec)]() mutable {
    runs_[spec.run].merge =
        std::make_unique<merge::RunMerge>(spec.run, spec.plan, SegmentsOf(spec.run));
    dispatcher_->Submit(world_.queue.now(), std::move(spec), false);
  });
}

void SimController::Stop(const RunId& run, controller::RunState end_as, const std::string& reason) {
  Post([this, run, end_as, reason] {
    const controller::RunCore* core = dispatcher_->Find(run);
    if (core == nullptr || core->ended() || core->state() >= controller::RunState::kClosing) return;
    world_.Count(end_as == controller::RunState::kCancelled ? Fault::kCancel : Fault::kGuard);
    world_.laws.StopDecided(world_.queue.now(), run);
    dispatcher_->StopRun(world_.queue.now(), run, end_as, reason);
  });
}

void SimController::Pause(Nanos length) {
  world_.Count(Fault::kControllerPause);
  paused_until_ = std::max(paused_until_, world_.queue.now() + length);
}

void SimController::Lag(Nanos each, Nanos length) {
  lag_ = each;
  lag_until_ = world_.queue.now() + length;
}

bool SimController::AllEnded() const {
  return std::all_of(world_.specs.begin(), world_.specs.end(), [this](const auto& spec) {
    const controller::RunCore* run = dispatcher_->Find(spec.first);
    if (run != nullptr) return run->ended();
    const auto durable = store_.durable().find(spec.first);
    return up_ && durable != store_.durable().end();
  });
}

// ---- Agents ----------------------------------------------------------------------------------

void SimController::Received(ConnId conn, wire::AgentMessage message) {
  if (!up_) return;
  if (world_.queue.now() < paused_until_) {
    world_.queue.At(paused_until_, [this, conn, message = std::move(message)]() mutable {
      Received(conn, std::move(message));
    });
    return;
  }
  // The time is told by gRPC's threads, without waiting for the core thread.
  if (const auto* beat = std::get_if<wire::Heartbeat>(&message))
    network_.SendDown(conn, wire::HeartbeatReply{beat->sent, world_.queue.now(),
                                                 world_.queue.now() + 10us, "boot"});
  Post([this, conn, message = std::move(message)]() mutable {
    if (const auto* hello = std::get_if<wire::Hello>(&message)) return Connected(conn, *hello);
    Handle(conn, std::move(message));
  });
}

void SimController::Connected(ConnId conn, const wire::Hello& hello) {
  who_[conn] = hello.incarnation;
  if (const auto old = streams_.find(hello.incarnation); old != streams_.end())
    network_.CloseByController(old->second, "replaced by a newer stream");
  streams_[hello.incarnation] = conn;
  world_.laws.StreamBack(hello.incarnation);
  world_.laws.Met(hello);
  dispatcher_->Connected(world_.queue.now(), hello);
}

void SimController::Handle(ConnId conn, wire::AgentMessage message) {
  const auto it = who_.find(conn);
  if (it == who_.end()) return;
  const Incarnation agent = it->second;
  const Instant now = world_.queue.now();
  if (const auto* beat = std::get_if<wire::Heartbeat>(&message)) {
    world_.laws.AskReceived(now, agent, beat->run);
  } else if (const auto* prepared = std::get_if<wire::Prepared>(&message)) {
    if (prepared->error.empty()) world_.laws.PreparedReceived(agent, prepared->run);
  } else if (const auto* snapshot = std::get_if<wire::SnapshotEnvelope>(&message)) {
    world_.laws.AskReceived(now, agent, snapshot->run);
    if (const auto run = runs_.find(snapshot->run); run != runs_.end()) {
      if (!seen_.insert({snapshot->run, snapshot->incarnation, snapshot->sequence}).second)
        world_.Count(Fault::kDuplicate);
      const Status status =
          run->second.merge->Fold(run->second.agents[snapshot->incarnation], Unpack(*snapshot));
      if (!status.ok()) world_.laws.Break(MessageOf(status));
      world_.laws.SnapshotFolded(snapshot->incarnation, snapshot->run, snapshot->sequence);
    }
  }
  dispatcher_->Received(now, agent, std::move(message));
}

void SimController::Closed(ConnId conn) {
  Post([this, conn] {
    const auto it = who_.find(conn);
    if (it == who_.end()) return;
    const Incarnation agent = it->second;
    who_.erase(it);
    const auto current = streams_.find(agent);
    if (current == streams_.end() || current->second != conn) return;
    streams_.erase(current);
    world_.laws.StreamLost(agent);
    dispatcher_->Disconnected(world_.queue.now(), agent, "the stream broke");
  });
}

}  // namespace broadside::sim
