#include "tests/sim/network.h"

#include <utility>

#include "tests/sim/codec.h"

namespace broadside::sim {
namespace {

using namespace std::chrono_literals;

/// What --verbose says of a message.
struct Describe {
  static std::string N(int64_t value) { return " " + std::to_string(value); }
  static std::string N(uint64_t value) { return " " + std::to_string(value); }
  static std::string At(RunTime at) { return N(at.time_since_epoch().count()); }
  std::string operator()(const wire::Hello& m) const {
    std::string out = "hello " + m.agent.value() + N(m.incarnation.value());
    for (const wire::HeldRun& held : m.held)
      out += " holds " + held.run.value() + (held.stopped ? " stopped" + At(held.stop_end) : "");
    return out;
  }
  std::string operator()(const wire::Heartbeat& m) const { return "heartbeat " + m.run.value(); }
  std::string operator()(const wire::Prepared& m) const {
    return "prepared " + m.run.value() + " " + m.error;
  }
  std::string operator()(const wire::SnapshotEnvelope& m) const {
    return "snapshot " + m.run.value() + N(m.sequence) + " of" + N(m.interval) +
           (m.final_totals ? " final" : "");
  }
  std::string operator()(const wire::Drain&) const { return "drain"; }
  std::string operator()(const wire::Welcome& m) const {
    return "welcome of" + N(m.controller_incarnation) + " " + m.no_shard;
  }
  std::string operator()(const wire::HeartbeatReply&) const { return "heartbeat reply"; }
  std::string operator()(const wire::Assignment& m) const { return "assignment " + m.run.value(); }
  std::string operator()(const wire::Entry& m) const {
    const auto* deal = std::get_if<rate::Deal>(&m.what);
    return "entry " + m.run.value() + N(uint64_t{m.number}) +
           (deal ? " epoch" + N(uint64_t{deal->epoch.value()}) + " from" + N(deal->first) : "");
  }
  std::string operator()(const wire::Start& m) const { return "start " + m.run.value(); }
  std::string operator()(const wire::Grant& m) const {
    return "grant " + m.run.value() + " epoch" + N(uint64_t{m.epoch.value()}) + " through" +
           N(m.last);
  }
  std::string operator()(const wire::SnapshotAck& m) const {
    return "ack " + m.run.value() + N(m.sequences.front());
  }
  std::string operator()(const wire::Stop& m) const { return "stop " + m.run.value() + At(m.end); }
  std::string operator()(const wire::Finish& m) const {
    return "finish " + m.run.value() + At(m.end);
  }
  std::string operator()(const wire::Release& m) const { return "release " + m.run.value(); }
};

}  // namespace

Network::Conn* Network::Find(ConnId id) {
  const auto it = conns_.find(id);
  return it == conns_.end() ? nullptr : &it->second;
}

Nanos Network::Delay() {
  const Scenario& s = world_.scenario;
  if (world_.Happens(s.p_long_delay, Fault::kDelay))
    return world_.random.Between(s.delay_max, s.long_delay);
  return world_.random.Between(s.delay_min, s.delay_max);
}

ConnId Network::Open(size_t host) {
  const ConnId id = next_++;
  Conn& conn = conns_[id];
  conn.host = host;
  conn.old_controller = world_.Happens(world_.scenario.p_old_controller, Fault::kOldController);
  Put(id, kUp, Open_{});
  return id;
}

void Network::Put(ConnId id, Direction direction, Item item) {
  Conn& conn = conns_.at(id);
  if (conn.broken) return;
  auto& items = conn.lanes[direction].items;
  const Instant at = world_.queue.now() + Delay();
  items.emplace_back(items.empty() ? at : std::max(at, items.back().first), std::move(item));
  Pump(id, direction);
}

void Network::Pump(ConnId id, Direction direction) {
  Conn& conn = conns_.at(id);
  Lane& lane = conn.lanes[direction];
  if (lane.pumping || lane.items.empty()) return;
  lane.pumping = true;
  const auto held = held_.find({conn.host, direction});
  Instant at = lane.items.front().first;
  if (held != held_.end()) at = std::max(at, held->second);
  world_.queue.At(at, [this, id, direction] {
    Conn* found = Find(id);
    if (found == nullptr) return;
    Lane& pumped = found->lanes[direction];
    pumped.pumping = false;
    if (pumped.items.empty()) return;
    const auto until = held_.find({found->host, direction});
    if (pumped.items.front().first <= world_.queue.now() &&
        (until == held_.end() || until->second <= world_.queue.now())) {
      Item item = std::move(pumped.items.front().second);
      pumped.items.pop_front();
      Deliver(id, *found, direction, std::move(item));
    }
    if (Find(id) != nullptr) Pump(id, direction);
  });
}

void Network::Say(ConnId id, const Conn& conn, Direction direction, const Item& item) const {
  std::string what = "open";
  if (std::holds_alternative<Metadata>(item)) what = "up";
  if (const auto* fin = std::get_if<Fin>(&item)) what = "closed: " + fin->reason;
  if (const auto* m = std::get_if<wire::AgentMessage>(&item)) what = std::visit(Describe(), *m);
  if (const auto* m = std::get_if<wire::ControllerMessage>(&item))
    what = std::visit(Describe(), *m);
  world_.Say((direction == kUp ? "controller <- " : "agent      <- ") + std::string("host ") +
             std::to_string(conn.host) + " stream " + std::to_string(id) + ": " + what);
}

void Network::Deliver(ConnId id, Conn& conn, Direction direction, Item item) {
  if (world_.verbose) Say(id, conn, direction, item);
  if (direction == kDown) {
    if (!conn.agent_open) return;
    if (std::holds_alternative<Metadata>(item)) return events_.agent_up(conn.host, id);
    if (const auto* fin = std::get_if<Fin>(&item)) return AgentEnds(id, fin->reason);
    return events_.agent_message(conn.host, id, std::get<wire::ControllerMessage>(std::move(item)));
  }
  if (std::holds_alternative<Open_>(item)) {
    if (!listening_) return Put(id, kDown, Fin{"connection refused"});
    conn.accepted = conn.controller_open = true;
    return Put(id, kDown, Metadata{});
  }
  if (!conn.controller_open) return;
  if (std::holds_alternative<Fin>(item)) return ControllerEnds(id);
  auto message = std::get<wire::AgentMessage>(std::move(item));
  if (conn.old_controller) return AnswerAsOld(id, conn, message);
  events_.controller_message(id, std::move(message));
}

/// A controller that was replaced long ago, and thinks that it is in charge.
void Network::AnswerAsOld(ConnId id, Conn& conn, const wire::AgentMessage& message) {
  constexpr uint64_t kOldIncarnation = 1;
  if (const auto* hello = std::get_if<wire::Hello>(&message)) {
    Put(id, kDown,
        wire::ControllerMessage(wire::Welcome{.controller_incarnation = kOldIncarnation}));
    for (const wire::HeldRun& held : hello->held)
      Put(id, kDown, wire::ControllerMessage(wire::Finish{held.run, RunTime(1s)}));
  } else if (const auto* beat = std::get_if<wire::Heartbeat>(&message)) {
    Put(id, kDown,
        wire::ControllerMessage(
            wire::HeartbeatReply{beat->sent, world_.queue.now(), world_.queue.now(), "boot"}));
    if (!beat->run.value().empty())
      for (uint32_t epoch = 1; epoch <= 3; ++epoch)
        Put(id, kDown,
            wire::ControllerMessage(wire::Grant{kOldIncarnation, beat->run, ShardEpoch(epoch), 1000,
                                                0, beat->sent + world_.scenario.lease}));
  } else if (const auto* snapshot = std::get_if<wire::SnapshotEnvelope>(&message)) {
    Put(id, kDown,
        wire::ControllerMessage(
            wire::SnapshotAck{snapshot->run, snapshot->incarnation, {snapshot->sequence}}));
    Put(id, kDown, wire::ControllerMessage(wire::Release{snapshot->run}));
  }
  if (world_.random.Chance(0.1)) {
    conn.controller_open = false;
    Put(id, kDown, Fin{"the old controller ended"});
  }
}

void Network::SendUp(ConnId id, const wire::AgentMessage& message) {
  Conn* conn = Find(id);
  if (conn == nullptr || !conn->agent_open) return;
  if (world_.scenario.encoded) world_.Count(Fault::kEncoded);
  Put(id, kUp, world_.scenario.encoded ? ThroughWire(message) : message);
}
void Network::SendDown(ConnId id, const wire::ControllerMessage& message) {
  Conn* conn = Find(id);
  if (conn == nullptr || !conn->controller_open) return;
  Put(id, kDown, world_.scenario.encoded ? ThroughWire(message) : message);
}

void Network::AgentEnds(ConnId id, const std::string& reason) {
  Conn& conn = conns_.at(id);
  if (!std::exchange(conn.agent_open, false)) return;
  conn.lanes[kDown].items.clear();
  events_.agent_down(conn.host, id, reason);
}
void Network::ControllerEnds(ConnId id) {
  Conn& conn = conns_.at(id);
  if (!std::exchange(conn.controller_open, false)) return;
  conn.lanes[kUp].items.clear();
  if (!conn.old_controller) events_.controller_down(id);
}

void Network::CloseByAgent(ConnId id, const std::string& reason) {
  Conn* conn = Find(id);
  if (conn == nullptr || !conn->agent_open) return;
  Put(id, kUp, Fin{reason});
  world_.queue.After(1ms, [this, id, reason] { AgentEnds(id, reason); });
}

void Network::CloseByController(ConnId id, const std::string& reason) {
  Conn* conn = Find(id);
  if (conn == nullptr || !conn->controller_open) return;
  Put(id, kDown, Fin{reason});
  // What was read before is still handed up, as by gRPC's other threads.
  if (!conn->lanes[kUp].items.empty() && world_.random.Chance(0.5)) {
    world_.Count(Fault::kLateOldStream);
    world_.queue.After(world_.random.Between(1ms, 50ms), [this, id] { ControllerEnds(id); });
    return;
  }
  world_.queue.After(0ms, [this, id] { ControllerEnds(id); });
}

void Network::AgentGone(ConnId id, bool host_answers) {
  Conn* conn = Find(id);
  if (conn == nullptr) return;
  conn->agent_open = false;
  conn->lanes[kDown].items.clear();
  if (host_answers) return Put(id, kUp, Fin{"reset"});
  conn->broken = true;
  world_.queue.After(world_.random.Between(1s, 20s), [this, id] { ControllerEnds(id); });
}

void Network::ControllerGone() {
  listening_ = false;
  for (auto& [id, conn] : conns_) {
    if (!std::exchange(conn.controller_open, false)) continue;
    conn.lanes[kUp].items.clear();
    if (conn.agent_open) Put(id, kDown, Fin{"the controller's process is gone"});
  }
}

void Network::BreakAll(size_t host) {
  for (auto& [id, conn] : conns_) {
    if (conn.host != host || conn.broken || (!conn.agent_open && !conn.controller_open)) continue;
    world_.Count(Fault::kBreak);
    conn.broken = true;
    for (Lane& lane : conn.lanes) lane.items.resize(world_.random.Below(lane.items.size() + 1));
    const bool half_open = world_.Happens(world_.scenario.p_half_open, Fault::kHalfOpen);
    const auto noticed = [this](bool late) {
      return late ? world_.random.Between(1s, 15s) : world_.random.Between(0ms, 200ms);
    };
    world_.queue.After(noticed(false), [this, id = id] { AgentEnds(id, "the connection broke"); });
    world_.queue.After(noticed(half_open), [this, id = id] { ControllerEnds(id); });
  }
}

void Network::Hold(size_t host, Direction direction, Instant until) {
  Instant& held = held_[{host, direction}];
  held = std::max(held, until);
}

}  // namespace broadside::sim
