// RunCore after a restart of the controller: from what the store and the returning agents say
// (ARCHITECTURE.md, "Restart").
#include <algorithm>
#include <utility>

#include "controller/core/run_core.h"

namespace broadside::controller {

StatusOr<std::unique_ptr<RunCore>> RunCore::Restore(const CoreOptions& options, RunSpec spec,
                                                    const StoredRun& stored, Instant now) {
  auto core = std::make_unique<RunCore>(options, std::move(spec), now);
  if (stored.start) BROADSIDE_RETURN_IF_ERROR(core->TakeStored(stored, now));
  return core;
}

Status RunCore::TakeStored(const StoredRun& stored, Instant now) {
  // The stored segments are the schedule; the plan's were only its beginning.
  spec_.segments.clear();
  end_ = RunTime{};
  for (const wire::Entry& entry : stored.entries) {
    if (entry.number != entries_.size() + 1)
      return DataLoss("entry " + std::to_string(entries_.size() + 1) +
                      " of its schedule is not in the store");
    entries_.push_back(entry);
    if (const auto* segment = std::get_if<rate::Segment>(&entry.what)) {
      spec_.segments.push_back(*segment);
      end_ = std::max(end_, segment->start + segment->length);
    } else {
      deals_.push_back(std::get<rate::Deal>(entry.what));
    }
  }
  if (spec_.segments.empty() || deals_.empty()) return DataLoss("its schedule is not in the store");

  for (const AgentFacts& facts : stored.agents) {
    order_.push_back(facts.incarnation);
    // Who owns nothing now had been lost, or was on its way in: either way it must come back first.
    members_[facts.incarnation] = {.facts = facts,
                                   .lost = !Owns(facts.incarnation),
                                   .away = true,
                                   .heard = now,
                                   .final_stored = stored.final_totals.contains(facts.incarnation)};
  }
  for (size_t d = 0; d < deals_.size(); ++d)
    for (const Incarnation& owner : deals_[d].owners) {
      Member* member = Find(owner);
      if (member == nullptr) return DataLoss("an owner of its shards is not in the store");
      member->readiness = Readiness::kReady;
      member->announced = true;
      if (d + 1 < deals_.size()) member->granted[deals_[d].epoch] = deals_[d + 1].first - 1;
    }

  newest_stored_ = stored.newest;
  state_ = RunState::kRunning;
  if (stored.stop) {
    stopping_ = true;
    end_as_ = stored.stop->end_as;
    end_reason_ = stored.stop->reason;
    end_ = std::min(end_, stored.stop->end);
  }
  if (stored.start->boot_id == options_.boot_id)
    Resume(now, stored.start->t0, 0);
  else
    unmapped_ = {.by_wall = now - stored.start->by_wall};
  return absl::OkStatus();
}

/// What an agent that is back knows better than we do.
void RunCore::TakeHeld(Instant now, Member& member, const wire::HeldRun& held) {
  if (std::exchange(member.away, false) && held.grants_known)
    for (size_t d = 0; d < deals_.size(); ++d) {
      const auto told = std::find_if(held.grants.begin(), held.grants.end(),
                                     [&](const auto& g) { return g.epoch == deals_[d].epoch; });
      // Never more than the next epoch leaves: that one was stored, and is a fact.
      IntervalIndex last = told == held.grants.end() ? deals_[d].first - 1 : told->last;
      if (d + 1 < deals_.size()) last = std::min(last, deals_[d + 1].first - 1);
      member.granted[deals_[d].epoch] = std::max(last, deals_[d].first - 1);
    }
  if (held.stopped && state_ >= RunState::kRunning && (!stopping_ || held.stop_end < end_)) {
    // The decision outlived the controller that took it.
    if (stopping_)
      StopAt(held.stop_end, end_as_, end_reason_);
    else
      StopAt(held.stop_end, RunStateFromName(held.stop_as).value_or(RunState::kCancelled),
             held.stop_reason);
  }
  if (!unmapped_ || !held.run_now) return;
  unmapped_->maps.push_back(now - held.run_now->time_since_epoch());
  CheckMaps(now);
}

void RunCore::CheckMaps(Instant now) {
  std::vector<Instant>& maps = unmapped_->maps;
  const bool all = std::none_of(members_.begin(), members_.end(), [](const auto& m) {
    return m.second.away && !m.second.lost && !m.second.final_stored;
  });
  if (maps.empty() ? !all && now < since_ + 10 * options_.lease
                   : !all && now < since_ + options_.lease)
    return;
  Instant t0 = unmapped_->by_wall;
  if (!maps.empty()) {
    std::sort(maps.begin(), maps.end());
    t0 = maps[maps.size() / 2];
    Emit({.what =
              Notice{"the controller's host was booted anew; the run's clock comes from " +
                     std::to_string(maps.size()) + " agents, which differ by " +
                     std::to_string((maps.back() - maps.front()) / std::chrono::microseconds(1)) +
                     " us"}});
  }
  const std::optional<StopWanted> stop = std::move(unmapped_->stop);
  unmapped_.reset();
  Resume(now, t0, 1);
  for (auto& [agent, member] : members_)
    if (!member.away && !member.lost && member.announced) Announce(now, agent, member);
  if (stop && !stopping_) BeginStop(now, stop->end_as, stop->reason);
}

/// r is known: what may have been granted, and whether the run may go on.
void RunCore::Resume(Instant now, Instant t0, IntervalIndex margin) {
  t0_ = t0;
  const RunTime r = RunNow(now);
  const rate::Deal& deal = deals_.back();
  const IntervalIndex assumed = std::max(
      deal.first - 1,
      std::min(IntervalOf(r + options_.lease, spec_.plan->interval) + margin, LastInterval()));
  for (const Incarnation& owner : deal.owners) {
    IntervalIndex& granted = members_[owner].granted.try_emplace(deal.epoch, assumed).first->second;
    if (members_[owner].away) granted = assumed;
  }
  if (stopping_) return;
  const Nanos away =
      r - std::max(RunTime{}, IntervalStart(newest_stored_ + 1, spec_.plan->interval));
  if (r >= end_) {
    past_end_ = true;
    state_ = RunState::kDraining;
  } else if (away > 10 * options_.lease) {
    BeginStop(now, RunState::kFailed,
              "the controller was away for " + std::to_string(away / std::chrono::seconds(1)) +
                  " s; a run goes on after at most " +
                  std::to_string(10 * options_.lease / std::chrono::seconds(1)) + " s");
  }
}

/// Had all owners been granted the schedule to its end, and did they deliver what became of it?
bool RunCore::Covered() const {
  const rate::Deal& deal = deals_.back();
  return std::all_of(deal.owners.begin(), deal.owners.end(), [&](const Incarnation& owner) {
    const Member& member = members_.at(owner);
    const auto granted = member.granted.find(deal.epoch);
    return member.final_stored && granted != member.granted.end() &&
           granted->second >= LastInterval();
  });
}

}  // namespace broadside::controller
