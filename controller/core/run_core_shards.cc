// RunCore's leases and shards: who may send what until when, and how that moves (semantics in
// ARCHITECTURE.md, "Leases and re-sharding").
#include <algorithm>
#include <utility>

#include "common/base/mutants.h"
#include "common/rate/schedule.h"
#include "common/rate/segment.h"
#include "controller/core/run_core.h"

namespace broadside::controller {

namespace {

/// Who has no slot any more owns nothing; left in the table, its loss would be seen to for ever.
void DropOwnersWithoutSlots(rate::Deal& deal) {
  std::vector<int32_t> place(deal.owners.size(), rate::Deal::kNobody);
  std::vector<Incarnation> owners;
  for (int32_t& slot : deal.slots) {
    if (slot == rate::Deal::kNobody) continue;
    int32_t& mine = place[static_cast<size_t>(slot)];
    if (mine == rate::Deal::kNobody) {
      mine = static_cast<int32_t>(owners.size());
      owners.push_back(deal.owners[static_cast<size_t>(slot)]);
    }
    slot = mine;
  }
  deal.owners = std::move(owners);
}

}  // namespace

// ---- Leases ----------------------------------------------------------------------------------

void RunCore::On(Instant now, const AgentAsked& event) {
  Member* member = Find(event.agent);
  if (!member || member->lost) return;
  member->heard = now;
  member->asked = event.asked;
  if (unmapped_) return;
  // Whether the epoch may be extended is decided before this answer, not after it.
  if (state_ == RunState::kRunning) CheckShards(now);
  if (member->announced) Grant(now, event.agent, *member);
}

IntervalIndex RunCore::LastInterval() const {
  return IntervalOf(end_ - Nanos(1), spec_.plan->interval);
}

IntervalIndex RunCore::GreatestGranted() const {
  const rate::Deal& deal = deals_.back();
  IntervalIndex greatest = deal.first - 1;
  for (const auto& [agent, member] : members_)
    if (const auto it = member.granted.find(deal.epoch); it != member.granted.end())
      greatest = std::max(greatest, it->second);
  return greatest;
}

bool RunCore::Owns(Incarnation agent) const {
  if (deals_.empty()) return false;
  const rate::Deal& deal = deals_.back();
  // Asked of every member at every message: with hundreds of agents a search through all owners
  // would cost more than anything else does.
  if (owners_of_ != deal.epoch) {
    owners_ = {deal.owners.begin(), deal.owners.end()};
    owners_of_ = deal.epoch;
  }
  return owners_.contains(agent);
}

void RunCore::Grant(Instant now, Incarnation agent, Member& member) {
  if (!member.asked || deals_.empty() || past_end_) return;
  // An epoch that was replaced stays granted through its last interval, so that an owner that was
  // heard again in time can finish it, and one that comes later can account for it.
  for (size_t d = 0; d + 1 < deals_.size(); ++d) {
    const rate::Deal& old = deals_[d];
    const IntervalIndex last = std::min(deals_[d + 1].first - 1, LastInterval());
    if (std::find(old.owners.begin(), old.owners.end(), agent) == old.owners.end()) continue;
    const bool over = IntervalStart(last + 1, spec_.plan->interval) < RunNow(now);
    if (last < old.first || (over && !member.catches_up)) continue;
    IntervalIndex& granted = member.granted.try_emplace(old.epoch, last).first->second;
    granted = std::max(granted, last);
    Send(agent, wire::Grant{options_.controller_incarnation, spec_.run, old.epoch, last,
                            static_cast<uint32_t>(entries_.size()), *member.asked});
  }
  member.catches_up = false;
  if (!Owns(agent)) return;
  const rate::Deal& deal = deals_.back();
  const Nanos ahead = options_.lease * (MutantIs(Mutant::kGrantTooFar) ? 2 : 1);
  IntervalIndex last = IntervalOf(RunNow(now) + ahead, spec_.plan->interval);
  if (holding_ || pending_) last = std::min(last, GreatestGranted());
  if (!MutantIs(Mutant::kGrantPastSchedule)) last = std::min(last, LastInterval());
  IntervalIndex& granted = member.granted.try_emplace(deal.epoch, deal.first - 1).first->second;
  granted = std::max(granted, last);
  // What was granted before a stop is not granted again beyond its end.
  Send(agent, wire::Grant{options_.controller_incarnation, spec_.run, deal.epoch,
                          MutantIs(Mutant::kGrantPastSchedule) || MutantIs(Mutant::kStopGrantsOn)
                              ? granted
                              : std::min(granted, LastInterval()),
                          static_cast<uint32_t>(entries_.size()), *member.asked});
}

// ---- Shards ----------------------------------------------------------------------------------

bool RunCore::Silent(const Member& member, Instant now) const {
  return now > member.heard + options_.lease / 2;
}

void RunCore::CheckShards(Instant now) {
  if (stopping_ || pending_ || past_end_ || now < *t0_) return;
  if (IntervalStart(GreatestGranted() + 1, spec_.plan->interval) >= end_)
    return;  // nothing left to deal
  bool broken = false, silent = false, wanted = false;
  for (const auto& [agent, member] : members_) {
    const bool owner = Owns(agent);
    broken |= owner && member.lost;
    silent |= owner && !member.lost && Silent(member, now);
    wanted |= owner && member.draining;
    wanted |= !owner && !member.lost && !member.draining &&
              (member.readiness == Readiness::kReady || MutantIs(Mutant::kJoinerBeforeReady)) &&
              !Silent(member, now);
  }
  if (last_wanted_cut_ && now < *last_wanted_cut_ + options_.lease) wanted = false;
  holding_ = broken || silent || wanted;
  if (!holding_) return;
  const Instant cut =
      LocalOf(IntervalStart(GreatestGranted() + 1, spec_.plan->interval)) - options_.lease / 2;
  if (!broken && !wanted && now < cut) return;
  for (auto& [agent, member] : members_)
    if (member.away && !member.lost && now >= cut && Silent(member, now)) {
      member.lost = true;
      member.why_lost = member.facts.id.value() + " did not come back after the restart";
      Emit({.what = Notice{member.why_lost}});
    }
  if ((broken || silent) && spec_.plan->agents.on_loss == plan::OnLoss::kFail)
    return BeginStop(now, RunState::kFailed, "an agent was lost and the plan says on_loss: fail");
  ProposeDeal(now, wanted);
}

uint64_t RunCore::WeightOf(const Member& member) const {
  // An agent without a ceiling weighs as much as its loops could send.
  return member.facts.ceiling > 0
             ? static_cast<uint64_t>(member.facts.ceiling / rate::kMicroPerUnit)
             : uint64_t{10'000} * std::max(1u, member.facts.loops);
}

uint64_t RunCore::NobodyWeight(const std::vector<uint64_t>& weights) const {
  uint64_t sum = 0;
  for (const uint64_t weight : weights) sum += weight;
  for (const auto& [agent, member] : members_)
    if (member.facts.ceiling == 0) return 0;
  const uint64_t needed = static_cast<uint64_t>(peak_rate_ / rate::kMicroPerUnit);
  return needed > sum ? needed - sum : 0;
}

void RunCore::ProposeDeal(Instant now, bool wanted) {
  const rate::Deal& old = deals_.back();
  const IntervalIndex first = GreatestGranted() + (MutantIs(Mutant::kCutInsideGrant) ? 0 : 1);
  const ShardEpoch epoch(old.epoch.value() + 1);
  const auto usable = [this, now](const Member& m) {
    return !m.lost && !m.draining &&
           (m.readiness == Readiness::kReady || MutantIs(Mutant::kJoinerBeforeReady)) &&
           !Silent(m, now);
  };
  rate::Deal deal;
  if (spec_.plan->agents.on_loss == plan::OnLoss::kContinue && !wanted) {
    deal = old;
    deal.epoch = epoch;
    deal.first = first;
    for (int32_t& slot : deal.slots)
      if (!MutantIs(Mutant::kStaleDealKept) && slot != rate::Deal::kNobody &&
          !usable(members_[old.owners[static_cast<size_t>(slot)]]))
        slot = rate::Deal::kNobody;
    DropOwnersWithoutSlots(deal);
  } else {
    std::vector<Incarnation> owners;
    std::vector<uint64_t> weights;
    for (const Incarnation& agent : order_) {
      if (!usable(members_[agent])) continue;
      owners.push_back(agent);
      weights.push_back(WeightOf(members_[agent]));
    }
    if (owners.empty())
      return;  // nobody to deal to: what comes due is unowned until somebody joins
    deal = rate::MakeDeal(epoch, first, owners, weights, NobodyWeight(weights));
  }
  if (wanted) last_wanted_cut_ = now;
  pending_ = PendingDeal{deal, next_token_++};
  Emit({.what = StoreEntry{{spec_.run, static_cast<uint32_t>(entries_.size() + 1), deal}},
        .token = pending_->token});
  if (MutantIs(Mutant::kDealBeforeStore)) AdoptDeal(now);
}

void RunCore::AdoptDeal(Instant now) {
  deals_.push_back(std::move(pending_->deal));
  pending_.reset();
  holding_ = false;
  entries_.push_back({spec_.run, static_cast<uint32_t>(entries_.size() + 1), deals_.back()});
  for (auto& [agent, member] : members_) {
    if (member.lost || member.readiness != Readiness::kReady) continue;
    if (!member.announced) {
      Announce(now, agent, member);
      continue;
    }
    SendEntries(agent, member);
    Grant(now, agent, member);
    // Who leaves has nothing to send from the cut on, and may go once its totals are stored.
    if (member.draining && !Owns(agent))
      Send(agent,
           wire::Finish{spec_.run, IntervalStart(deals_.back().first, spec_.plan->interval)});
  }
}

}  // namespace broadside::controller
