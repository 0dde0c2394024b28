#include "tests/sim/codec.h"

#include <cstring>

#include "common/base/check.h"
#ifdef BROADSIDE_SIM_WIRE
#include "common/wire/convert.h"
#include "common/wire/snapshot.h"
#endif

namespace broadside::sim {
namespace {

constexpr char kCompact = '#';  // no zstd frame starts with it

void Put(std::string& out, uint64_t value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}
void Put(std::string& out, const std::string& value) {
  Put(out, value.size());
  out += value;
}
uint64_t Get(const char*& at) {
  uint64_t value = 0;
  std::memcpy(&value, at, sizeof value);
  at += sizeof value;
  return value;
}
std::string GetString(const char*& at) {
  const uint64_t size = Get(at);
  std::string value(at, size);
  at += size;
  return value;
}

wire::SnapshotEnvelope PackCompact(const stats::Snapshot& snapshot) {
  std::string body(1, kCompact);
  Put(body, static_cast<uint64_t>(snapshot.interval_length.count()));
  Put(body, snapshot.counters.size());
  for (const auto& row : snapshot.counters) {
    const stats::Counters& c = row.counters;
    for (const uint64_t value :
         {uint64_t{row.phase.value()}, uint64_t{row.target.value()}, c.scheduled, c.sent, c.dropped,
          c.expired, c.waiting, c.ok, c.rejected, c.failed, c.in_flight, c.after_stop,
          c.unsent_failures, c.own_fault, c.limited})
      Put(body, value);
  }
  Put(body, snapshot.outcomes.size());
  for (const auto& outcome : snapshot.outcomes) {
    Put(body, uint64_t{outcome.phase.value()});
    Put(body, uint64_t{outcome.target.value()});
    Put(body, outcome.outcome);
    Put(body, outcome.total);
  }
  return {.run = snapshot.run,
          .incarnation = snapshot.incarnation,
          .sequence = snapshot.sequence,
          .interval = snapshot.interval,
          .final_totals = snapshot.final_totals,
          .body = std::move(body)};
}

}  // namespace

#ifdef BROADSIDE_SIM_WIRE

namespace {
template <class Message>
Message RoundTrip(const Message& message) {
  auto out = wire::ToProto(message);
  std::string bytes;
  BROADSIDE_CHECK(out.SerializeToString(&bytes));
  decltype(out) in;
  BROADSIDE_CHECK(in.ParseFromString(bytes));
  StatusOr<Message> read = wire::FromProto(std::move(in));
  BROADSIDE_CHECK(read.ok());
  return *std::move(read);
}
}  // namespace

wire::AgentMessage ThroughWire(const wire::AgentMessage& message) { return RoundTrip(message); }
wire::ControllerMessage ThroughWire(const wire::ControllerMessage& message) {
  return RoundTrip(message);
}

wire::SnapshotEnvelope Pack(const stats::Snapshot& snapshot, bool real, bool thin) {
  return real ? wire::PackSnapshot(snapshot, thin) : PackCompact(snapshot);
}

#else

wire::AgentMessage ThroughWire(const wire::AgentMessage& message) { return message; }
wire::ControllerMessage ThroughWire(const wire::ControllerMessage& message) { return message; }
wire::SnapshotEnvelope Pack(const stats::Snapshot& snapshot, bool, bool) {
  return PackCompact(snapshot);
}

#endif

stats::Snapshot Unpack(const wire::SnapshotEnvelope& envelope) {
  BROADSIDE_CHECK(!envelope.body.empty());
#ifdef BROADSIDE_SIM_WIRE
  if (envelope.body[0] != kCompact) {
    StatusOr<stats::Snapshot> snapshot = wire::UnpackSnapshot(envelope);
    BROADSIDE_CHECK(snapshot.ok());
    return *std::move(snapshot);
  }
#endif
  const char* at = envelope.body.data() + 1;
  stats::Snapshot out{.run = envelope.run,
                      .incarnation = envelope.incarnation,
                      .sequence = envelope.sequence,
                      .interval = envelope.interval,
                      .interval_length = Nanos(static_cast<int64_t>(Get(at))),
                      .final_totals = envelope.final_totals};
  out.counters.resize(Get(at));
  for (auto& row : out.counters) {
    row.phase = PhaseIndex(static_cast<uint32_t>(Get(at)));
    row.target = TargetIndex(static_cast<uint32_t>(Get(at)));
    stats::Counters& c = row.counters;
    for (uint64_t* field :
         {&c.scheduled, &c.sent, &c.dropped, &c.expired, &c.waiting, &c.ok, &c.rejected, &c.failed,
          &c.in_flight, &c.after_stop, &c.unsent_failures, &c.own_fault, &c.limited})
      *field = Get(at);
  }
  out.outcomes.resize(Get(at));
  for (auto& outcome : out.outcomes) {
    outcome.phase = PhaseIndex(static_cast<uint32_t>(Get(at)));
    outcome.target = TargetIndex(static_cast<uint32_t>(Get(at)));
    outcome.outcome = GetString(at);
    outcome.total = Get(at);
  }
  return out;
}

}  // namespace broadside::sim
