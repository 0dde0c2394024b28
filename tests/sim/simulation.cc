#include "tests/sim/simulation.h"

#include <algorithm>
#include <cstdio>
#include <memory>

#include "tests/sim/codec.h"
#include "tests/sim/sim_agent.h"
#include "tests/sim/sim_controller.h"

namespace broadside::sim {

using namespace std::chrono_literals;

void World::Say(const std::string& text) const {
  std::printf("%12.6f %s\n", static_cast<double>((queue.now() - Instant(1000s)).count()) * 1e-9,
              text.c_str());
}

Scenario DrawScenario(uint64_t seed) {
  Random r(seed ^ 0x5eed5eed5eed5eedull);
  Scenario s;
  s.seed = seed;
  const auto maybe = [&r](double p) { return r.Chance(p); };
  const auto some = [&](double p, int most) {
    return maybe(p) ? static_cast<int>(r.Between(1, most)) : 0;
  };
  s.lease = maybe(0.7) ? Nanos(3s) : Nanos(r.Between(1, 2) * 1s);
  const bool crowd = seed % 128 == 77;
  s.agents = crowd ? 300 : static_cast<size_t>(r.Between(1, 8));
  s.longest_run = crowd ? 6s : maybe(0.3) ? 20s : 8s;
  s.joiners = maybe(0.3) ? static_cast<size_t>(r.Between(1, 3)) : 0;
  s.runs = maybe(0.75) ? 1 : static_cast<size_t>(r.Between(2, 3));
  s.encoded = kHaveWire && maybe(0.15);
  s.exact_clocks = maybe(0.5);
  s.delay_min = 50us;
  s.delay_max = maybe(0.8) ? 2ms : 100ms;
  s.long_delay = maybe(0.5) ? 500ms : 5s;
  s.reply_max = maybe(0.7) ? 30ms : 800ms;
  s.sync_min = 500us;
  s.sync_max = maybe(0.8) ? 10ms : 200ms;
  s.connections = maybe(0.7) ? 64 : static_cast<uint32_t>(r.Between(1, 4));
  s.trouble = s.longest_run + 6s;
  if (maybe(0.05)) return s;  // nothing goes wrong
  if (maybe(0.4)) s.p_long_delay = maybe(0.5) ? 0.01 : 0.1;
  s.breaks = some(0.5, 8);
  s.p_half_open = maybe(0.5) ? 0.5 : 0;
  s.partitions = some(0.4, 5);
  s.clogs = some(0.3, 3);
  s.kills = some(0.4, 3);
  s.p_restart = maybe(0.7) ? 0.8 : 0;
  s.pauses = some(0.4, 4);
  s.stalls = some(0.3, 4);
  s.duplicates = some(0.2, 2);
  s.drains = some(0.3, 2);
  if (maybe(0.3)) s.p_pause_in_batch = 0.02;
  if (maybe(0.15)) s.p_refuse = 0.3;
  if (maybe(0.3)) s.p_slow_prepare = 0.3;
  if (maybe(0.2)) s.p_old_controller = 0.3;
  if (maybe(0.3)) s.mailbox_max = maybe(0.5) ? 5ms : 300ms;
  if (maybe(0.4)) s.p_slow_reply = 0.05;
  if (maybe(0.4)) s.p_error = 0.1;
  s.target_stalls = some(0.3, 3);
  s.store_stalls = some(0.3, 3);
  s.store_failures = some(0.15, 2);
  s.store_full = some(0.15, 2);
  s.lags = some(0.2, 2);
  s.controller_pauses = some(0.2, 2);
  s.crashes = some(0.3, 2);
  s.cancels = some(0.12, 1);
  s.guards = some(0.12, 1);
  if (crowd) s.p_pause_in_batch /= 10;
  return s;
}

namespace {

class Simulation {
 public:
  Simulation(uint64_t seed, bool verbose, bool crashes) : world_(DrawScenario(seed)) {
    world_.verbose = verbose;
    if (!crashes) world_.scenario.crashes = 0;
  }

  Outcome Play() {
    const Scenario& s = world_.scenario;
    for (size_t i = 0; i < s.agents; ++i) AddAgent("a" + std::to_string(i));
    for (const auto& agent : agents_)
      After(world_.random.Between(0ms, 500ms), [a = agent.get()] { a->Start(); });
    for (size_t i = 0; i < s.runs; ++i)
      After(world_.random.Between(0ms, 3s), [this, i] { controller_.Submit(MakeRun(i)); });
    for (size_t i = 0; i < s.joiners; ++i)
      After(world_.random.Between(1s, s.trouble), [this, i] { Join(i); });
    PlanTrouble();
    After(s.trouble, [this] { Heal(); });
    // Liveness: with the faults over, everything comes to its end in this time.
    const Instant limit = world_.queue.now() + s.trouble + Bound();
    while (world_.laws.broken().empty() && !Over()) {
      if (world_.queue.empty() || world_.queue.next() > limit) {
        world_.laws.Break("liveness: " + Unfinished());
        break;
      }
      world_.queue.RunNext();
    }
    return {world_.laws.broken(), world_.coverage, world_.queue.done(), world_.laws.arrivals(),
            world_.laws.sent()};
  }

