#include "tests/sim/sim_agent.h"

#include <utility>

#include "common/rate/schedule.h"
#include "common/stats/histogram.h"
#include "tests/sim/codec.h"

namespace broadside::sim {
namespace {

using namespace std::chrono_literals;

}  // namespace

SimAgent::SimAgent(World& world, Network& network, size_t host, std::string id,
                   rate::MicroRate ceiling)
    : world_(world),
      network_(network),
      host_(host),
      id_(std::move(id)),
      ceiling_(ceiling),
      loops_(world.random.Chance(0.3) ? 2 : 1) {
  clock_.offset = world.random.Between(Nanos(-500s), Nanos(500h));
  // A little less than 1 %, since 1 / 0.99 is more than 1.01.
  clock_.drift_ppm = world.scenario.exact_clocks ? world.random.Between(-100, 100)
                                                 : world.random.Between(-9'900, 9'900);
}

void SimAgent::Start() {
  agent::AgentCoreOptions options;
  options.lease = world_.scenario.lease;
  options.hello.schedule_version = rate::kScheduleVersion;
  options.hello.histogram_layout = stats::kLayoutVersion;
  options.hello.agent = AgentId(id_);
  options.hello.incarnation = Incarnation(world_.random.Next());
  options.hello.loops = loops_;
  options.hello.rate_ceiling = ceiling_;
  process_ = std::make_shared<Process>(options.hello.incarnation, options);
  draining_ = false;
  Do([this](Process& process) { process.core.Tick(Local()); });
}

void SimAgent::Kill() {
  if (!process_) return;
  world_.laws.Killed(process_->incarnation);
  if (process_->conn != 0) network_.AgentGone(process_->conn, world_.random.Chance(0.7));
  process_.reset();
}

void SimAgent::Pause(Nanos length) {
  if (!process_ || process_->paused) return;
  process_->paused = true;
  if (process_->engine) process_->engine->Freeze();
  world_.queue.After(length, [this, process = std::weak_ptr(process_)] {
    const auto same = process.lock();
    if (!same || same != process_) return;
    same->paused = false;
    // The loops' threads and the control thread go on in any order.
    const bool loops_first = world_.random.Chance(0.5);
    if (loops_first && same->engine) same->engine->Thaw();
    auto inbox = std::exchange(same->inbox, {});
    for (auto& job : inbox) {
      if (same != process_) return;
      Do(std::move(job));
    }
    if (same == process_) Do([this](Process& p) { p.core.Tick(Local()); });
    if (!loops_first && same == process_ && same->engine) same->engine->Thaw();
  });
}

void SimAgent::StallLoop(Nanos length) {
  if (process_ && process_->engine) process_->engine->Stall(length);
}

void SimAgent::Drain() {
  if (!process_) return;
  draining_ = true;
  Do([this](Process& process) { process.core.Step(Local(), agent::DrainWanted{}); });
}

void SimAgent::Up(ConnId conn) {
  Do([this, conn](Process& process) {
    if (process.conn == conn) process.core.Step(Local(), agent::StreamUp{});
  });
}

void SimAgent::Heard(ConnId conn, wire::ControllerMessage message) {
  Do([this, conn, message = std::move(message)](Process& process) {
    if (process.conn != conn) return;
    world_.laws.Heard(world_.queue.now(), process.incarnation, message);
    process.core.Step(Local(), agent::FromController{message, Local()});
  });
}

void SimAgent::Down(ConnId conn, const std::string& reason) {
  Do([this, conn, reason](Process& process) {
    if (process.conn != conn) return;
    process.conn = 0;
    process.core.Step(Local(), agent::StreamDown{reason});
  });
}

void SimAgent::Do(std::function<void(Process&)> job) {
  if (!process_) return;
  if (process_->paused) return process_->inbox.push_back(std::move(job));
  const std::shared_ptr<Process> process = process_;
  job(*process);
  Settle(*process);
}

void SimAgent::Later(Nanos delay, std::function<void(Process&)> job) {
  world_.queue.After(delay,
                     [this, process = std::weak_ptr(process_), job = std::move(job)]() mutable {
                       const auto same = process.lock();
                       if (same && same == process_) Do(std::move(job));
                     });
}

void SimAgent::Settle(Process& process) {
  for (auto actions = process.core.TakeActions(); !actions.empty();
       actions = process.core.TakeActions())
    for (agent::CoreAction& action : actions) {
      if (process_.get() != &process) return;  // it has ended
      std::visit([this, &process](auto& what) { Perform(process, what); }, action);
    }
  if (process_.get() != &process) return;
  const std::optional<Instant> deadline = process.core.NextDeadline();
  if (!deadline) return;
  const Instant at = std::max(clock_.TrueAt(*deadline), world_.queue.now() + 1us);
  if (at >= process.next_tick && process.next_tick > world_.queue.now()) return;
  process.next_tick = at;
  world_.queue.At(at, [this, at, same = std::weak_ptr(process_)] {
    const auto now = same.lock();
    if (now && now == process_ && now->next_tick == at)
      Do([this](Process& p) { p.core.Tick(Local()); });
  });
}

void SimAgent::ToEngine(Process& process, std::function<void(SimEngine&)> job) {
  if (!process.engine) return;
  if (world_.scenario.mailbox_max == Nanos(0) || world_.healed) {
    if (process.mail_at <= world_.queue.now()) return job(*process.engine);
  } else {
    world_.Count(Fault::kSlowMailbox);
    process.mail_at =
        std::max(process.mail_at,
                 world_.queue.now() + world_.random.Between(Nanos(0), world_.scenario.mailbox_max));
  }
  world_.queue.At(process.mail_at,
                  [this, same = std::weak_ptr(process_), run = process.run, job = std::move(job)] {
                    const auto now = same.lock();
                    if (now && now == process_ && now->engine && now->run == run) job(*now->engine);
                  });
}

// ---- Actions, as agent/control/agent.cc performs them ------------------------------------------

void SimAgent::Perform(Process& process, agent::OpenStream&) {
  process.conn = network_.Open(host_);
}
void SimAgent::Perform(Process& process, agent::CloseStream& action) {
  network_.CloseByAgent(process.conn, action.reason);
}

void SimAgent::Perform(Process& process, agent::Say& action) {
  if (const auto* hello = std::get_if<wire::Hello>(&action.message)) world_.laws.Hello(*hello);
  if (const auto* beat = std::get_if<wire::Heartbeat>(&action.message))
    world_.laws.Asked(process.incarnation, beat->run, beat->sent);
  if (const auto* snapshot = std::get_if<wire::SnapshotEnvelope>(&action.message))
    world_.laws.Asked(process.incarnation, snapshot->run, snapshot->asked);
  network_.SendUp(process.conn, action.message);
}

void SimAgent::Perform(Process& process, agent::PrepareRun& action) {
  const Scenario& s = world_.scenario;
  Nanos takes = world_.random.Between(1ms, 200ms);
  if (world_.Happens(s.p_slow_prepare, Fault::kSlowPrepare)) takes = world_.random.Between(1s, 6s);
  const bool refuses = world_.Happens(s.p_refuse, Fault::kRefusal);
  process.run = action.assignment.run;
  const uint64_t number = ++process.preparation;
  Later(takes, [this, refuses, number, assignment = action.assignment](Process& p) {
    if (p.preparation != number) return;
    if (!refuses) {
      p.engine = std::make_unique<SimEngine>(
          world_, clock_, assignment, p.incarnation, loops_,
          [this, same = std::weak_ptr(process_)](const stats::Snapshot& snapshot) {
            const auto now = same.lock();
            if (!now || now != process_) return;
            const bool real = world_.scenario.encoded;
            now->encoded_at =
                std::max(now->encoded_at, world_.queue.now() + world_.random.Between(0ms, 5ms));
            Later(now->encoded_at - world_.queue.now(),
                  [this, full = Pack(snapshot, real, false),
                   thin = Pack(snapshot, real, true)](Process& owner) {
                    owner.core.Step(Local(), agent::SnapshotMade{full, thin});
                  });
          });
    }
    p.core.Step(Local(), agent::RunPrepared{
                             assignment.run, refuses ? "the target is not allowed here" : "", {}});
  });
}

void SimAgent::Perform(Process& process, agent::ApplyEntry& action) {
  if (const auto* segment = std::get_if<rate::Segment>(&action.entry.what)) {
    auto compiled = world_.compiled[{action.entry.run, segment->id}];
    if (!compiled || !(compiled->segment() == *segment))
      compiled = *rate::CompiledSegment::Make(*segment);
    world_.compiled[{action.entry.run, segment->id}] = compiled;
    ToEngine(process, [compiled](SimEngine& engine) { engine.AddSegment(compiled); });
  } else {
    ToEngine(process, [deal = std::get<rate::Deal>(action.entry.what)](SimEngine& engine) {
      engine.AddDeal(deal);
    });
  }
}

void SimAgent::Perform(Process& process, agent::SetRunClock& action) {
  ToEngine(process, [fit = action.fit](SimEngine& engine) { engine.SetClock(fit); });
}
void SimAgent::Perform(Process& process, agent::GrantLease& action) {
  ToEngine(process,
           [=](SimEngine& engine) { engine.Grant(action.epoch, action.last, action.lease_end); });
}
void SimAgent::Perform(Process& process, agent::StopEngine& action) {
  ToEngine(process, [end = action.end](SimEngine& engine) { engine.Stop(end); });
}
void SimAgent::Perform(Process& process, agent::FinishEngine& action) {
  ToEngine(process, [end = action.end](SimEngine& engine) { engine.Finish(end); });
}
void SimAgent::Perform(Process& process, agent::DropRun& action) {
  if (process.engine) world_.laws.Dropped(process.incarnation, action.run);
  process.engine.reset();
  process.run.reset();
  ++process.preparation;
}
void SimAgent::Perform(Process& process, agent::Log& action) {
  if (world_.verbose)
    world_.Say(id_ + " (" + std::to_string(process.incarnation.value()) + "): " + action.text);
}
void SimAgent::Perform(Process& process, agent::Exit&) {
  if (process.conn != 0) network_.AgentGone(process.conn, true);
  process_.reset();
}

}  // namespace broadside::sim
