#include "common/wire/convert.h"

#include <type_traits>
#include <utility>

namespace broadside::wire {
namespace {

/// What one entry may hold, so that a hostile peer cannot make us allocate without bound.
constexpr int kMaxKnots = 1 << 16;
constexpr int kMaxSlots = 1 << 20;
constexpr int kMaxNames = 1 << 12;

int64_t Host(Instant at) { return at.time_since_epoch().count(); }
Instant HostTime(int64_t nanos) { return Instant(Nanos(nanos)); }
int64_t Run(RunTime at) { return at.time_since_epoch().count(); }
RunTime RunAt(int64_t nanos) { return RunTime(Nanos(nanos)); }

template <class>
constexpr bool kNever = false;

// ---- To protobuf -----------------------------------------------------------------------------

void Fill(const Hello& from, v1::Hello* to) {
  to->set_protocol_version(from.protocol_version);
  to->set_schedule_version(from.schedule_version);
  to->set_histogram_layout(from.histogram_layout);
  to->set_agent_id(from.agent.value());
  to->set_incarnation(from.incarnation.value());
  to->set_loops(from.loops);
  to->set_cores(from.cores);
  to->set_rate_ceiling_micro(from.rate_ceiling);
  to->mutable_labels()->insert(from.labels.begin(), from.labels.end());
  to->set_version(from.version);
  to->set_host(from.host);
  for (const HeldRun& held : from.held) {
    v1::HeldRun* h = to->add_held();
    h->set_run_id(held.run.value());
    h->set_entries(held.entries);
    h->set_last_sequence(held.last_sequence);
    h->set_stopped(held.stopped);
    h->set_stop_end_run(Run(held.stop_end));
    h->set_stop_reason(held.stop_reason);
    h->set_stop_as(held.stop_as);
    for (const HeldRun::HeldGrant& grant : held.grants) {
      h->add_grants()->set_epoch(grant.epoch.value());
      h->mutable_grants()->rbegin()->set_last_interval(grant.last);
    }
    h->set_grants_known(held.grants_known);
    if (held.run_now) h->set_run_now(Run(*held.run_now));
  }
}

void Fill(const SnapshotEnvelope& from, v1::SnapshotEnvelope* to) {
  to->set_run_id(from.run.value());
  to->set_incarnation(from.incarnation.value());
  to->set_sequence(from.sequence);
  to->set_interval(from.interval);
  to->set_final_totals(from.final_totals);
  to->set_asked_host(Host(from.asked));
  to->set_entries(from.entries);
  to->set_body(from.body);
}

void Fill(const rate::Segment& from, v1::Segment* to) {
  to->set_id(from.id.value());
  to->set_phase(from.phase.value());
  to->set_start_run(Run(from.start));
  to->set_length(from.length.count());
  to->set_kind(static_cast<v1::Segment::Kind>(from.kind));
  to->set_seed(from.seed);
  for (const rate::Knot& knot : from.knots) {
    v1::Knot* k = to->add_knots();
    k->set_at(knot.at.count());
    k->set_rate_micro(knot.rate);
  }
  for (const rate::TargetShare& share : from.mix) {
    v1::TargetShare* s = to->add_mix();
    s->set_target(share.target.value());
    s->set_weight(share.weight);
  }
  if (from.kind != rate::ArrivalKind::kList) return;
  to->mutable_replay()->set_sha256(from.replay.sha256);
  to->mutable_replay()->set_format(from.replay.format);
  to->mutable_replay()->set_speed_num(from.replay.speed_num);
  to->mutable_replay()->set_speed_den(from.replay.speed_den);
}

void Fill(const rate::Deal& from, v1::Deal* to) {
  to->set_epoch(from.epoch.value());
  to->set_first_interval(from.first);
  for (const Incarnation& owner : from.owners) to->add_owners(owner.value());
  for (const int32_t slot : from.slots) to->add_slots(slot);
}

void Fill(const Entry& from, v1::Entry* to) {
  to->set_run_id(from.run.value());
  to->set_number(from.number);
  if (const auto* segment = std::get_if<rate::Segment>(&from.what))
    Fill(*segment, to->mutable_segment());
  else
    Fill(std::get<rate::Deal>(from.what), to->mutable_deal());
}

// ---- From protobuf ---------------------------------------------------------------------------

Status CheckName(const std::string& text, const char* field) {
  if (text.size() > 256)
    return InvalidArgument(std::string(field) + " has " + std::to_string(text.size()) +
                           " bytes; allowed are 256");
  return absl::OkStatus();
}

StatusOr<Hello> Read(const v1::Hello& from) {
  BROADSIDE_RETURN_IF_ERROR(CheckName(from.agent_id(), "hello.agent_id"));
  if (from.agent_id().empty())
    return InvalidArgument("hello.agent_id is empty; give the agent a name");
  if (from.incarnation() == 0)
    return InvalidArgument(
        "hello.incarnation is 0; write random bits, another number at every start");
  if (from.held_size() > kMaxNames || from.labels_size() > kMaxNames)
    return InvalidArgument("hello has " + std::to_string(from.held_size()) + " runs and " +
                           std::to_string(from.labels_size()) + " labels; allowed are " +
                           std::to_string(kMaxNames) + " of each");
  Hello out{.protocol_version = from.protocol_version(),
            .schedule_version = from.schedule_version(),
            .histogram_layout = from.histogram_layout(),
            .agent = AgentId(from.agent_id()),
            .incarnation = Incarnation(from.incarnation()),
            .loops = from.loops(),
            .cores = from.cores(),
            .rate_ceiling = from.rate_ceiling_micro(),
            .labels = {from.labels().begin(), from.labels().end()},
            .version = from.version(),
            .host = from.host()};
  for (const v1::HeldRun& h : from.held()) {
    if (h.grants_size() > kMaxNames) return InvalidArgument("hello names more grants than allowed");
    HeldRun& held = out.held.emplace_back();
    held = {.run = RunId(h.run_id()),
            .entries = h.entries(),
            .last_sequence = h.last_sequence(),
            .stopped = h.stopped(),
            .stop_end = RunAt(h.stop_end_run()),
            .stop_reason = h.stop_reason(),
            .stop_as = h.stop_as(),
            .grants_known = h.grants_known()};
    for (const v1::HeldRun::HeldGrant& grant : h.grants())
      held.grants.push_back({ShardEpoch(grant.epoch()), grant.last_interval()});
    if (h.has_run_now()) held.run_now = RunAt(h.run_now());
  }
  return out;
}

SnapshotEnvelope Read(v1::SnapshotEnvelope&& from) {
  return {.run = RunId(std::move(*from.mutable_run_id())),
          .incarnation = Incarnation(from.incarnation()),
          .sequence = from.sequence(),
          .interval = from.interval(),
          .final_totals = from.final_totals(),
          .asked = HostTime(from.asked_host()),
          .entries = from.entries(),
          .body = std::move(*from.mutable_body())};
}

StatusOr<rate::Segment> Read(const v1::Segment& from) {
  if (from.knots_size() > kMaxKnots || from.mix_size() > kMaxNames)
    return InvalidArgument("segment has more knots or targets than allowed");
  if (from.kind() < v1::Segment::REGULAR || from.kind() > v1::Segment::LIST)
    return InvalidArgument("segment.kind " + std::to_string(from.kind()) +
                           " is not known to this version");
  rate::Segment out{.id = SegmentId(from.id()),
                    .phase = PhaseIndex(from.phase()),
                    .start = RunAt(from.start_run()),
                    .length = Nanos(from.length()),
                    .kind = static_cast<rate::ArrivalKind>(from.kind()),
                    .seed = from.seed()};
  for (const v1::Knot& k : from.knots()) out.knots.push_back({Nanos(k.at()), k.rate_micro()});
  for (const v1::TargetShare& s : from.mix())
    out.mix.push_back({TargetIndex(s.target()), s.weight()});
  if (out.kind == rate::ArrivalKind::kList)
    out.replay = {from.replay().sha256(), from.replay().format(), from.replay().speed_num(),
                  from.replay().speed_den()};
  return out;
}

StatusOr<rate::Deal> Read(const v1::Deal& from) {
  if (from.slots_size() == 0 || from.slots_size() > kMaxSlots || from.owners_size() > kMaxSlots)
    return InvalidArgument("deal has no slots, or more than allowed");
  rate::Deal out{.epoch = ShardEpoch(from.epoch()), .first = from.first_interval()};
  for (const uint64_t owner : from.owners()) out.owners.push_back(Incarnation(owner));
  for (const int32_t slot : from.slots()) {
    if (slot < rate::Deal::kNobody || slot >= from.owners_size())
      return InvalidArgument("deal.slots holds " + std::to_string(slot) + ", which is no owner");
    out.slots.push_back(slot);
  }
  return out;
}

StatusOr<Entry> Read(const v1::Entry& from) {
  Entry out{.run = RunId(from.run_id()), .number = from.number()};
  if (from.number() == 0) return InvalidArgument("entry.number is 0; entries count from 1");
  switch (from.what_case()) {
    case v1::Entry::kSegment: {
      BROADSIDE_ASSIGN_OR_RETURN(out.what, Read(from.segment()));
      return out;
    }
    case v1::Entry::kDeal: {
      BROADSIDE_ASSIGN_OR_RETURN(out.what, Read(from.deal()));
      return out;
    }
    case v1::Entry::WHAT_NOT_SET:
      break;
  }
  return InvalidArgument("entry " + std::to_string(from.number()) +
                         " is of a kind this version does not know");
}

}  // namespace

v1::AgentMessage ToProto(const AgentMessage& message) {
  v1::AgentMessage out;
  std::visit(
      [&out](const auto& m) {
        using M = std::decay_t<decltype(m)>;
        if constexpr (std::is_same_v<M, Hello>) {
          Fill(m, out.mutable_hello());
        } else if constexpr (std::is_same_v<M, Heartbeat>) {
          out.mutable_heartbeat()->set_sent_host(Host(m.sent));
          out.mutable_heartbeat()->set_run_id(m.run.value());
          out.mutable_heartbeat()->set_entries(m.entries);
        } else if constexpr (std::is_same_v<M, Prepared>) {
          out.mutable_prepared()->set_run_id(m.run.value());
          out.mutable_prepared()->set_error(m.error);
          for (const std::string& w : m.warnings) out.mutable_prepared()->add_warnings(w);
        } else if constexpr (std::is_same_v<M, SnapshotEnvelope>) {
          Fill(m, out.mutable_snapshot());
        } else if constexpr (std::is_same_v<M, Drain>) {
          out.mutable_drain();
        } else {
          static_assert(kNever<M>);
        }
      },
      message);
  return out;
}

v1::ControllerMessage ToProto(const ControllerMessage& message) {
  v1::ControllerMessage out;
  std::visit(
      [&out](const auto& m) {
        using M = std::decay_t<decltype(m)>;
        if constexpr (std::is_same_v<M, Welcome>) {
          out.mutable_welcome()->set_protocol_version(m.protocol_version);
          out.mutable_welcome()->set_controller_incarnation(m.controller_incarnation);
          out.mutable_welcome()->set_version(m.version);
          out.mutable_welcome()->set_no_shard(m.no_shard);
        } else if constexpr (std::is_same_v<M, HeartbeatReply>) {
          out.mutable_heartbeat_reply()->set_sent_host(Host(m.sent));
          out.mutable_heartbeat_reply()->set_received_host(Host(m.received));
          out.mutable_heartbeat_reply()->set_answered_host(Host(m.answered));
          out.mutable_heartbeat_reply()->set_boot_id(m.boot_id);
        } else if constexpr (std::is_same_v<M, Assignment>) {
          v1::Assignment* to = out.mutable_assignment();
          to->set_run_id(m.run.value());
          to->set_plan_json(m.plan_json);
          to->set_seed(m.seed);
          to->set_in_flight(m.in_flight);
          to->set_connections(m.connections);
          to->set_share(m.share);
          to->set_controller_incarnation(m.controller_incarnation);
        } else if constexpr (std::is_same_v<M, Entry>) {
          Fill(m, out.mutable_entry());
        } else if constexpr (std::is_same_v<M, Start>) {
          out.mutable_start()->set_run_id(m.run.value());
          out.mutable_start()->set_t0_host(Host(m.t0));
          out.mutable_start()->set_boot_id(m.boot_id);
        } else if constexpr (std::is_same_v<M, Grant>) {
          v1::Grant* to = out.mutable_grant();
          to->set_controller_incarnation(m.controller_incarnation);
          to->set_run_id(m.run.value());
          to->set_epoch(m.epoch.value());
          to->set_last_interval(m.last);
          to->set_entries(m.entries);
          to->set_asked_host(Host(m.asked));
        } else if constexpr (std::is_same_v<M, SnapshotAck>) {
          out.mutable_snapshot_ack()->set_run_id(m.run.value());
          out.mutable_snapshot_ack()->set_incarnation(m.incarnation.value());
          for (const uint64_t s : m.sequences) out.mutable_snapshot_ack()->add_sequences(s);
        } else if constexpr (std::is_same_v<M, Stop>) {
          out.mutable_stop()->set_run_id(m.run.value());
          out.mutable_stop()->set_end_run(Run(m.end));
          out.mutable_stop()->set_reason(m.reason);
          out.mutable_stop()->set_controller_incarnation(m.controller_incarnation);
          out.mutable_stop()->set_end_as(m.end_as);
        } else if constexpr (std::is_same_v<M, Finish>) {
          out.mutable_finish()->set_run_id(m.run.value());
          out.mutable_finish()->set_end_run(Run(m.end));
        } else if constexpr (std::is_same_v<M, Release>) {
          out.mutable_release()->set_run_id(m.run.value());
        } else {
          static_assert(kNever<M>);
        }
      },
      message);
  return out;
}

StatusOr<AgentMessage> FromProto(v1::AgentMessage&& message) {
  switch (message.message_case()) {
    case v1::AgentMessage::kHello: {
      BROADSIDE_ASSIGN_OR_RETURN(Hello hello, Read(message.hello()));
      return AgentMessage(std::move(hello));
    }
    case v1::AgentMessage::kHeartbeat:
      return AgentMessage(Heartbeat{.sent = HostTime(message.heartbeat().sent_host()),
                                    .run = RunId(message.heartbeat().run_id()),
                                    .entries = message.heartbeat().entries()});
    case v1::AgentMessage::kPrepared: {
      const v1::Prepared& from = message.prepared();
      return AgentMessage(Prepared{.run = RunId(from.run_id()),
                                   .error = from.error(),
                                   .warnings = {from.warnings().begin(), from.warnings().end()}});
    }
    case v1::AgentMessage::kSnapshot:
      return AgentMessage(Read(std::move(*message.mutable_snapshot())));
    case v1::AgentMessage::kDrain:
      return AgentMessage(Drain{});
    case v1::AgentMessage::MESSAGE_NOT_SET:
      break;
  }
  return InvalidArgument(
      "a message of a kind this version does not know; install the same release on both");
}

StatusOr<ControllerMessage> FromProto(v1::ControllerMessage&& message) {
  switch (message.message_case()) {
    case v1::ControllerMessage::kWelcome: {
      const v1::Welcome& from = message.welcome();
      return ControllerMessage(Welcome{from.protocol_version(), from.controller_incarnation(),
                                       from.version(), from.no_shard()});
    }
    case v1::ControllerMessage::kHeartbeatReply: {
      const v1::HeartbeatReply& from = message.heartbeat_reply();
      return ControllerMessage(HeartbeatReply{HostTime(from.sent_host()),
                                              HostTime(from.received_host()),
                                              HostTime(from.answered_host()), from.boot_id()});
    }
    case v1::ControllerMessage::kAssignment: {
      v1::Assignment& from = *message.mutable_assignment();
      return ControllerMessage(Assignment{.run = RunId(from.run_id()),
                                          .plan_json = std::move(*from.mutable_plan_json()),
                                          .seed = from.seed(),
                                          .in_flight = from.in_flight(),
                                          .connections = from.connections(),
                                          .share = from.share(),
                                          .controller_incarnation = from.controller_incarnation()});
    }
    case v1::ControllerMessage::kEntry: {
      BROADSIDE_ASSIGN_OR_RETURN(Entry entry, Read(message.entry()));
      return ControllerMessage(std::move(entry));
    }
    case v1::ControllerMessage::kStart:
      return ControllerMessage(Start{RunId(message.start().run_id()),
                                     HostTime(message.start().t0_host()),
                                     message.start().boot_id()});
    case v1::ControllerMessage::kGrant: {
      const v1::Grant& from = message.grant();
      return ControllerMessage(Grant{from.controller_incarnation(), RunId(from.run_id()),
                                     ShardEpoch(from.epoch()), from.last_interval(), from.entries(),
                                     HostTime(from.asked_host())});
    }
    case v1::ControllerMessage::kSnapshotAck: {
      const v1::SnapshotAck& from = message.snapshot_ack();
      return ControllerMessage(SnapshotAck{RunId(from.run_id()),
                                           Incarnation(from.incarnation()),
                                           {from.sequences().begin(), from.sequences().end()}});
    }
    case v1::ControllerMessage::kStop:
      return ControllerMessage(Stop{
          RunId(message.stop().run_id()), RunAt(message.stop().end_run()), message.stop().reason(),
          message.stop().controller_incarnation(), message.stop().end_as()});
    case v1::ControllerMessage::kFinish:
      return ControllerMessage(
          Finish{RunId(message.finish().run_id()), RunAt(message.finish().end_run())});
    case v1::ControllerMessage::kRelease:
      return ControllerMessage(Release{RunId(message.release().run_id())});
    case v1::ControllerMessage::MESSAGE_NOT_SET:
      break;
  }
  return InvalidArgument(
      "a message of a kind this version does not know; install the same release on both");
}

std::string PackEntry(const Entry& entry) {
  v1::Entry out;
  Fill(entry, &out);
  return out.SerializeAsString();
}

StatusOr<Entry> UnpackEntry(const std::string& bytes) {
  v1::Entry in;
  if (!in.ParseFromString(bytes)) return DataLoss("a stored schedule entry cannot be read");
  return Read(in);
}

}  // namespace broadside::wire