 private:
  template <class Job>
  void After(Nanos delay, Job job) {
    world_.queue.After(delay, std::move(job));
  }

  SimAgent& AddAgent(const std::string& id) {
    // Ceilings far above what a run asks, so that they only weigh.
    const rate::MicroRate ceiling =
        weighted_ ? world_.random.Between(1, 4) * 50 * rate::kMicroPerUnit : 0;
    agents_.push_back(std::make_unique<SimAgent>(world_, network_, agents_.size(), id, ceiling));
    return *agents_.back();
  }
  void Join(size_t i) {
    world_.Count(Fault::kJoin);
    AddAgent("j" + std::to_string(i)).Start();
  }

  controller::RunSpec MakeRun(size_t number);
  void PlanTrouble();
  void Heal();
  Nanos Bound() const {
    // The runs one after another; each may wait for agents, is given up 10 D after the last one was
    // lost, and is closed at the latest grace after its end.
    return static_cast<int>(world_.scenario.runs) *
           (world_.scenario.longest_run + 11 * world_.scenario.lease + 30s);
  }
  bool Over() const;
  std::string Unfinished() const;
  SimAgent& Any() { return *agents_[world_.random.Below(agents_.size())]; }
  Nanos Some(Nanos low, Nanos high) { return world_.random.Between(low, high); }

