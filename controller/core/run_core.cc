#include "controller/core/run_core.h"

#include <algorithm>
#include <utility>

#include "common/base/check.h"
#include "common/base/mutants.h"
#include "common/rate/schedule.h"
#include "common/rate/segment.h"

namespace broadside::controller {

std::string_view RunStateName(RunState state) {
  constexpr std::string_view kNames[] = {"waiting",   "preparing", "starting",  "running",
                                         "draining",  "closing",   "completed", "aborted",
                                         "cancelled", "failed"};
  return kNames[static_cast<size_t>(state)];
}

std::optional<RunState> RunStateFromName(std::string_view name) {
  for (int s = 0; s <= static_cast<int>(RunState::kFailed); ++s)
    if (RunStateName(static_cast<RunState>(s)) == name) return static_cast<RunState>(s);
  return std::nullopt;
}

namespace {

std::string Joined(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : ", ") + name;
  return out;
}

/// A limit of the plan as this agent's part of it.
uint32_t PartOf(const plan::Limit& limit, double share) {
  if (!limit.total) return limit.count;
  return std::max(1u, static_cast<uint32_t>(static_cast<double>(limit.count) * share));
}

}  // namespace

RunCore::RunCore(const CoreOptions& options, RunSpec spec, Instant now)
    : options_(options), spec_(std::move(spec)), since_(now) {
  for (const rate::Segment& segment : spec_.segments) {
    end_ = std::max(end_, segment.start + segment.length);
    for (const rate::Knot& knot : segment.knots) peak_rate_ = std::max(peak_rate_, knot.rate);
  }
}

// ---- The machine's face ------------------------------------------------------------------------

void RunCore::Step(Instant now, const RunEvent& event) {
  if (ended() && !std::holds_alternative<SnapshotTaken>(event)) return;
  std::visit([this, now](const auto& e) { On(now, e); }, event);
  Tick(now);
}

void RunCore::Tick(Instant now) {
  last_tick_ = now;
  switch (state_) {
    case RunState::kWaiting:
      break;  // the dispatcher knows which agents could still come, and gives up for us
    case RunState::kPreparing:
      CheckPrepared(now);
      break;
    case RunState::kRunning:
    case RunState::kDraining:
      if (unmapped_) CheckMaps(now);
      if (unmapped_) break;
      CheckShards(now);
      CheckEnd(now);
      break;
    default:
      break;
  }
}

std::optional<Instant> RunCore::NextDeadline() const {
  std::optional<Instant> next;
  // What was due at the last Tick has been seen to, even where nothing could be done about it.
  const auto want = [this, &next](Instant at) {
    if (at > last_tick_ && (!next || at < *next)) next = at;
  };
  if (state_ == RunState::kPreparing) want(since_ + spec_.plan->agents.wait);
  if (state_ != RunState::kRunning && state_ != RunState::kDraining) return next;
  if (unmapped_) {
    want(since_ + options_.lease);
    want(since_ + 10 * options_.lease);
    return next;
  }
  for (const auto& [agent, member] : members_)
    if (!member.lost && Owns(agent)) want(member.heard + options_.lease / 2 + Nanos(1));
  if (holding_ && !pending_)
    want(LocalOf(IntervalStart(GreatestGranted() + 1, spec_.plan->interval)) - options_.lease / 2);
  if (last_wanted_cut_) want(*last_wanted_cut_ + options_.lease);
  want(LocalOf(end_));
  want(LocalOf(end_) + spec_.plan->limits.timeout.total + options_.lease + options_.close_grace);
  if (nobody_since_) want(*nobody_since_ + 10 * options_.lease);
  return next;
}

std::vector<Action> RunCore::TakeActions() { return std::exchange(actions_, {}); }

RunTime RunCore::RunNow(Instant now) const {
  BROADSIDE_CHECK(t0_.has_value());
  return RunTime(now - *t0_);
}

size_t RunCore::live_agents() const {
  return static_cast<size_t>(std::count_if(members_.begin(), members_.end(), [](const auto& m) {
    return !m.second.lost && m.second.readiness != Readiness::kRefused;
  }));
}

bool RunCore::WantsJoiners() const {
  const plan::Agents& agents = spec_.plan->agents;
  if (state_ != RunState::kRunning || stopping_ || unmapped_ || past_end_) return false;
  const bool any_breaker = std::any_of(spec_.plan->targets.begin(), spec_.plan->targets.end(),
                                       [](const plan::Target& t) { return t.breaker.has_value(); });
  const bool share = agents.on_join == plan::OnJoin::kShare ||
                     (agents.on_join == plan::OnJoin::kDefault && !any_breaker);
  return share && (agents.max == 0 || live_agents() < agents.max);
}

