#include "agent/control/agent_core.h"

#include <algorithm>
#include <utility>

#include "common/base/mutants.h"

namespace broadside::agent {
namespace {

constexpr Nanos kQuickRetry = std::chrono::milliseconds(250);
constexpr Nanos kSlowestRetry = std::chrono::seconds(10);
/// A fresh stream measures the clock a few times in a row, so that one slow round trip does not
/// rule.
constexpr int kQuickBeats = 5;
constexpr Nanos kQuickBeat = std::chrono::milliseconds(50);

size_t SizeOf(const wire::SnapshotEnvelope& envelope) { return envelope.body.size() + 128; }

}  // namespace

AgentCore::AgentCore(AgentCoreOptions options) : options_(std::move(options)) {}

void AgentCore::Step(Instant now, CoreEvent event) {
  std::visit([this, now](auto& e) { On(now, e); }, event);
  Tick(now);
}

void AgentCore::Tick(Instant now) {
  if (stream_ == Stream::kDown && now >= next_try_ && !exited_) {
    stream_ = Stream::kOpening;
    heard_ = now;
    giving_up_ = deaf_ = false;
    actions_.push_back(OpenStream{});
  }
  if (stream_ != Stream::kDown && !giving_up_ && now >= heard_ + options_.lease) {
    giving_up_ = true;
    actions_.push_back(CloseStream{
        "no answer for " + std::to_string(options_.lease / std::chrono::seconds(1)) + " s"});
  }
  if (stream_ == Stream::kUp && now >= next_beat_) Beat(now);
  if (draining_ && !run_ && outbox_.empty() && !exited_) {
    exited_ = true;
    actions_.push_back(Exit{});
  }
}

std::optional<Instant> AgentCore::NextDeadline() const {
  if (exited_) return std::nullopt;
  if (stream_ == Stream::kDown) return next_try_;
  const Instant silence = heard_ + options_.lease;
  if (stream_ == Stream::kUp) return giving_up_ ? next_beat_ : std::min(next_beat_, silence);
  return giving_up_ ? std::nullopt : std::optional(silence);
}

std::vector<CoreAction> AgentCore::TakeActions() { return std::exchange(actions_, {}); }

std::string AgentCore::status() const {
  if (stream_ != Stream::kUp) return "waiting for a controller";
  if (run_) return "run " + run_->assignment.run.value();
  return draining_ ? "draining" : "idle";
}

// ---- The stream ------------------------------------------------------------------------------

void AgentCore::On(Instant now, StreamUp&) {
  stream_ = Stream::kUp;
  backoff_ = Nanos(0);
  wire::Hello hello = options_.hello;
  if (run_) hello.held.push_back(Held(now));
  actions_.push_back(Say{std::move(hello)});
  quick_beats_ = kQuickBeats;
  next_beat_ = now;
}

/// All that a controller which died could not tell the one that follows it.
wire::HeldRun AgentCore::Held(Instant now) {
  wire::HeldRun held{.run = run_->assignment.run,
                     .entries = run_->entries,
                     .last_sequence = run_->last_sequence,
                     .stopped = run_->stop_end.has_value() && !MutantIs(Mutant::kStopForgotten),
                     .stop_end = run_->stop_end.value_or(RunTime{}),
                     .stop_reason = run_->stop_reason,
                     .stop_as = run_->stop_as,
                     .grants_known = true};
  for (const auto& [epoch, last] : run_->granted) held.grants.push_back({epoch, last});
  if (run_->clock) held.run_now = run_->clock->RunAt(now);
  return held;
}

void AgentCore::On(Instant now, StreamDown& event) {
  if (stream_ == Stream::kUp) {
    down_since_ = now;
    actions_.push_back(Log{"lost the controller: " + event.reason, true});
  }
  stream_ = Stream::kDown;
  for (Outgoing& item : outbox_) item.sent = false;
  // Within a lease a quick return saves the shard; later there is no hurry.
  const bool hurry = run_ && now < down_since_ + options_.lease;
  backoff_ = hurry ? kQuickRetry : std::clamp(2 * backoff_, kQuickRetry, kSlowestRetry);
  next_try_ = now + backoff_;
}

void AgentCore::Beat(Instant now) {
  actions_.push_back(
      Say{wire::Heartbeat{now, run_ ? run_->assignment.run : RunId(), run_ ? run_->entries : 0}});
  ResendUnanswered(now);
  if (quick_beats_ > 0) --quick_beats_;
  next_beat_ = now + (quick_beats_ > 0 ? kQuickBeat : options_.lease / 3);
}

void AgentCore::On(Instant now, FromController& event) {
  if (deaf_) return;
  heard_ = now;
  std::visit([this, now, &event](auto& message) { Hear(now, event.received, message); },
             event.message);
}

/// Agents obey only the highest controller incarnation they have seen.
bool AgentCore::Obeys(uint64_t controller_incarnation) {
  if (MutantIs(Mutant::kOldControllerObeyed)) return true;
  if (controller_incarnation < controller_incarnation_) return false;
  controller_incarnation_ = controller_incarnation;
  return true;
}

void AgentCore::Hear(Instant now, Instant, wire::Welcome& message) {
  if (!Obeys(message.controller_incarnation)) {
    // Whatever else it says, acknowledgements too, is about a store that is not the last one's.
    deaf_ = giving_up_ = true;
    actions_.push_back(CloseStream{"it is a controller older than the last one"});
    return;
  }
  if (!message.no_shard.empty()) actions_.push_back(Log{"no shard: " + message.no_shard, true});
  if (draining_) actions_.push_back(Say{wire::Drain{}});
  SendOutbox(now);
}

void AgentCore::Hear(Instant now, Instant received, wire::HeartbeatReply& message) {
  if (message.boot_id != clock_boot_) {
    // The controller's host was booted anew. A run's map holds until its T0 comes on that clock.
    if (run_ && run_->t0 && message.boot_id != run_->boot_id) return;
    clock_.ChangeRemote(run_ && run_->t0 ? *run_->t0 : Instant{});
    clock_boot_ = message.boot_id;
  }
  clock_.AddSample(message.sent, message.received, message.answered, received);
  PublishClock(now);
}

void AgentCore::PublishClock(Instant now) {
  if (!run_ || !run_->t0 || !clock_.ready()) return;
  run_->clock = clock_.Fit(now);
  actions_.push_back(SetRunClock{*run_->clock, clock_.Bound(now), clock_.PendingSlew(now)});
}

// ---- A run -----------------------------------------------------------------------------------

void AgentCore::Hear(Instant now, Instant, wire::Assignment& message) {
  if (!Obeys(message.controller_incarnation)) return;
  if (IsMine(message.run)) {  // asked again after a break: the answer stands
    if (run_->prepared)
      actions_.push_back(
          Say{wire::Prepared{message.run, run_->prepared->error, run_->prepared->warnings}});
    return;
  }
  if (run_) {
    actions_.push_back(Say{wire::Prepared{
        message.run,
        "still busy with run " + run_->assignment.run.value() + "; try again when it has closed",
        {}}});
    return;
  }
  run_ = ActiveRun{.assignment = message};
  actions_.push_back(PrepareRun{std::move(message)});
  next_beat_ = now;  // the first lease needs an ask
}

void AgentCore::On(Instant, RunPrepared& event) {
  if (!IsMine(event.run)) return;
  run_->prepared = event;
  if (stream_ == Stream::kUp)
    actions_.push_back(Say{wire::Prepared{event.run, event.error, event.warnings}});
  if (!event.error.empty()) {
    actions_.push_back(DropRun{event.run});
    run_.reset();
  }
}

void AgentCore::Hear(Instant, Instant, wire::Entry& message) {
  if (!IsMine(message.run) || message.number != run_->entries + 1)
    return;  // a repeat after a break
  run_->entries = message.number;
  if (auto* deal = std::get_if<rate::Deal>(&message.what);
      deal != nullptr && MutantIs(Mutant::kNobodyIsMe))
    std::replace(deal->slots.begin(), deal->slots.end(), rate::Deal::kNobody, 0);
  actions_.push_back(ApplyEntry{std::move(message)});
}

void AgentCore::Hear(Instant now, Instant, wire::Start& message) {
  if (!IsMine(message.run) || (run_->t0 && run_->boot_id == message.boot_id)) return;
  if (run_->t0) {
    clock_.ChangeRemote(message.t0);
    clock_boot_ = message.boot_id;
  } else {
    clock_.SetStart(message.t0);
  }
  run_->t0 = message.t0;
  run_->boot_id = message.boot_id;
  PublishClock(now);
}

void AgentCore::Hear([[maybe_unused]] Instant now, Instant, wire::Grant& message) {
  if (!IsMine(message.run) || !Obeys(message.controller_incarnation)) return;
  if (message.entries > run_->entries) return;  // presumes entries we do not hold
  IntervalIndex& last = run_->granted.try_emplace(message.epoch, message.last).first->second;
  last = std::max(last, message.last);
  const Instant from = MutantIs(Mutant::kLeaseFromReceipt) ? now : message.asked;
  actions_.push_back(GrantLease{message.epoch, message.last, from + options_.lease});
}

void AgentCore::Hear(Instant, Instant, wire::Stop& message) {
  if (!IsMine(message.run) || !Obeys(message.controller_incarnation)) return;
  if (run_->stop_end && *run_->stop_end <= message.end) return;
  run_->stop_end = message.end;
  run_->stop_reason = message.reason;
  run_->stop_as = message.end_as;
  actions_.push_back(Log{"run " + message.run.value() + " stops: " + message.reason});
  actions_.push_back(StopEngine{message.end});
  actions_.push_back(FinishEngine{message.end});
}

void AgentCore::Hear(Instant, Instant, wire::Finish& message) {
  if (IsMine(message.run)) actions_.push_back(FinishEngine{message.end});
}

void AgentCore::Hear(Instant, Instant, wire::Release& message) {
  if (!IsMine(message.run)) return;
  if (!run_->t0) {
    outbox_.clear();
    outbox_bytes_ = 0;
  }
  run_->released = true;
  ForgetIfDone();
}

void AgentCore::ForgetIfDone() {
  if (!run_ || !run_->released) return;
  if (!outbox_.empty() && !MutantIs(Mutant::kOutboxForgotten)) return;
  actions_.push_back(DropRun{run_->assignment.run});
  run_.reset();
}

void AgentCore::On(Instant now, DrainWanted&) {
  if (draining_) return;
  draining_ = true;
  if (stream_ == Stream::kUp) actions_.push_back(Say{wire::Drain{}});
  Tick(now);
}

// ---- Snapshots -------------------------------------------------------------------------------

void AgentCore::On(Instant now, SnapshotMade& event) {
  if (!IsMine(event.full.run)) return;
  run_->last_sequence = std::max(run_->last_sequence, event.full.sequence);
  outbox_bytes_ += SizeOf(event.full) + SizeOf(event.thin);
  outbox_.push_back({std::move(event.full), std::move(event.thin)});
  ThinOutbox();
  if (stream_ == Stream::kUp) SendOutbox(now);
}

void AgentCore::ThinOutbox() {
  for (Outgoing& item : outbox_) {
    if (outbox_bytes_ <= options_.outbox_bytes_max) return;
    if (item.thinned) continue;
    outbox_bytes_ -= SizeOf(item.full);
    item.full = wire::SnapshotEnvelope();
    item.thinned = true;
    ++outbox_dropped_;
  }
  // Even the thin ones are too many: the newest cumulative counters still say all that the oldest
  // did.
  while (outbox_bytes_ > options_.outbox_bytes_max && outbox_.size() > 1) {
    outbox_bytes_ -= SizeOf(outbox_.front().thin);
    outbox_.pop_front();
  }
}

void AgentCore::SendOutbox(Instant now) {
  for (Outgoing& item : outbox_) {
    if (item.sent) continue;
    item.sent = true;
    item.sent_at = now;
    wire::SnapshotEnvelope envelope = item.thinned ? item.thin : item.full;
    envelope.asked = now;
    envelope.entries = run_ ? run_->entries : 0;
    actions_.push_back(Say{std::move(envelope)});
  }
}

/// A controller whose store refuses a snapshot does not answer it: it is told again, at a pace that
/// does not add to the trouble.
void AgentCore::ResendUnanswered(Instant now) {
  bool any = false;
  for (Outgoing& item : outbox_) {
    if (!item.sent || now < item.sent_at + 2 * options_.lease) continue;
    item.sent = false;
    any = true;
  }
  if (any) SendOutbox(now);
}

void AgentCore::Hear(Instant, Instant, wire::SnapshotAck& message) {
  if (message.incarnation != options_.hello.incarnation) return;
  std::erase_if(outbox_, [this, &message](const Outgoing& item) {
    const bool acked = item.thin.run == message.run &&
                       std::find(message.sequences.begin(), message.sequences.end(),
                                 item.thin.sequence) != message.sequences.end();
    if (acked) outbox_bytes_ -= (item.thinned ? 0 : SizeOf(item.full)) + SizeOf(item.thin);
    return acked;
  });
  ForgetIfDone();
}

}  // namespace broadside::agent