  World world_;
  Network network_{
      world_,
      {.agent_up = [this](size_t host, ConnId conn) { agents_[host]->Up(conn); },
       .agent_message =
           [this](size_t host, ConnId conn, wire::ControllerMessage message) {
             agents_[host]->Heard(conn, std::move(message));
           },
       .agent_down = [this](size_t host, ConnId conn,
                            const std::string& reason) { agents_[host]->Down(conn, reason); },
       .controller_message =
           [this](ConnId conn, wire::AgentMessage message) {
             controller_.Received(conn, std::move(message));
           },
       .controller_down = [this](ConnId conn) { controller_.Closed(conn); }}};
  SimController controller_{world_, network_};
  std::vector<std::unique_ptr<SimAgent>> agents_;
  const bool weighted_ = world_.random.Chance(0.3);
};

controller::RunSpec Simulation::MakeRun(size_t number) {
  Random& r = world_.random;
  const Scenario& s = world_.scenario;
  auto plan = std::make_shared<plan::Plan>();
  plan->name = "simulated";
  constexpr Nanos kIntervals[] = {100ms, 200ms, 500ms, 1s};
  plan->interval = kIntervals[s.agents > 100 ? 3 : r.Below(4)];
  plan->limits.timeout.total = r.Between(300ms, 3s);
  plan->limits.in_flight = {r.Chance(0.8) ? 1024u : static_cast<uint32_t>(r.Between(1, 8)), false};
  plan->limits.connections = {s.connections, false};
  plan->backlog = r.Chance(0.8) ? plan::Backlog::kSendLate : plan::Backlog::kSkip;
  plan->agents.min =
      s.runs == 1
          ? static_cast<uint32_t>(r.Between(1, static_cast<int64_t>(std::min<size_t>(s.agents, 3))))
          : 1;
  plan->agents.max = s.runs == 1 ? 0 : static_cast<uint32_t>(r.Between(0, 4));
  plan->agents.wait = r.Between(2s, 10s);
  const uint64_t loss = r.Below(10);
  plan->agents.on_loss = loss < 6   ? plan::OnLoss::kReplace
                         : loss < 9 ? plan::OnLoss::kContinue
                                    : plan::OnLoss::kFail;
  plan->agents.on_join = r.Chance(0.8) ? plan::OnJoin::kShare : plan::OnJoin::kStandby;
  const auto targets = static_cast<uint32_t>(r.Between(1, 2));
  for (uint32_t t = 0; t < targets; ++t) plan->targets.push_back({.name = "t" + std::to_string(t)});
  controller::RunSpec spec{
      .run = RunId("00000" + std::to_string(number)), .plan_json = "{}", .seed = r.Next()};
  Nanos at(0);
  const auto segments = static_cast<uint32_t>(r.Between(1, 3));
  for (uint32_t i = 0; i < segments; ++i) {
    rate::Segment segment{.id = SegmentId(i),
                          .phase = PhaseIndex(i),
                          .start = RunTime(at),
                          .length = r.Between(s.longest_run / 6, s.longest_run / 3),
                          .seed = spec.seed};
    segment.kind = r.Chance(0.5) ? rate::ArrivalKind::kRegular : rate::ArrivalKind::kPoisson;
    const rate::MicroRate from = r.Between(1, 50) * rate::kMicroPerUnit;
    const rate::MicroRate to = r.Chance(0.6) ? from : r.Between(0, 50) * rate::kMicroPerUnit;
    segment.knots = {{Nanos(0), from}, {segment.length, to}};
    for (uint32_t t = 0; t < targets; ++t)
      segment.mix.push_back({TargetIndex(t), static_cast<uint64_t>(r.Between(1, 3))});
    plan->phases.push_back({.name = "p" + std::to_string(i), .duration = segment.length});
    at += segment.length;
    spec.segments.push_back(std::move(segment));
  }
  spec.plan = plan;
  return spec;
}

void Simulation::PlanTrouble() {
  const Scenario& s = world_.scenario;
  const auto times = [this, &s](int n, auto job) {
    for (int i = 0; i < n; ++i) After(Some(Nanos(0), s.trouble), job);
  };
  const auto until = [this, &s](Nanos longest) {
    return world_.queue.now() + Some(10ms, std::min(longest, 4 * s.lease));
  };
  times(s.breaks, [this] { network_.BreakAll(Any().host()); });
  times(s.partitions, [this, until] {
    const bool up = world_.random.Chance(0.5);
    world_.Count(up ? Fault::kPartitionUp : Fault::kPartitionDown);
    network_.Hold(Any().host(), up ? Network::kUp : Network::kDown, until(12s));
  });
  times(s.clogs, [this, until] {
    world_.Count(Fault::kClog);
    for (const auto& agent : agents_) {
      if (!world_.random.Chance(0.6)) continue;
      const Instant at = until(6s);
      network_.Hold(agent->host(), Network::kUp, at);
      network_.Hold(agent->host(), Network::kDown, at);
    }
  });
  times(s.kills, [this] {
    SimAgent& agent = Any();
    if (!agent.running()) return;
    world_.Count(Fault::kAgentKill);
    agent.Kill();
    if (!world_.Happens(world_.scenario.p_restart, Fault::kAgentRestart)) return;
    After(Some(10ms, 5s), [&agent] {
      if (!agent.running()) agent.Start();
    });
  });
  times(s.duplicates, [this] {
    world_.Count(Fault::kDuplicateId);
    AddAgent(Any().id()).Start();
  });
  times(s.pauses, [this, until] {
    world_.Count(Fault::kPause);
    Any().Pause(until(9s) - world_.queue.now());
  });
  times(s.stalls, [this, until] {
    world_.Count(Fault::kLoopStall);
    Any().StallLoop(until(9s) - world_.queue.now());
  });
  times(s.drains, [this] {
    SimAgent& agent = Any();
    if (!agent.running()) return;
    world_.Count(Fault::kDrain);
    agent.Drain();
  });
  times(s.target_stalls, [this] {
    world_.Count(Fault::kSlowTarget);
    world_.target_stalled_until = world_.queue.now() + Some(100ms, 4s);
  });
  times(s.store_stalls,
        [this] { controller_.store().slow_until = world_.queue.now() + Some(100ms, 6s); });
  times(s.store_failures,
        [this] { controller_.store().failing_until = world_.queue.now() + Some(10ms, 2s); });
  times(s.store_full,
        [this] { controller_.store().full_until = world_.queue.now() + Some(10ms, 2s); });
  times(s.lags, [this] { controller_.Lag(Some(1ms, 100ms), Some(100ms, 3s)); });
  times(s.controller_pauses, [this] { controller_.Pause(Some(50ms, 5s)); });
  times(s.crashes, [this] {
    constexpr Fault kPoints[] = {Fault::kCrashBeforeStore, Fault::kCrashUnsynced,
                                 Fault::kCrashAfterStore, Fault::kCrashAfterSend};
    controller_.CrashAt(kPoints[world_.random.Below(4)],
                        world_.random.Chance(0.7) ? Some(100ms, 2s) : Some(2s, 20s));
  });
  const auto stop = [this](controller::RunState end_as) {
    if (world_.specs.empty()) return;
    auto it = world_.specs.begin();
    std::advance(it, world_.random.Below(world_.specs.size()));
    controller_.Stop(it->first, end_as, "the test says so");
  };
  times(s.cancels, [stop] { stop(controller::RunState::kCancelled); });
  times(s.guards, [stop] { stop(controller::RunState::kAborted); });
}

void Simulation::Heal() {
  world_.healed = true;
  Scenario& s = world_.scenario;
  s.delay_max = 2ms;
  s.sync_max = 5ms;
}

bool Simulation::Over() const {
  return world_.healed && controller_.AllEnded() &&
         std::all_of(agents_.begin(), agents_.end(), [](const auto& agent) {
           return agent->holds_nothing() &&
                  (agent->status() == "idle" || agent->status() == "ended");
         });
}

std::string Simulation::Unfinished() const {
  std::string out;
  for (const controller::RunCore* run : controller_.dispatcher().runs())
    if (!run->ended())
      out += "run " + run->spec().run.value() + " is " +
             std::string(controller::RunStateName(run->state())) + "; ";
  for (const auto& agent : agents_)
    if (agent->status() != "idle" && agent->status() != "ended")
      out += "agent " + agent->id() + " is " + agent->status() + "; ";
    else if (!agent->holds_nothing())
      out += "agent " + agent->id() + " still holds snapshots; ";
  return out;
}

}  // namespace

Outcome Play(uint64_t seed, bool verbose, bool crashes) {
  return std::make_unique<Simulation>(seed, verbose, crashes)->Play();
}

}  // namespace broadside::sim