// ---- Agents come, get ready, and go ------------------------------------------------------------

void RunCore::On(Instant now, const AgentsGiven& event) {
  for (const AgentFacts& facts : event.agents) {
    if (members_.emplace(facts.incarnation, Member{.facts = facts, .heard = now}).second)
      order_.push_back(facts.incarnation);
    Emit({.what = StoreAgent{facts}, .token = next_token_++});
  }
  if (state_ == RunState::kWaiting) return BeginPreparing(now);
  for (const AgentFacts& facts : event.agents)
    Send(facts.incarnation, MakeAssignment(members_[facts.incarnation]));
}

void RunCore::BeginPreparing(Instant now) {
  state_ = RunState::kPreparing;
  since_ = now;
  Emit({.what = StoreState{state_, ""}, .token = next_token_++});
  for (auto& [agent, member] : members_) Send(agent, MakeAssignment(member));
}

wire::Assignment RunCore::MakeAssignment(const Member& member) const {
  uint64_t all = 0;
  for (const auto& [agent, other] : members_)
    if (!other.lost) all += WeightOf(other);
  const double share =
      all == 0 ? 1 : static_cast<double>(WeightOf(member)) / static_cast<double>(all);
  const plan::Limits& limits = spec_.plan->limits;
  return {.run = spec_.run,
          .plan_json = spec_.plan_json,
          .seed = spec_.seed,
          .in_flight = PartOf(limits.in_flight, share),
          .connections = PartOf(limits.connections, share),
          .share = share,
          .controller_incarnation = options_.controller_incarnation};
}

void RunCore::On(Instant, const AgentPrepared& event) {
  Member* member = Find(event.agent);
  if (!member || member->readiness != Readiness::kAssigned) return;
  for (const std::string& warning : event.warnings)
    Emit({.what = Notice{member->facts.id.value() + ": " + warning}});
  if (event.error.empty()) {
    member->readiness = Readiness::kReady;
    return;
  }
  member->readiness = Readiness::kRefused;
  member->why_lost = member->facts.id.value() + " refused the plan: " + event.error;
  Emit({.what = Notice{member->why_lost}});
  Free(event.agent, *member);
}

void RunCore::CheckPrepared(Instant now) {
  std::vector<std::string> laggards, refusals;
  size_t ready = 0;
  for (const auto& [agent, member] : members_) {
    if (member.readiness == Readiness::kRefused || member.lost)
      refusals.push_back(member.why_lost);
    else if (member.readiness == Readiness::kReady)
      ++ready;
    else
      laggards.push_back(member.facts.id.value());
  }
  const plan::Agents& wanted = spec_.plan->agents;
  if (ready + laggards.size() < wanted.min) return EndEarly(RunState::kFailed, Joined(refusals));
  const bool waited = now >= since_ + wanted.wait;
  if (!laggards.empty() && !waited) return;
  if (ready < wanted.min || ready == 0)
    return EndEarly(RunState::kFailed, "not ready after " +
                                           std::to_string(wanted.wait / std::chrono::seconds(1)) +
                                           " s: " + Joined(laggards));
  if (!laggards.empty())
    Emit({.what = Notice{"starting without " + Joined(laggards) + ": not ready in time"}});
  BeginStarting(now);
}

void RunCore::BeginStarting(Instant now) {
  std::vector<Incarnation> owners;
  std::vector<uint64_t> weights;
  rate::MicroRate ceilings = 0;
  bool unlimited = false;
  for (const Incarnation& agent : order_) {
    const Member& member = members_[agent];
    if (member.lost || member.readiness != Readiness::kReady) continue;
    owners.push_back(agent);
    weights.push_back(WeightOf(member));
    unlimited |= member.facts.ceiling == 0;
    ceilings += member.facts.ceiling;
  }
  if (!unlimited && ceilings < peak_rate_)
    return EndEarly(RunState::kFailed, "the agents' rate ceilings allow " +
                                           std::to_string(ceilings / rate::kMicroPerUnit) +
                                           "/s in all, the plan needs " +
                                           std::to_string(peak_rate_ / rate::kMicroPerUnit) +
                                           "/s: add agents or raise --rate-ceiling");
  state_ = RunState::kStarting;
  since_ = now;
  t0_ = now + options_.start_lead;
  for (const rate::Segment& segment : spec_.segments)
    entries_.push_back({spec_.run, static_cast<uint32_t>(entries_.size() + 1), segment});
  deals_.push_back(rate::MakeDeal(ShardEpoch(1), 0, owners, weights));
  entries_.push_back({spec_.run, static_cast<uint32_t>(entries_.size() + 1), deals_.back()});
  for (const wire::Entry& entry : entries_)
    Emit({.what = StoreEntry{entry}, .token = next_token_++});
  start_token_ = next_token_++;
  Emit({.what = StoreStart{*t0_}, .token = start_token_});
}

