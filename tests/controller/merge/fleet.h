#pragma once

#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "common/rate/profile.h"
#include "common/rate/schedule.h"
#include "controller/merge/run_merge.h"

/// A made-up fleet for tests: a plan of two measured phases and a warm-up over two targets, and
/// agents that account for every arrival they were granted with drawn outcomes and times.
namespace broadside::merge::testing {

using stats::Measure;

/// Everything the agents recorded, pooled: what merging must give back.
struct Pool {
  std::map<CellKey, stats::Histogram> cells;
  std::map<RowOutcome, uint64_t> outcomes;
  stats::Counters total;
};

inline plan::Phase MakePhase(std::string name, int64_t per_second, Nanos duration, bool measure) {
  plan::Phase phase;
  phase.name = std::move(name);
  phase.load = plan::ConstantLoad{rate::MicroRate{per_second * rate::kMicroPerUnit}};
  phase.duration = duration;
  phase.measure = measure;
  return phase;
}

inline std::shared_ptr<plan::Plan> MakePlan() {
  auto plan = std::make_shared<plan::Plan>();
  plan->name = "made-up";
  plan->targets.resize(2);
  plan->targets[0].name = "alpha";
  plan->targets[1].name = "beta";
  plan->phases = {MakePhase("warm", 100, std::chrono::seconds(2), false),
                  MakePhase("low", 400, std::chrono::seconds(4), true),
                  MakePhase("high", 1000, std::chrono::seconds(4), true)};
  return plan;
}

inline Segments MakeSegments(const plan::Plan& plan, bool poisson = false) {
  Segments segments;
  RunTime start = RunStart();
  for (uint32_t i = 0; i < plan.phases.size(); ++i) {
    const plan::Phase& phase = plan.phases[i];
    rate::Segment segment;
    segment.id = SegmentId(i);
    segment.phase = PhaseIndex(i);
    segment.start = start;
    segment.length = phase.duration;
    segment.kind = poisson ? rate::ArrivalKind::kPoisson : rate::ArrivalKind::kRegular;
    segment.seed = 7;
    segment.knots = rate::ConstantKnots(
        std::get<plan::MicroRate>(std::get<plan::ConstantLoad>(phase.load).rate), phase.duration);
    for (uint32_t t = 0; t < plan.targets.size(); ++t) {
      segment.mix.push_back({TargetIndex(t), t + 1});
    }
    segments.push_back(*rate::CompiledSegment::Make(segment));
    start += phase.duration;
  }
  return segments;
}

class Fleet {
 public:
  explicit Fleet(int agents = 3, uint64_t seed = 1)
      : plan(MakePlan()), segments(MakeSegments(*plan)), random_(seed) {
    for (int i = 0; i < agents; ++i) {
      owners_.push_back(Incarnation(0xa0 + static_cast<uint64_t>(i)));
      facts.agents.push_back({AgentId(std::string("agent-") + static_cast<char>('a' + i)),
                              owners_.back(),
                              "done",
                              {}});
    }
    auto deal = std::make_shared<rate::Deal>(
        rate::MakeDeal(ShardEpoch(1), 0, owners_, std::vector<uint64_t>(owners_.size(), 1)));
    for (const Incarnation owner : owners_) facts.grants.push_back({owner, deal, 0, 9});
    facts.run_id = "abc123";
    facts.seed = 7;
  }

  AgentId IdOf(Incarnation owner) const { return facts.agents[owner.value() - 0xa0].id; }
  Incarnation owner(size_t i) const { return owners_[i]; }
  RunMerge NewMerge() const { return RunMerge(RunId("abc123"), plan, segments); }

  /// What every agent sends over the run: an interval a second and a final one.
  std::vector<stats::Snapshot> Snapshots() {
    std::vector<stats::Snapshot> all;
    for (const GrantFact& grant : facts.grants) {
      AgentState state;
      for (IntervalIndex k = 0; k <= 10; ++k) all.push_back(Interval(grant, k, state));
    }
    return all;
  }

