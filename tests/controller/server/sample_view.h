#pragma once

#include <memory>
#include <string>

#include "controller/server/metrics.h"

namespace broadside::server {

inline OutcomeView OutcomeOf(std::initializer_list<int64_t> latencies_ns) {
  stats::Histogram histogram;
  for (const int64_t value : latencies_ns) histogram.Record(value);
  return {.count = latencies_ns.size(), .latency = DurationOf(histogram)};
}

/// A run under way with two targets, one of which nothing has happened to yet.
inline MetricsView SampleView() {
  TargetView busy;
  busy.name = "resnet50";
  busy.model = "resnet";
  busy.outcomes["ok"] = OutcomeOf({90'000, 1'000'000, 1'000'000, 40'000'000});
  busy.outcomes["limit_near"] = OutcomeOf({50'000});
  busy.scheduled = 9;
  busy.sent = 7;
  busy.dropped = 1;
  busy.expired = 1;
  busy.bytes_out = 700;
  busy.bytes_in = 1400;
  busy.inferences = 4;
  busy.in_flight = 2;
  busy.waiting = 0;
  busy.offered = 10.5;
  busy.achieved = 10;
  stats::Histogram latency;
  for (int64_t ms = 1; ms <= 100; ++ms) latency.Record(ms * 1'000'000);
  busy.latency = QuantilesOf(latency, 5);
  TargetView idle;
  idle.name = "bert";
  idle.model = "bert";
  idle.offered = 0;
  RunView run;
  run.id = "ab12cd";
  run.name = "say \"hi\"\\\nbye";
  run.state = "running";
  run.plan_sha256 = "5891b5b5";
  run.seed = 18'446'744'073'709'551'615u;
  run.validity = "DEGRADED";
  run.ledger_mismatch = -3;
  run.intervals_sealed = 10;
  run.intervals_incomplete = 2;
  run.targets = {busy, idle};
  MetricsView view;
  view.runs = {run};
  view.agents = {{"ready", 3}, {"lost", 0}};
  view.incarnation = 4;
  view.store = {.queued_ops = 1, .queued_bytes = 2, .stored_ops = 3, .failed_ops = 4};
  return view;
}

}  // namespace broadside::server