void RunCore::Announce(Instant now, Incarnation agent, Member& member) {
  member.announced = true;
  SendEntries(agent, member);
  Send(agent, wire::Start{spec_.run, *t0_, options_.boot_id});
  // First, so that what it sent beyond the end is counted as such in its last totals.
  if (stopping_) Send(agent, MakeStop());
  Send(agent, wire::Finish{spec_.run, end_});
  Grant(now, agent, member);
}

void RunCore::SendEntries(Incarnation agent, Member& member) {
  for (const wire::Entry& entry : entries_)
    if (entry.number > member.entries_sent) Send(agent, entry);
  member.entries_sent = static_cast<uint32_t>(entries_.size());
}

void RunCore::On(Instant, const AgentLost& event) {
  Member* member = Find(event.agent);
  if (!member || member->lost) return;
  member->lost = true;
  member->why_lost = member->facts.id.value() + " was lost: " + event.reason;
  if (!member->final_stored) Emit({.what = Notice{member->why_lost}});
}

void RunCore::On(Instant now, const AgentBack& event) {
  Member* member = Find(event.agent);
  if (!member || member->readiness == Readiness::kRefused) return;
  member->lost = false;
  member->heard = now;
  member->asked.reset();
  member->catches_up = true;
  member->entries_sent =
      std::min<uint32_t>(event.held.entries, static_cast<uint32_t>(entries_.size()));
  const bool mapped = !unmapped_;  // else all hear of T0 together, once it is known
  TakeHeld(now, *member, event.held);
  if (state_ == RunState::kPreparing || member->readiness == Readiness::kAssigned)
    Send(event.agent, MakeAssignment(*member));
  if (member->announced && mapped) Announce(now, event.agent, *member);
}

void RunCore::On(Instant, const AgentDrains& event) {
  if (Member* member = Find(event.agent)) member->draining = true;
}

// ---- Snapshots, the end ----------------------------------------------------------------------

void RunCore::On(Instant, const SnapshotTaken& event) {
  const wire::SnapshotEnvelope& snapshot = *event.snapshot;
  const StoreToken token = next_token_++;
  Emit({.what = StoreSnapshot{event.snapshot}, .token = token});
  Send(snapshot.incarnation,
       wire::SnapshotAck{spec_.run, snapshot.incarnation, {snapshot.sequence}},
       MutantIs(Mutant::kAckBeforeStore) ? 0 : token);
  if (snapshot.final_totals) final_tokens_[token] = snapshot.incarnation;
}

void RunCore::On(Instant now, const Stored& event) {
  if (event.token == start_token_) {
    state_ = RunState::kRunning;
    Emit({.what = StoreState{state_, ""}, .token = next_token_++});
    for (const Incarnation& agent : order_) {
      Member& member = members_[agent];
      if (!member.lost && member.readiness == Readiness::kReady) Announce(now, agent, member);
    }
  } else if (pending_ && event.token == pending_->token) {
    AdoptDeal(now);
  } else if (const auto it = final_tokens_.find(event.token); it != final_tokens_.end()) {
    const Incarnation agent = it->second;
    final_tokens_.erase(it);
    Member* member = Find(agent);
    if (!member) return;
    member->final_stored = true;
    if (member->draining && !Owns(agent) && !member->lost) {
      member->lost = true;  // it left in good order: nothing more is expected of it
      Send(agent, wire::Release{spec_.run});
      Free(agent, *member);
    }
  } else if (event.token == close_token_) {
    Close(end_as_, end_reason_);
  }
}

void RunCore::On(Instant now, const StoreFailed& event) {
  const std::string reason = "the store failed: " + event.reason;
  // Without one of its entries the schedule is not whole, whatever else could be stored.
  if (state_ == RunState::kStarting && event.token + entries_.size() >= start_token_ &&
      event.token <= start_token_)
    return EndEarly(RunState::kFailed, reason);
  if (pending_ && event.token == pending_->token) {
    pending_.reset();  // tried again at the next tick; nobody was told
    Emit({.what = Notice{reason}});
  } else if (event.token == close_token_) {
    EndEarly(RunState::kFailed, reason);
  } else if (final_tokens_.erase(event.token) > 0) {
    Emit({.what = Notice{reason}});
  }
  if (state_ == RunState::kRunning) Tick(now);
}

