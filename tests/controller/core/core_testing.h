#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "controller/core/events.h"

/// What the tests of the controller's cores share: a small plan and ways to read actions.
namespace broadside::controller::testing {

using namespace std::chrono_literals;

inline Instant At(Nanos nanos) { return Instant(nanos); }

/// `seconds` of 100/s to one target.
inline RunSpec SmallRun(int seconds, uint32_t min_agents = 1, const std::string& id = "r") {
  auto plan = std::make_shared<plan::Plan>();
  plan->name = "small";
  plan->targets.push_back({.name = "t"});
  plan->phases.push_back({.name = "a", .duration = std::chrono::seconds(seconds)});
  plan->agents.min = min_agents;
  plan->agents.wait = 10s;
  RunSpec spec{.run = RunId(id), .plan = plan, .plan_json = "{}", .seed = 1};
  spec.segments.push_back(
      {.id = SegmentId(0),
       .start = RunTime(0s),
       .length = std::chrono::seconds(seconds),
       .knots = {{Nanos(0), 100'000'000}, {std::chrono::seconds(seconds), 100'000'000}},
       .mix = {{TargetIndex(0), 1}}});
  return spec;
}

inline AgentFacts Facts(const std::string& id, uint64_t incarnation) {
  AgentFacts facts;
  facts.id = AgentId(id);
  facts.incarnation = Incarnation(incarnation);
  return facts;
}

/// All actions of kind `What`, in order.
template <class What>
std::vector<What> Of(const std::vector<Action>& actions) {
  std::vector<What> out;
  for (const Action& action : actions)
    if (const auto* what = std::get_if<What>(&action.what)) out.push_back(*what);
  return out;
}

/// All messages of kind `Message`, with whom they go to.
template <class Message>
std::vector<std::pair<Incarnation, Message>> Sent(const std::vector<Action>& actions) {
  std::vector<std::pair<Incarnation, Message>> out;
  for (const Action& action : actions)
    if (const auto* send = std::get_if<SendTo>(&action.what))
      if (const auto* message = std::get_if<Message>(&send->message))
        out.emplace_back(send->agent, *message);
  return out;
}

/// The token of the last write of kind `What`.
template <class What>
StoreToken TokenOf(const std::vector<Action>& actions) {
  StoreToken token = 0;
  for (const Action& action : actions)
    if (std::holds_alternative<What>(action.what)) token = action.token;
  return token;
}

}  // namespace broadside::controller::testing
