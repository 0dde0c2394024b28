#include "tests/sim/laws.h"

#include <algorithm>

#include "common/base/check.h"
#include "controller/merge/ledger.h"

namespace broadside::sim {

using controller::RunState;

Laws::RunBook& Laws::RunOf(const RunId& run) {
  const auto it = runs_.find(run);
  BROADSIDE_CHECK(it != runs_.end());
  return it->second;
}

std::string Laws::Name(const RunId& run, Incarnation agent) {
  return "run " + run.value() + ", incarnation " + std::to_string(agent.value());
}

void Laws::Submitted(const controller::RunSpec& spec) {
  RunBook& run = runs_[spec.run];
  run.spec = spec;
  for (const rate::Segment& segment : spec.segments) {
    Segment book{.compiled = *rate::CompiledSegment::Make(segment)};
    for (uint64_t i = 0; i < book.compiled->Count(); ++i)
      book.arrivals.push_back(book.compiled->At(i));
    book.marks.resize(book.arrivals.size());
    arrivals_ += book.arrivals.size();
    run.end = std::max(run.end, book.compiled->end());
    run.segments.push_back(std::move(book));
  }
}

// ---- What the controller says ----------------------------------------------------------------

void Laws::Sent(Instant now, Incarnation agent, const wire::ControllerMessage& message) {
  if (const auto* entry = std::get_if<wire::Entry>(&message)) {
    if (entry->number > RunOf(entry->run).entries)
      Break("entry " + std::to_string(entry->number) + " was announced before it was durable");
  } else if (const auto* start = std::get_if<wire::Start>(&message)) {
    const RunBook& run = RunOf(start->run);
    if (run.gap) Break("a run started whose schedule is not wholly durable");
    if (!run.started) Break("T0 was announced before it was durable");
    if (run.t0 != start->t0) Break("another T0 was announced than was stored");
  } else if (const auto* grant = std::get_if<wire::Grant>(&message)) {
    GrantSent(now, RunOf(grant->run), agent, *grant);
  } else if (const auto* ack = std::get_if<wire::SnapshotAck>(&message)) {
    const AgentBook& book = RunOf(ack->run).agents[ack->incarnation];
    for (const uint64_t sequence : ack->sequences)
      if (!book.durable.contains(sequence))
        Break(Name(ack->run, agent) + ": snapshot " + std::to_string(sequence) +
              " was acknowledged before it was durable");
  } else if (const auto* stop = std::get_if<wire::Stop>(&message)) {
    RunBook& run = RunOf(stop->run);
    if (!run.stop_end || stop->end < *run.stop_end) run.stop_end = stop->end;
    if (!run.stop_decided) run.stop_decided = now;
  }
}

void Laws::GrantSent(Instant now, RunBook& run, Incarnation agent, const wire::Grant& grant) {
  AgentBook& book = run.agents[agent];
  const std::string who = Name(grant.run, agent);
  const auto deal = run.deals.find(grant.epoch);
  if (deal == run.deals.end()) return Break(who + ": a grant under an epoch that is not durable");
  const Nanos length = run.spec.plan->interval;
  if (std::find(deal->second.owners.begin(), deal->second.owners.end(), agent) ==
      deal->second.owners.end())
    Break(who + ": a grant to somebody who is no owner");
  if (grant.entries > run.entries) Break(who + ": a grant presumes entries that are not durable");
  if (grant.last > IntervalOf(RunTime(now - *run.t0) + lease_, length) &&
      grant.last > book.granted[grant.epoch])
    Break(who + ": a grant past the interval of r + D");
  if (grant.last >= deal->second.first && IntervalStart(grant.last, length) >= run.end)
    Break(who + ": a grant past the last stored segment");
  if (run.stop_end && grant.last >= deal->second.first &&
      IntervalStart(grant.last, length) >= *run.stop_end)
    Break(who + ": a grant past the end of a stop");
  for (const auto& [epoch, other] : run.deals)
    if (epoch > grant.epoch && grant.last >= other.first)
      Break(who + ": a grant of intervals that a later epoch has");
  if (!book.last_ask_local || grant.asked > *book.last_ask_local)
    Break(who + ": a grant for an ask that was never made");
  IntervalIndex& granted =
      book.granted.try_emplace(grant.epoch, deal->second.first - 1).first->second;
  granted = std::max(granted, grant.last);
}

void Laws::Entry(RunBook& run, const wire::Entry& entry) {
  if (!run.started && entry.number == 1) {
    // A controller that died before T0 left a schedule that nobody heard of; this one replaces it.
    run.entries = 0;
    run.gap = false;
    run.deals.clear();
  }
  if (entry.number <= run.entries) return Break("a durable schedule entry was written again");
  run.gap |= entry.number != run.entries + 1;
  run.entries = entry.number;
  const auto* deal = std::get_if<rate::Deal>(&entry.what);
  if (deal == nullptr) return;
  if (!run.deals.empty()) {
    const rate::Deal& last = run.deals.rbegin()->second;
    if (deal->epoch.value() != last.epoch.value() + 1) Break("epochs do not rise one by one");
    if (deal->first < last.first) Break("an epoch starts before the one that it replaces");
    const auto owners = [](const rate::Deal& table) {
      std::vector<std::optional<Incarnation>> of;
      for (const int32_t slot : table.slots)
        of.push_back(slot == rate::Deal::kNobody ? std::optional<Incarnation>()
                                                 : table.owners[static_cast<size_t>(slot)]);
      return of;
    };
    if (owners(*deal) == owners(last)) Break("an epoch deals just as the one before");
  }
  for (const auto& [agent, book] : run.agents)
    for (const auto& [epoch, granted] : book.granted)
      if (granted >= deal->first)
        Break("epoch " + std::to_string(deal->epoch.value()) + " starts at interval " +
              std::to_string(deal->first) + ", which " + Name(entry.run, agent) +
              " was granted under epoch " + std::to_string(epoch.value()));
  for (size_t i = 0; i < deal->owners.size(); ++i) {
    const bool has_slot = std::find(deal->slots.begin(), deal->slots.end(),
                                    static_cast<int32_t>(i)) != deal->slots.end();
    if (has_slot && !run.agents[deal->owners[i]].prepared)
      Break(Name(entry.run, deal->owners[i]) + " was dealt a share before it was ready");
  }
  run.deals[deal->epoch] = *deal;
}

void Laws::Decided(const RunId& run, const wire::Entry& entry) {
  if (RunOf(run).closing) Break("a schedule entry was decided after the run was closed");
  const auto* deal = std::get_if<rate::Deal>(&entry.what);
  if (deal == nullptr) return;
  for (const int32_t slot : deal->slots)
    if (slot != rate::Deal::kNobody && gone_.contains(deal->owners[static_cast<size_t>(slot)]))
      return Break("epoch " + std::to_string(deal->epoch.value()) + " deals a share to " +
                   Name(run, deal->owners[static_cast<size_t>(slot)]) + ", whose stream broke");
}

void Laws::Durable(Instant, const StoreOp& op) {
  RunBook& run = RunOf(op.run);
  if (const auto* state = std::get_if<controller::StoreState>(&op.what)) {
    if (run.closed && !controller::IsEnded(state->state))
      Break("run " + op.run.value() + " was stored as going on after its end");
    run.closed |= controller::IsEnded(state->state);
  } else if (const auto* start = std::get_if<controller::StoreStart>(&op.what)) {
    if (run.started) Break("T0 was stored twice");
    run.started = true;
    run.t0 = start->t0;
  } else if (std::holds_alternative<controller::StoreStop>(op.what)) {
    run.stop_durable = true;
  } else if (const auto* given = std::get_if<controller::StoreAgent>(&op.what)) {
    run.agents[given->agent.incarnation].given_durable = true;
  } else if (const auto* entry = std::get_if<controller::StoreEntry>(&op.what)) {
    Entry(run, entry->entry);
  } else if (const auto* snapshot = std::get_if<controller::StoreSnapshot>(&op.what)) {
    run.agents[snapshot->snapshot->incarnation].durable.insert(snapshot->snapshot->sequence);
  } else if (std::holds_alternative<controller::CloseRun>(op.what)) {
    if (run.closed) Break("run " + op.run.value() + " was closed twice");
    run.closed = true;
  }
}

void Laws::Given(const RunId& run, Incarnation agent) {
  for (auto& [other, book] : runs_) {
    if (other == run) continue;
    const auto it = book.agents.find(agent);
    if (it != book.agents.end() && it->second.given && !it->second.freed)
      Break(Name(run, agent) + " was given before run " + other.value() + " had freed it");
  }
  AgentBook& book = RunOf(run).agents[agent];
  if (book.given && book.freed) Break(Name(run, agent) + " was given again after it was freed");
  book.given = true;
}

void Laws::Freed(const RunId& run, Incarnation agent) {
  AgentBook& book = RunOf(run).agents[agent];
  if (!book.given && !book.given_durable) Break(Name(run, agent) + " was freed but never given");
  if (book.freed) Break(Name(run, agent) + " was freed twice");
  book.freed = true;
}

void Laws::AskReceived(Instant now, Incarnation agent, const RunId& run) {
  if (runs_.contains(run)) RunOf(run).agents[agent].last_ask_received = now;
}

void Laws::PreparedReceived(Incarnation agent, const RunId& run) {
  RunOf(run).agents[agent].prepared = true;
}

void Laws::Crashed() {
  gone_.clear();
  for (auto& [id, run] : runs_) {
    std::erase_if(run.folded, [&run = run](const auto& snapshot) {
      return !run.agents[snapshot.first].durable.contains(snapshot.second);
    });
    for (auto& [agent, book] : run.agents) {
      book.away = true;
      // Who does not say that it holds the run is free.
      book.given = book.freed = run.closed;
    }
    if (run.closed) continue;
    run.closing = false;
    if (run.stop_durable) continue;
    run.stop_decided.reset();
    run.stop_end.reset();
  }
}

void Laws::Met(const wire::Hello& hello) {
  for (const wire::HeldRun& held : hello.held) {
    const auto run = runs_.find(held.run);
    if (run == runs_.end()) continue;
    AgentBook& book = run->second.agents[hello.incarnation];
    if (!std::exchange(book.away, false)) continue;
    book.given |= book.given_durable && run->second.started && !run->second.closed;
    book.granted.clear();
    for (const auto& grant : held.grants) book.granted[grant.epoch] = grant.last;
  }
}

void Laws::StopDecided(Instant now, const RunId& run) {
  RunBook& book = RunOf(run);
  if (!book.stop_decided) book.stop_decided = now;
}

void Laws::SnapshotFolded(Incarnation agent, const RunId& run, uint64_t sequence) {
  RunOf(run).folded.insert({agent, sequence});
}

// ---- The end ---------------------------------------------------------------------------------

void Laws::CheckGrantFacts(RunBook& run, const controller::CloseRun& close) {
  for (const controller::GrantFact& fact : close.grants) {
    const AgentBook& book = run.agents[fact.owner];
    const auto granted = book.granted.find(fact.epoch);
    IntervalIndex truth = granted == book.granted.end() ? fact.first - 1 : granted->second;
    if (close.stopped)
      truth = std::min(truth, IntervalOf(close.stop_end - Nanos(1), run.spec.plan->interval));
    if (fact.last < truth)
      Break(Name(run.spec.run, fact.owner) + ": the close says it was granted interval " +
            std::to_string(fact.last) + " of epoch " + std::to_string(fact.epoch.value()) +
            ", it was granted " + std::to_string(truth));
  }
}

void Laws::Closing(const controller::CloseRun& close, const RunId& run) {
  RunBook& book = RunOf(run);
  if (book.closing) Break("run " + run.value() + " was closed twice");
  book.closing = true;
  CheckGrantFacts(book, close);
}

void Laws::Closed(Instant, const RunId& id, const controller::CloseRun& close,
                  const merge::RunMerge& live, const merge::RunMerge& stored) {
  RunBook& run = RunOf(id);
  const auto folds = [](const merge::RunMerge& merge) {
    uint64_t sum = 0;
    for (const auto& [k, interval] : merge.intervals()) sum += interval.snapshots;
    return sum;
  };
  if (folds(live) != run.folded.size())
    Break("run " + id.value() + ": the live view folded " + std::to_string(folds(live)) +
          " snapshots, " + std::to_string(run.folded.size()) + " different ones came");

  merge::CloseFacts facts;
  if (close.stopped) facts.stopped_at = close.stop_end;
  std::map<ShardEpoch, std::shared_ptr<const rate::Deal>> deals;
  for (const rate::Deal& deal : close.deals)
    deals[deal.epoch] = std::make_shared<const rate::Deal>(deal);
  for (const controller::GrantFact& grant : close.grants)
    facts.grants.push_back({grant.owner, deals[grant.epoch], grant.first, grant.last});
  const merge::Ledger ledger = merge::CloseLedger(stored, facts);
  report::LedgerTotals total;
  for (const auto& [row, totals] : ledger.rows) merge::AddTotals(total, totals);

  // The same from our own books: every arrival of the schedule, one by one.
  const Nanos length = run.spec.plan->interval;
  const RunTime end = close.stopped ? std::min(run.end, close.stop_end) : run.end;
  uint64_t scheduled = 0, unowned = 0, sent_truth = 0, beyond = 0;
  std::map<Incarnation, uint64_t> taken;
  for (const Segment& segment : run.segments)
    for (size_t i = 0; i < segment.arrivals.size(); ++i) {
      const rate::Arrival& arrival = segment.arrivals[i];
      sent_truth += segment.marks[i].sent;
      if (arrival.due >= end) {
        ++beyond;
        continue;
      }
      if (segment.marks[i].taken) ++taken[segment.marks[i].by];
      ++scheduled;
      const IntervalIndex k = IntervalOf(arrival.due, length);
      const bool owned =
          std::any_of(close.grants.begin(), close.grants.end(), [&](const auto& grant) {
            if (k < grant.first || k > grant.last) return false;
            const rate::Deal& deal = *deals[grant.epoch];
            const int32_t slot =
                deal.slots[segment.compiled->SlotOf(arrival.index, deal.slots.size())];
            return slot != rate::Deal::kNobody &&
                   deal.owners[static_cast<size_t>(slot)] == grant.owner;
          });
      unowned += !owned;
    }
  const std::string head = "run " + id.value() + ": the ledger ";
  const auto n = [](uint64_t value) { return std::to_string(value); };
  if (total.mismatch != 0) Break(head + "does not close, by " + std::to_string(total.mismatch));
  if (total.scheduled < scheduled || total.scheduled > scheduled + beyond)
    Break(head + "says scheduled " + n(total.scheduled) + ", the schedule has " + n(scheduled));
  if (total.unowned != unowned)
    Break(head + "says unowned " + n(total.unowned) + ", nobody was granted " + n(unowned));
  if (sent_truth < total.sent || sent_truth > total.sent + total.unreported)
    Break(head + "says sent " + n(total.sent) + " and unreported " + n(total.unreported) +
          ", the target saw " + n(sent_truth));
  // Whoever was not lost has told of all that it took up. What it was granted and never heard of
  // stays unreported.
  for (const auto& [agent, share] : ledger.agents) {
    const bool lost = std::find(close.lost.begin(), close.lost.end(), agent) != close.lost.end();
    if (!lost && share.unreported != share.granted - taken[agent])
      Break(Name(id, agent) + " was granted " + n(share.granted) + " arrivals and took up " +
            n(taken[agent]) + ", but " + n(share.unreported) + " are unreported");
  }
}

void Laws::Ended(const RunId& run, RunState) { RunOf(run).ended = true; }

// ---- Agents ----------------------------------------------------------------------------------

void Laws::Hello(const wire::Hello& hello) {
  for (auto& [id, run] : runs_) {
    const auto it = run.agents.find(hello.incarnation);
    if (it == run.agents.end()) continue;
    for (const wire::HeldRun& held : hello.held) {
      if (held.run != id) continue;
      std::map<ShardEpoch, IntervalIndex> told;
      for (const auto& grant : held.grants) told[grant.epoch] = grant.last;
      if (told != it->second.heard)
        Break(Name(id, hello.incarnation) + ": hello does not tell the grants it has heard");
    }
    if (!it->second.stop_heard) continue;
    for (const wire::HeldRun& held : hello.held)
      if (held.run == id && (!held.stopped || held.stop_end != *it->second.stop_heard))
        Break(Name(id, hello.incarnation) + ": hello does not repeat the stop it has heard");
  }
}

void Laws::Asked(Incarnation agent, const RunId& run, Instant local) {
  if (runs_.contains(run)) RunOf(run).agents[agent].last_ask_local = local;
}

void Laws::Heard(Instant, Incarnation agent, const wire::ControllerMessage& message) {
  uint64_t& highest = highest_controller_[agent];
  if (const auto* welcome = std::get_if<wire::Welcome>(&message)) {
    highest = std::max(highest, welcome->controller_incarnation);
  } else if (const auto* grant = std::get_if<wire::Grant>(&message)) {
    if (grant->controller_incarnation < highest) return;
    AgentBook& book = RunOf(grant->run).agents[agent];
    const Instant end = grant->asked + lease_;
    if (!book.lease_end || end > *book.lease_end) book.lease_end = end;
    IntervalIndex& heard = book.heard.try_emplace(grant->epoch, grant->last).first->second;
    heard = std::max(heard, grant->last);
  } else if (const auto* stop = std::get_if<wire::Stop>(&message)) {
    if (stop->controller_incarnation < highest) return;
    AgentBook& book = RunOf(stop->run).agents[agent];
    if (!book.stop_heard || stop->end < *book.stop_heard) book.stop_heard = stop->end;
  }
}

void Laws::ClockSet(const ClockFit& before, const ClockFit& after) {
  const Nanos step = after.RunAt(after.local_at) - before.RunAt(after.local_at);
  if (step > Nanos(1) || step < Nanos(-1))
    Break("the run clock stepped by " + std::to_string(step.count()) + " ns");
  if (after.slew_ppm > 500 || after.slew_ppm < -500)
    Break("the run clock slews by " + std::to_string(after.slew_ppm) + " ppm");
}

void Laws::LoopGranted(Incarnation agent, const RunId& id, uint32_t loop, ShardEpoch epoch,
                       IntervalIndex last, Instant lease_end, Instant local, RunTime now) {
  RunBook& run = RunOf(id);
  LoopBook& loop_book = run.agents[agent].loops[loop];
  if (!loop_book.lease_end || local >= *loop_book.lease_end)
    loop_book.lapsed_before = std::max(loop_book.lapsed_before, now);
  if (!loop_book.lease_end || lease_end > *loop_book.lease_end) loop_book.lease_end = lease_end;
  const auto deal = run.deals.find(epoch);
  if (deal == run.deals.end()) return;
  std::vector<Late>& grants = loop_book.grants[epoch];
  const Nanos length = run.spec.plan->interval;
  const RunTime from =
      grants.empty() ? IntervalStart(deal->second.first, length) : grants.back().to;
  const RunTime to = IntervalStart(last + 1, length);
  if (to > from) grants.push_back({from, to, now});
}

void Laws::LoopStopped(Incarnation agent, const RunId& run, uint32_t loop) {
  RunOf(run).agents[agent].loops[loop].stopped = true;
}

bool Laws::MaySend(const RunBook& run, Incarnation agent, const AgentBook& book,
                   const rate::Arrival& arrival) const {
  const IntervalIndex k = IntervalOf(arrival.due, run.spec.plan->interval);
  const auto& compiled = *run.segments[arrival.segment.value()].compiled;
  return std::any_of(book.granted.begin(), book.granted.end(), [&](const auto& grant) {
    const rate::Deal& deal = run.deals.at(grant.first);
    if (k < deal.first || k > grant.second) return false;
    const int32_t slot = deal.slots[compiled.SlotOf(arrival.index, deal.slots.size())];
    return slot != rate::Deal::kNobody && deal.owners[static_cast<size_t>(slot)] == agent;
  });
}

void Laws::Taken(Instant now, Incarnation agent, const RunId& id, uint32_t loop,
                 const rate::Arrival& arrival, bool permitted, Instant local, RunTime at) {
  RunBook& run = RunOf(id);
  AgentBook& book = run.agents[agent];
  const std::string what = Name(id, agent) + ": arrival " +
                           std::to_string(arrival.segment.value()) + "/" +
                           std::to_string(arrival.index);
  if (arrival.segment.value() >= run.segments.size()) return Break(what + " does not exist");
  Segment& segment = run.segments[arrival.segment.value()];
  if (arrival.index >= segment.arrivals.size() || !(segment.arrivals[arrival.index] == arrival))
    return Break(what + " is not in the schedule");
  Mark& mark = segment.marks[arrival.index];
  if (mark.taken) Break(what + " was taken up before, by " + std::to_string(mark.by.value()));
  mark = {.taken = true, .by = agent};
  ++book.taken;
  if (!MaySend(run, agent, book, arrival)) Break(what + " was not granted to it");
  if (arrival.due > at) Break(what + " was taken up before it was due");
  if (!permitted) {
    ++book.expired_taken;
    return;
  }
  if (!book.lease_end || local >= *book.lease_end) Break(what + " is permitted without a lease");
  if (!book.last_ask_received || now > *book.last_ask_received + lease_ + lease_ / 100)
    Break(what + " is permitted more than 1.01 D after the last ask was received");
  if (run.stop_decided && now > *run.stop_decided + lease_ + lease_ / 100)
    Break(what + " is permitted more than 1.01 D after the run was stopped");
  LoopBook& loop_book = book.loops[loop];
  if (loop_book.stopped) Break(what + " is permitted after a stop was heard");
  if (arrival.due < loop_book.lapsed_before)
    Break(what + " was due before the lease was renewed after a lapse, and is permitted");
  const IntervalIndex k = IntervalOf(arrival.due, run.spec.plan->interval);
  for (const auto& [epoch, grants] : loop_book.grants) {
    const rate::Deal& deal = run.deals.at(epoch);
    const int32_t slot = deal.slots[segment.compiled->SlotOf(arrival.index, deal.slots.size())];
    if (k < deal.first || slot == rate::Deal::kNobody ||
        deal.owners[static_cast<size_t>(slot)] != agent)
      continue;
    for (const Late& grant : grants)
      if (arrival.due >= grant.from && arrival.due < grant.to && arrival.due < grant.at)
        Break(what + " was due before its grant came and is permitted");
  }
}

void Laws::Became(Incarnation agent, const RunId& id, const rate::Arrival& arrival, Fate fate,
                  Instant checked) {
  RunBook& run = RunOf(id);
  AgentBook& book = run.agents[agent];
  if (fate == Fate::kDropped) ++book.dropped;
  if (fate != Fate::kSent) return;
  ++book.sent;
  ++sent_;
  Mark& mark = run.segments[arrival.segment.value()].marks[arrival.index];
  if (!mark.taken || mark.by != agent)
    Break(Name(id, agent) + " sent an arrival that it had not taken up");
  if (std::exchange(mark.sent, true))
    Break(Name(id, agent) + " sent arrival " + std::to_string(arrival.segment.value()) + "/" +
          std::to_string(arrival.index) + " a second time");
  if (book.final_made) Break(Name(id, agent) + " sent after its final totals");
  if (!book.lease_end || checked >= *book.lease_end)
    Break(Name(id, agent) + " sent without a lease");
}

void Laws::SnapshotMade(const stats::Snapshot& snapshot) {
  AgentBook& book = RunOf(snapshot.run).agents[snapshot.incarnation];
  const std::string who = Name(snapshot.run, snapshot.incarnation);
  if (snapshot.sequence != book.last_sequence + 1) Break(who + ": a snapshot's number jumps");
  book.last_sequence = snapshot.sequence;
  stats::Counters sum;
  for (const auto& row : snapshot.counters) {
    if (!row.counters.Closes()) Break(who + ": a snapshot's ledger does not close");
    sum.Add(row.counters);
  }
  if (sum.scheduled < book.last.scheduled || sum.sent < book.last.sent ||
      sum.expired < book.last.expired)
    Break(who + ": a cumulative counter fell");
  if (sum.scheduled > book.taken || sum.sent > book.sent) Break(who + ": it counts too much");
  book.last = sum;
  if (!snapshot.final_totals) return;
  book.final_made = true;
  if (sum.waiting != 0 || sum.in_flight != 0) Break(who + ": final totals, but not all has ended");
  if (sum.scheduled != book.taken || sum.sent != book.sent || sum.dropped != book.dropped)
    Break(who + ": the final totals are not what happened");
  CheckAccounted(RunOf(snapshot.run), snapshot.incarnation, book);
}

/// All that every loop knew to be granted has been taken up.
void Laws::CheckAccounted(const RunBook& run, Incarnation agent, const AgentBook& book) {
  const Nanos length = run.spec.plan->interval;
  const RunTime end = std::min(run.end, book.stop_heard.value_or(RunTime::max()));
  for (const auto& [epoch, deal] : run.deals) {
    RunTime known = RunTime::max();
    for (const auto& [index, loop] : book.loops) {
      const auto grants = loop.grants.find(epoch);
      known = std::min(known, grants == loop.grants.end() || grants->second.empty()
                                  ? RunTime::min()
                                  : grants->second.back().to);
    }
    if (book.loops.empty() || known == RunTime::min()) continue;
    const RunTime from = IntervalStart(deal.first, length);
    for (const Segment& segment : run.segments)
      for (size_t i = 0; i < segment.arrivals.size(); ++i) {
        const rate::Arrival& arrival = segment.arrivals[i];
        if (segment.marks[i].taken || arrival.due < from || arrival.due >= std::min(known, end))
          continue;
        const int32_t slot = deal.slots[segment.compiled->SlotOf(i, deal.slots.size())];
        if (slot != rate::Deal::kNobody && deal.owners[static_cast<size_t>(slot)] == agent)
          Break(Name(run.spec.run, agent) + ": final totals without arrival " +
                std::to_string(arrival.segment.value()) + "/" + std::to_string(i) +
                ", which it knew to be granted");
      }
  }
}

void Laws::Dropped(Incarnation agent, const RunId& id) {
  AgentBook& book = RunOf(id).agents[agent];
  for (uint64_t sequence = 1; sequence <= book.last_sequence; ++sequence)
    if (!book.durable.contains(sequence) && book.taken > 0)
      Break(Name(id, agent) + " let snapshot " + std::to_string(sequence) +
            " go, which is not durable");
  // Should it be given the same run again, its numbers start anew.
  if (book.taken == 0) {
    book.last_sequence = 0;
    book.last = {};
    book.final_made = false;
    book.loops.clear();
    book.heard.clear();
    book.stop_heard.reset();
  }
}

void Laws::Killed(Incarnation agent) {
  for (auto& [id, run] : runs_)
    if (const auto it = run.agents.find(agent); it != run.agents.end()) it->second.killed = true;
}

}  // namespace broadside::sim