void RunCore::CheckEnd(Instant now) {
  if (state_ == RunState::kRunning && RunNow(now) >= end_) state_ = RunState::kDraining;
  bool all_final = true, anyone = false;
  for (const auto& [agent, member] : members_) {
    if (!member.announced) continue;
    all_final &= member.final_stored;
    anyone |= !member.lost;
  }
  if (anyone)
    nobody_since_.reset();
  else if (!nobody_since_)
    nobody_since_ = now;
  const Instant last_call =
      LocalOf(end_) + spec_.plan->limits.timeout.total + options_.lease + options_.close_grace;
  const bool covered = state_ == RunState::kDraining || stopping_;
  if ((covered && all_final) || now >= last_call) return BeginClosing();
  if (nobody_since_ && !covered && now >= *nobody_since_ + 10 * options_.lease) {
    end_as_ = RunState::kFailed;
    end_reason_ = "every agent was lost";
    BeginClosing();
  }
}

void RunCore::On(Instant now, const StopWanted& event) {
  if (state_ < RunState::kStarting) return EndEarly(event.end_as, event.reason);
  if (state_ == RunState::kClosing || stopping_) return;
  if (unmapped_) {  // E is an instant of the run's clock, which is not known yet
    if (!unmapped_->stop) unmapped_->stop = event;
    return;
  }
  BeginStop(now, event.end_as, event.reason);
}

void RunCore::BeginStop(Instant now, RunState end_as, std::string reason) {
  // The end of the present interval; before T0 nothing was sent and nothing will be.
  const IntervalIndex present =
      std::max<IntervalIndex>(-1, IntervalOf(RunNow(now), spec_.plan->interval));
  StopAt(IntervalStart(present + 1, spec_.plan->interval), end_as, std::move(reason));
}

void RunCore::StopAt(RunTime end, RunState end_as, std::string reason) {
  stopping_ = true;
  end_as_ = end_as;
  end_reason_ = std::move(reason);
  end_ = std::min(end_, end);
  for (auto& [agent, member] : members_)
    if (!member.lost && member.announced) Send(agent, MakeStop());
  Emit({.what = StoreStop{end_as_, end_reason_, end_}, .token = next_token_++});
  Emit({.what = StoreState{state_, end_reason_}, .token = next_token_++});
}

wire::Stop RunCore::MakeStop() const {
  return {spec_.run, end_, end_reason_, options_.controller_incarnation,
          std::string(RunStateName(end_as_))};
}

void RunCore::BeginClosing() {
  if (past_end_ && !stopping_ && !Covered()) {
    end_as_ = RunState::kFailed;
    end_reason_ = "the controller was away at the end of the schedule, which was not covered";
  }
  state_ = RunState::kClosing;
  pending_.reset();  // should it still be stored: nobody was told, and nobody will be
  CloseRun close{.end_as = end_as_,
                 .reason = end_reason_,
                 .deals = deals_,
                 .stopped = stopping_,
                 .stop_end = end_};
  for (const rate::Deal& deal : deals_)
    for (const Incarnation& owner : deal.owners) {
      const Member& member = members_[owner];
      const auto it = member.granted.find(deal.epoch);
      close.grants.push_back({owner, deal.epoch, deal.first,
                              it == member.granted.end() ? deal.first - 1 : it->second});
    }
  for (const auto& [agent, member] : members_)
    if (member.announced && !member.final_stored) close.lost.push_back(agent);
  close_token_ = next_token_++;
  Emit({.what = std::move(close), .token = close_token_});
}

void RunCore::EndEarly(RunState end_as, std::string reason) {
  Emit({.what = StoreState{end_as, reason}, .token = next_token_++});
  Close(end_as, std::move(reason));
}

void RunCore::Close(RunState end_as, std::string reason) {
  state_ = end_as;
  reason_ = std::move(reason);
  for (auto& [agent, member] : members_) {
    if (member.freed && !MutantIs(Mutant::kFreedTwice)) continue;  // it refused, or left before
    Send(agent, wire::Release{spec_.run});
    Free(agent, member);
  }
}

void RunCore::Free(Incarnation agent, Member& member) {
  // Once only: by now it may work for another run.
  if (!std::exchange(member.freed, true) || MutantIs(Mutant::kFreedTwice))
    Emit({.what = FreeAgent{agent}});
}

RunCore::Member* RunCore::Find(Incarnation agent) {
  const auto it = members_.find(agent);
  return it == members_.end() ? nullptr : &it->second;
}

void RunCore::Emit(Action action) {
  action.run = spec_.run;
  actions_.push_back(std::move(action));
}

void RunCore::Send(Incarnation agent, wire::ControllerMessage message, StoreToken after) {
  Emit({.what = SendTo{agent, std::move(message)}, .after = after});
}

}  // namespace broadside::controller