  /// Draws how an arrival ends. Tests replace it.
  struct Fate {
    std::string outcome = "ok";
    int64_t lag = 0, wait = 0, service = 0;
    bool dropped = false;
  };
  std::function<Fate(const rate::Arrival&, std::mt19937_64&)> fate = [](const rate::Arrival&,
                                                                        std::mt19937_64& random) {
    std::lognormal_distribution<double> service(std::log(20e6), 0.5);
    Fate drawn;
    drawn.lag = static_cast<int64_t>(random() % 50'000);
    drawn.wait = static_cast<int64_t>(random() % 1'000);
    drawn.service = static_cast<int64_t>(service(random));
    const uint64_t dice = random() % 100;
    if (dice < 3) drawn.outcome = "limit_near";
    if (dice == 3) drawn.outcome = "timeout_client";
    return drawn;
  };

  std::shared_ptr<plan::Plan> plan;
  Segments segments;
  CloseFacts facts;
  Pool pool;

 private:
  struct AgentState {
    std::map<Row, stats::Counters> counters;
    std::map<RowOutcome, uint64_t> outcomes;
    uint64_t sequence = 0;
  };

  stats::Snapshot Interval(const GrantFact& grant, IntervalIndex k, AgentState& state) {
    std::map<CellKey, stats::Histogram> cells;
    std::map<TargetIndex, uint64_t> in_flight_ns;
    const RunTime from = IntervalStart(std::max(k, grant.first), plan->interval);
    const RunTime to = IntervalStart(std::min(k, grant.last) + 1, plan->interval);
    for (const auto& segment : segments) {
      if (to <= from || segment->segment().start >= to || segment->end() <= from) continue;
      rate::Stripe stripe(segment, *grant.deal, grant.incarnation, from, to);
      for (; stripe.Peek() != nullptr; stripe.Pop()) {
        Account(*stripe.Peek(), state, cells, in_flight_ns);
      }
    }
    return Pack(grant.incarnation, k, state, cells, in_flight_ns);
  }

  void Account(const rate::Arrival& arrival, AgentState& state,
               std::map<CellKey, stats::Histogram>& cells,
               std::map<TargetIndex, uint64_t>& in_flight_ns) {
    const Row row{arrival.phase, arrival.target};
    const Fate end = fate(arrival, random_);
    stats::Counters& counters = state.counters[row];
    ++counters.scheduled;
    if (end.dropped) {
      ++counters.dropped;
      ++counters.limited;
      return;
    }
    ++counters.sent;
    counters.bytes_out += 10;
    ++(end.outcome == "ok"           ? counters.ok
       : end.outcome == "limit_near" ? counters.rejected
                                     : counters.failed);
    ++state.outcomes[{row, end.outcome}];
    const int64_t latency = end.lag + end.wait + end.service;
    in_flight_ns[row.target] += static_cast<uint64_t>(end.service);
    const auto record = [&](const std::string& outcome, Measure measure, int64_t value) {
      cells[{row, outcome, measure}].Record(value);
      pool.cells[{row, outcome, measure}].Record(value);
    };
    ++pool.outcomes[{row, end.outcome}];
    record(end.outcome, Measure::kLatency, latency);
    record(std::string(stats::kAllSent), Measure::kLag, end.lag);
    if (end.outcome != "ok") return;
    record("ok", Measure::kService, end.service);
    record("ok", Measure::kWait, end.wait);
  }

  stats::Snapshot Pack(Incarnation owner, IntervalIndex k, AgentState& state,
                       const std::map<CellKey, stats::Histogram>& cells,
                       const std::map<TargetIndex, uint64_t>& in_flight_ns) const {
    stats::Snapshot snapshot;
    snapshot.run = RunId("abc123");
    snapshot.incarnation = owner;
    snapshot.sequence = ++state.sequence;
    snapshot.interval = k;
    snapshot.interval_length = plan->interval;
    snapshot.final_totals = k == 10;
    snapshot.health.loops = 2;
    snapshot.health.cpu_ns = state.sequence * 1'000;
    snapshot.health.clock_bound_ns = 40'000;
    for (const auto& [row, counters] : state.counters) {
      snapshot.counters.push_back({row.phase, row.target, counters});
    }
    for (const auto& [key, total] : state.outcomes) {
      snapshot.outcomes.push_back({.phase = key.row.phase,
                                   .target = key.row.target,
                                   .outcome = key.outcome,
                                   .total = total});
    }
    for (const auto& [key, histogram] : cells) {
      snapshot.cells.push_back({key.row.phase, key.row.target, key.outcome, key.measure,
                                histogram.exact(), stats::EncodeCounts(histogram)});
    }
    for (const auto& [target, integral] : in_flight_ns) {
      snapshot.gauges.push_back({target, 3, integral});
    }
    return snapshot;
  }

  std::vector<Incarnation> owners_;
  std::mt19937_64 random_;
};

inline void FoldAll(RunMerge& merge, const Fleet& fleet,
                    const std::vector<stats::Snapshot>& snapshots) {
  for (const stats::Snapshot& snapshot : snapshots) {
    const Status status = merge.Fold(fleet.IdOf(snapshot.incarnation), snapshot);
    ASSERT_TRUE(status.ok()) << status;
  }
}

}  // namespace broadside::merge::testing
