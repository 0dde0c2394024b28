#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "controller/core/events.h"
#include "tests/sim/event_queue.h"
#include "tests/sim/faults.h"
#include "tests/sim/laws.h"

namespace broadside::sim {

/// What one seed plays: sizes, runs, and how often what goes wrong. Drawn from the seed, so that
/// some seeds know few faults and others many (swarm testing). Probabilities are per occasion;
/// counts are of incidents spread over `trouble`.
struct Scenario {
  uint64_t seed = 0;
  Nanos lease{};
  size_t agents = 1;   ///< there from the start
  size_t joiners = 0;  ///< come later
  size_t runs = 1;
  Nanos longest_run{};
  bool encoded = false;
  bool exact_clocks = false;

  // Network
  Nanos delay_min{}, delay_max{};
  double p_long_delay = 0;
  Nanos long_delay{};
  int breaks = 0, partitions = 0, clogs = 0;
  double p_half_open = 0;
  // Agents
  int kills = 0, pauses = 0, stalls = 0, duplicates = 0, drains = 0;
  double p_restart = 0, p_pause_in_batch = 0, p_refuse = 0, p_slow_prepare = 0,
         p_old_controller = 0;
  Nanos mailbox_max{};
  uint32_t connections = 64;
  // Target
  Nanos reply_max{};
  double p_slow_reply = 0, p_error = 0;
  int target_stalls = 0;
  // Controller and its store
  Nanos sync_min{}, sync_max{};
  int store_stalls = 0, store_failures = 0, store_full = 0, lags = 0, controller_pauses = 0;
  int crashes = 0;
  int cancels = 0, guards = 0;

  Nanos trouble{};  ///< incidents happen within this from the start; later everything heals
};
Scenario DrawScenario(uint64_t seed);

/// What every part of one simulation shares.
struct World {
  explicit World(const Scenario& s)
      : scenario(s), random(s.seed), queue(Instant(std::chrono::seconds(1000))), laws(s.lease) {}
  Scenario scenario;
  Random random;
  EventQueue queue;
  Laws laws;
  Coverage coverage{};
  std::map<RunId, controller::RunSpec> specs;
  std::map<std::pair<RunId, SegmentId>, std::shared_ptr<const rate::CompiledSegment>> compiled;
  Instant target_stalled_until{};
  bool verbose = false;

  void Say(const std::string& text) const;
  void Count(Fault fault) {
    ++coverage[static_cast<size_t>(fault)];
    if (verbose) Say("fault: " + std::string(kFaultNames[static_cast<size_t>(fault)]));
  }
  bool Happens(double p, Fault fault) {
    if (p <= 0 || healed || !random.Chance(p)) return false;
    Count(fault);
    return true;
  }
  bool healed = false;  ///< faults are over
};

}  // namespace broadside::sim
