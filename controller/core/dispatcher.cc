#include "controller/core/dispatcher.h"

#include <algorithm>
#include <utility>

#include "common/rate/schedule.h"
#include "common/stats/histogram.h"

namespace broadside::controller {
namespace {

bool Matches(const AgentFacts& agent, const std::map<std::string, std::string>& select) {
  return std::all_of(select.begin(), select.end(), [&agent](const auto& want) {
    const auto it = agent.labels.find(want.first);
    return it != agent.labels.end() && it->second == want.second;
  });
}

std::string Described(const std::map<std::string, std::string>& select) {
  std::string out;
  for (const auto& [key, value] : select) out += " with " + key + "=" + value;
  return out;
}

}  // namespace

std::string Dispatcher::WhyNoShard(Instant now, const wire::Hello& hello) const {
  if (hello.schedule_version != rate::kScheduleVersion)
    return "agent " + hello.agent.value() + " (" + hello.version + ") computes schedule version " +
           std::to_string(hello.schedule_version) + ", this controller version " +
           std::to_string(rate::kScheduleVersion) + ": install the same release on both";
  if (hello.histogram_layout != stats::kLayoutVersion)
    return "agent " + hello.agent.value() + " uses histogram layout " +
           std::to_string(hello.histogram_layout) + ", this controller " +
           std::to_string(stats::kLayoutVersion) + ": install the same release on both";
  for (const auto& [incarnation, other] : agents_)
    if (other.facts.id == hello.agent && incarnation != hello.incarnation && other.connected &&
        now < other.heard + options_.lease)
      return "agent id " + hello.agent.value() + " is in use by a process on " + other.facts.host +
             ": give each agent its own --id";
  return "";
}

void Dispatcher::Connected(Instant now, const wire::Hello& hello) {
  const std::string no_shard = WhyNoShard(now, hello);
  Agent& agent = agents_[hello.incarnation];
  agent.facts = {hello.agent,        hello.incarnation, hello.loops,   hello.cores,
                 hello.rate_ceiling, hello.labels,      hello.version, hello.host};
  agent.connected = true;
  agent.draining = false;
  agent.no_shard = no_shard;
  agent.heard = now;
  actions_.push_back(
      {.what = SendTo{hello.incarnation,
                      wire::Welcome{.controller_incarnation = options_.controller_incarnation,
                                    .version = BROADSIDE_VERSION,
                                    .no_shard = no_shard}}});
  for (const wire::HeldRun& held : hello.held) {
    const auto it = runs_.find(held.run);
    if (it == runs_.end() || it->second.core->ended()) {
      actions_.push_back({.what = SendTo{hello.incarnation, wire::Release{held.run}}});
      continue;
    }
    RunCore& core = *it->second.core;
    if (!core.HasMember(hello.incarnation)) {  // chosen, but that was never stored
      actions_.push_back({.what = SendTo{hello.incarnation, wire::Release{held.run}}});
      continue;
    }
    if (no_shard.empty()) agent.run = held.run;
    it->second.core->Step(now, AgentBack{hello.incarnation, held});
    Collect(*it->second.core);
  }
  Assign(now);
}

void Dispatcher::Disconnected(Instant now, Incarnation incarnation, const std::string& reason) {
  const auto it = agents_.find(incarnation);
  if (it == agents_.end() || !it->second.connected) return;
  it->second.connected = false;
  it->second.why_gone = reason;
  if (!it->second.run) {
    agents_.erase(it);  // nothing is owed to it, nor by it
    return;
  }
  if (const auto run = runs_.find(*it->second.run); run != runs_.end()) {
    run->second.core->Step(now, AgentLost{incarnation, reason});
    Collect(*run->second.core);
  }
}

void Dispatcher::Received(Instant now, Incarnation incarnation, wire::AgentMessage message) {
  const auto it = agents_.find(incarnation);
  if (it == agents_.end()) return;
  Agent& agent = it->second;
  agent.heard = now;
  const auto step = [this, now](const RunId& run, const RunEvent& event) {
    const auto found = runs_.find(run);
    if (found == runs_.end()) return;
    found->second.core->Step(now, event);
    Collect(*found->second.core);
  };
  if (const auto* beat = std::get_if<wire::Heartbeat>(&message)) {
    if (agent.run == beat->run) step(beat->run, AgentAsked{incarnation, beat->sent, beat->entries});
  } else if (auto* prepared = std::get_if<wire::Prepared>(&message)) {
    step(prepared->run, AgentPrepared{incarnation, prepared->error, prepared->warnings});
  } else if (auto* snapshot = std::get_if<wire::SnapshotEnvelope>(&message)) {
    const RunId run = snapshot->run;
    const Instant asked = snapshot->asked;
    const uint32_t entries = snapshot->entries;
    if (!runs_.contains(run)) return TakeLate(std::move(*snapshot));
    step(run, SnapshotTaken{std::make_shared<const wire::SnapshotEnvelope>(std::move(*snapshot))});
    if (asked != Instant{} && agent.run == run) step(run, AgentAsked{incarnation, asked, entries});
  } else if (std::holds_alternative<wire::Drain>(message)) {
    agent.draining = true;
    if (agent.run) step(*agent.run, AgentDrains{incarnation});
  }
  Assign(now);
}

/// Of a run that closed before this controller started, or long ago: kept, acknowledged, not
/// merged.
void Dispatcher::TakeLate(wire::SnapshotEnvelope snapshot) {
  const RunId run = snapshot.run;
  const StoreToken token = next_late_token_++;
  SendTo ack{snapshot.incarnation,
             wire::SnapshotAck{run, snapshot.incarnation, {snapshot.sequence}}};
  actions_.push_back(
      {.run = run,
       .what = StoreSnapshot{std::make_shared<const wire::SnapshotEnvelope>(std::move(snapshot))},
       .token = token});
  actions_.push_back({.run = run, .what = std::move(ack), .after = token});
}

Status Dispatcher::Restore(Instant now, RunSpec spec, const StoredRun& stored) {
  const RunId run = spec.run;
  BROADSIDE_ASSIGN_OR_RETURN(auto core, RunCore::Restore(options_, std::move(spec), stored, now));
  if (core->state() == RunState::kWaiting) queue_.push_back(run);
  runs_[run] = {std::move(core), now, false};
  Collect(*runs_[run].core);
  return absl::OkStatus();
}

void Dispatcher::Submit(Instant now, RunSpec spec, bool no_wait) {
  const RunId run = spec.run;
  runs_[run] = {std::make_unique<RunCore>(options_, std::move(spec), now), now, no_wait};
  queue_.push_back(run);
  Assign(now);
  Tick(now);
}

void Dispatcher::StopRun(Instant now, const RunId& run, RunState end_as,
                         const std::string& reason) {
  const auto it = runs_.find(run);
  if (it == runs_.end()) return;
  it->second.core->Step(now, StopWanted{end_as, reason});
  Collect(*it->second.core);
}

void Dispatcher::StoreResult(Instant now, const RunId& run, StoreToken token,
                             const std::string& error) {
  const auto it = runs_.find(run);
  if (it == runs_.end()) return;
  if (error.empty())
    it->second.core->Step(now, Stored{token});
  else
    it->second.core->Step(now, StoreFailed{token, error});
  Collect(*it->second.core);
}

std::vector<AgentFacts> Dispatcher::IdleFor(const RunCore& core) const {
  const plan::Plan& plan = *core.spec().plan;
  std::vector<AgentFacts> out;
  for (const auto& [incarnation, agent] : agents_)
    if (agent.connected && !agent.draining && !agent.run && agent.no_shard.empty() &&
        !core.HasMember(incarnation) && Matches(agent.facts, plan.agents.select))
      out.push_back(agent.facts);
  std::sort(out.begin(), out.end(),
            [](const AgentFacts& a, const AgentFacts& b) { return a.id < b.id; });
  if (plan.agents.max > 0 && out.size() > plan.agents.max) out.resize(plan.agents.max);
  return out;
}

void Dispatcher::Assign(Instant now) {
  const auto give = [this, now](RunCore& core, std::vector<AgentFacts> idle) {
    for (const AgentFacts& facts : idle) agents_[facts.incarnation].run = core.spec().run;
    core.Step(now, AgentsGiven{std::move(idle)});
    Collect(core);
  };
  std::erase_if(queue_, [this](const RunId& run) {
    const auto it = runs_.find(run);
    return it == runs_.end() || it->second.core->state() != RunState::kWaiting;
  });
  for (const RunId& run : queue_) {
    RunCore& core = *runs_[run].core;
    std::vector<AgentFacts> idle = IdleFor(core);
    if (!idle.empty() && idle.size() >= core.spec().plan->agents.min) give(core, std::move(idle));
  }
  for (auto& [id, run] : runs_) {
    if (!run.core->WantsJoiners()) continue;
    std::vector<AgentFacts> idle = IdleFor(*run.core);
    const uint32_t max = run.core->spec().plan->agents.max;
    if (max > 0) idle.resize(std::min<size_t>(idle.size(), max - run.core->live_agents()));
    if (!idle.empty()) give(*run.core, std::move(idle));
  }
}

std::string Dispatcher::WaitingFor(const RunId& run, Instant now) const {
  const auto it = runs_.find(run);
  if (it == runs_.end() || it->second.core->state() != RunState::kWaiting) return "";
  const plan::Agents& wanted = it->second.core->spec().plan->agents;
  const size_t there = IdleFor(*it->second.core).size();
  const auto left =
      std::chrono::ceil<std::chrono::seconds>(it->second.submitted + wanted.wait - now);
  std::string refused;
  for (const auto& [incarnation, agent] : agents_)
    if (agent.connected && !agent.no_shard.empty()) refused += "; " + agent.no_shard;
  return std::to_string(there) + (there == 1 ? " agent of the " : " agents of the ") +
         std::to_string(wanted.min) + Described(wanted.select) + " that the plan needs " +
         (there == 1 ? "is" : "are") + " there" + refused + ". Waiting " +
         std::to_string(std::max<int64_t>(0, left.count())) + " s";
}

void Dispatcher::Tick(Instant now) {
  for (auto& [id, run] : runs_) {
    if (run.core->ended()) continue;
    const plan::Agents& wanted = run.core->spec().plan->agents;
    if (run.core->state() == RunState::kWaiting &&
        (run.no_wait || now >= run.submitted + wanted.wait)) {
      std::string why = WaitingFor(id, now);
      why = why.substr(0, why.rfind(". Waiting"));
      run.core->Step(
          now, StopWanted{RunState::kFailed,
                          why + "; waited " +
                              std::to_string((now - run.submitted) / std::chrono::seconds(1)) +
                              " s. Start more agents, or lower the plan's agents: min"});
    }
    run.core->Tick(now);
    Collect(*run.core);
  }
}

std::optional<Instant> Dispatcher::NextDeadline() const {
  std::optional<Instant> next;
  const auto want = [&next](std::optional<Instant> at) {
    if (at && (!next || *at < *next)) next = at;
  };
  for (const auto& [id, run] : runs_) {
    if (run.core->ended()) continue;
    if (run.core->state() == RunState::kWaiting)
      want(run.submitted + run.core->spec().plan->agents.wait);
    want(run.core->NextDeadline());
  }
  return next;
}

void Dispatcher::Collect(RunCore& core) {
  for (Action& action : core.TakeActions()) {
    if (const auto* free = std::get_if<FreeAgent>(&action.what)) {
      // A run that was restored may name agents that have come back without it and got another.
      if (const auto it = agents_.find(free->agent);
          it != agents_.end() && it->second.run == core.spec().run) {
        it->second.run.reset();
        if (!it->second.connected) agents_.erase(it);
      }
    }
    actions_.push_back(std::move(action));
  }
}

std::vector<Action> Dispatcher::TakeActions() { return std::exchange(actions_, {}); }

const RunCore* Dispatcher::Find(const RunId& run) const {
  const auto it = runs_.find(run);
  return it == runs_.end() ? nullptr : it->second.core.get();
}

std::vector<const RunCore*> Dispatcher::runs() const {
  std::vector<const RunCore*> out;
  for (const auto& [id, run] : runs_) out.push_back(run.core.get());
  return out;
}

std::vector<AgentView> Dispatcher::agents() const {
  std::vector<AgentView> out;
  for (const auto& [incarnation, agent] : agents_) {
    AgentView view{.facts = agent.facts, .connected = agent.connected, .heard = agent.heard};
    if (agent.run) view.run = *agent.run;
    if (!agent.connected) {
      view.state = "lost";
      view.reason = agent.why_gone;
    } else if (!agent.no_shard.empty()) {
      view.state = "refused";
      view.reason = agent.no_shard;
    } else {
      view.state = agent.draining ? "draining" : agent.run ? "running" : "idle";
    }
    out.push_back(std::move(view));
  }
  std::sort(out.begin(), out.end(),
            [](const AgentView& a, const AgentView& b) { return a.facts.id < b.facts.id; });
  return out;
}

}  // namespace broadside::controller
