#pragma once

#include <array>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "tests/sim/scenario.h"

namespace broadside::sim {

/// Names a stream between an agent and the controller; never used again. 0: none.
using ConnId = uint64_t;

/// What the ends of streams hear.
struct NetworkEvents {
  std::function<void(size_t host, ConnId)> agent_up;
  std::function<void(size_t host, ConnId, wire::ControllerMessage)> agent_message;
  std::function<void(size_t host, ConnId, std::string reason)> agent_down;
  std::function<void(ConnId, wire::AgentMessage)> controller_message;
  std::function<void(ConnId)> controller_down;
};

/// Streams as gRPC gives them: in order, each message once, until the stream breaks; then what was
/// under way is lost from some point on, and the two ends notice at different times. Across streams
/// nothing is in order.
class Network {
 public:
  Network(World& world, NetworkEvents events) : world_(world), events_(std::move(events)) {}

  /// The agent on `host` asks for a stream; agent_up or agent_down follows, unless a partition
  /// swallows it.
  ConnId Open(size_t host);
  void SendUp(ConnId conn, const wire::AgentMessage& message);
  void SendDown(ConnId conn, const wire::ControllerMessage& message);
  void CloseByAgent(ConnId conn, const std::string& reason);
  void CloseByController(ConnId conn, const std::string& reason);
  /// The agent's process is gone; its host may still say so.
  void AgentGone(ConnId conn, bool host_answers);
  /// The controller's process is gone, or back.
  void ControllerGone();
  void ControllerBack() { listening_ = true; }

  void BreakAll(size_t host);
  /// Nothing passes in a direction before `until`; nothing is lost.
  enum Direction : size_t { kUp, kDown };
  void Hold(size_t host, Direction direction, Instant until);

 private:
  struct Open_ {};
  struct Metadata {};
  struct Fin {
    std::string reason;
  };
  using Item = std::variant<Open_, Metadata, Fin, wire::AgentMessage, wire::ControllerMessage>;
  struct Lane {
    std::deque<std::pair<Instant, Item>> items;
    bool pumping = false;
  };
  struct Conn {
    size_t host = 0;
    bool agent_open = true, accepted = false, controller_open = false;
    bool broken = false;
    bool old_controller = false;
    std::array<Lane, 2> lanes;
  };

  Nanos Delay();
  void Put(ConnId id, Direction direction, Item item);
  void Pump(ConnId id, Direction direction);
  void Deliver(ConnId id, Conn& conn, Direction direction, Item item);
  void Say(ConnId id, const Conn& conn, Direction direction, const Item& item) const;
  void AnswerAsOld(ConnId id, Conn& conn, const wire::AgentMessage& message);
  void AgentEnds(ConnId id, const std::string& reason);
  void ControllerEnds(ConnId id);
  Conn* Find(ConnId id);

  World& world_;
  NetworkEvents events_;
  bool listening_ = true;
  ConnId next_ = 1;
  std::map<ConnId, Conn> conns_;
  std::map<std::pair<size_t, Direction>, Instant> held_;
};

}  // namespace broadside::sim
