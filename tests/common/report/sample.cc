#include "tests/common/report/sample.h"

namespace broadside::report {
namespace {

constexpr int64_t kMs = 1'000'000;
constexpr int64_t kUs = 1'000;

Summary Times(uint64_t n, int64_t p50, int64_t p99, int64_t max) {
  Summary s;
  s.n = n;
  s.min = p50 / 2;
  s.mean = p50 + p50 / 20;
  s.p50 = p50;
  s.p90 = p50 + (p99 - p50) / 3;
  s.p95 = p50 + (p99 - p50) / 2;
  s.p99 = p99;
  s.p999 = p99 + (max - p99) / 2;
  s.max = max;
  return s;
}

Section Phase(const std::string& name, const std::string& asked, double rate, uint64_t n) {
  Section s;
  s.name = name;
  s.asked = asked;
  s.offered = s.achieved = s.ok_rate = s.inference_rate = s.asked_mean = rate;
  s.ledger.scheduled = s.ledger.sent = s.ledger.ok = n;
  s.outcomes = {{"ok", n}};
  s.latency = Times(n, 41'200 * kUs, 46'100 * kUs, 52'300 * kUs);
  s.latency.p99_low = 45'800 * kUs;
  s.latency.p99_high = 46'400 * kUs;
  s.service = Times(n, 41'000 * kUs, 45'900 * kUs, 52'000 * kUs);
  s.wait = Times(n, 900, 12 * kUs, 85 * kUs);
  s.lag = Times(n, 21 * kUs, 92 * kUs, 410 * kUs);
  s.first_byte = Times(n, 40'900 * kUs, 45'700 * kUs, 51'900 * kUs);
  s.by_outcome["ok"] = s.latency;
  s.bytes_out = n * 812;
  s.bytes_in = n * 1204;
  s.inferences = n;
  s.in_flight_max = static_cast<uint64_t>(rate * 0.05) + 3;
  s.in_flight_mean = rate * 0.0412;
  s.little = rate * 0.0414;
  s.length_ns = static_cast<int64_t>(static_cast<double>(n) / rate * 1e9);
  return s;
}

AgentRow Agent(const std::string& id, uint64_t sent, double slow_share) {
  AgentRow agent;
  agent.id = id;
  agent.incarnation = "00000000000000a1";
  agent.sent = sent;
  agent.p50 = 41'200 * kUs;
  agent.p99 = 46'100 * kUs;
  agent.lag_p50 = 20 * kUs;
  agent.lag_p99 = 92 * kUs;
  agent.slow_share = slow_share;
  agent.clock_bound_ns = 41 * kUs;
  agent.busiest_loop = 0.12;
  agent.loops = 1;
  agent.state = "done";
  agent.labels = {{"zone", "a"}};
  return agent;
}

}  // namespace

Report HealthyReport() {
  Report r;
  r.run_id = "7f3a2c";
  r.name = "demo";
  r.state = "completed";
  r.started_wall_ns = 1'795'600'931'000'000'000;
  r.ended_wall_ns = r.started_wall_ns + 75'000'000'000;
  r.seed = 20261124;
  r.plan_sha256 = std::string(64, 'a');
  r.plan_yaml = "name: demo\n";
  r.versions = {{"controller", "0.1.0"},
                {"agent agent-a", "0.1.0"},
                {"agent agent-b", "0.1.0"},
                {"agent agent-c", "0.1.1"},
                {"schedule", "1"}};
  r.tags = {{"team", "vision"}};
  r.timeout_ns = 10'000 * kMs;
  r.slo = "pass";
  r.slo_results = {{"p99 < 50ms in ramp+hold", "pass", "46.1 ms", ""},
                   {"error_rate < 0.1%", "pass", "0 %", ""}};
  Section warm = Phase("warm", "50/s", 50, 250);
  warm.measured = false;
  r.phases = {warm, Phase("ramp", "50/s → 1,000/s", 525, 15750),
              Phase("hold", "1,000/s", 1000, 40000)};
  r.total = Phase("total", "", 796.4285714, 55750);
  r.targets = {Phase("echo", "", 796.4285714, 55750)};
  r.ledger = r.total.ledger;
  for (int i = 0; i < 40; ++i) {
    r.total.bars.push_back(
        {(36 + i) * kMs / 2 * 2, (37 + i) * kMs, i < 17 ? 100U * (i + 1) * (17 - i) : 0U});
  }
  r.coverage = {75, 75, {}};
  r.agents = {Agent("agent-a", 18584, 0.331), Agent("agent-b", 18583, 0.344),
              Agent("agent-c", 18583, 0.325)};
  IntervalRow row;
  row.k = 1;
  row.start_ns = 1'000 * kMs;
  row.phase = "warm";
  row.offered = 50;
  row.scheduled = row.sent = row.ok = 50;
  row.p50 = 41 * kMs;
  row.agents = 3;
  r.intervals = {row};
  return r;
}

Report TroubledReport() {
  Report r = HealthyReport();
  r.name = "overload";
  r.state = "aborted";
  r.state_reason = "guard \"error_rate > 50% for 5s\" was true from 31 s on";
  r.validity.verdict = "INVALID";
  r.validity.reasons = {"agent-c was late (lag P99 41 ms > 10 ms): lower its share or add agents",
                        "1,200 arrivals unreported (2.1 %)"};
  r.validity.notes = {"client-limited by connections (64/agent): wait P99 812 ms"};
  r.slo = "fail";
  r.slo_results[0] = {"p99 < 50ms in ramp+hold", "fail", "> 10.0 s", "1.3 % were not answered"};
  r.slo_results[1] = {"ttft.p95 < 200ms", "no data", "", "nothing measured has a first token"};
  r.breaker = "inconclusive";
  r.breaker_results = {{"trip.time <= 2s", "inconclusive", "", "no trip was seen"}};
  Section& t = r.total;
  t.ledger = {57'000, 55'750, 20, 30, 0, 1'200, 36'000, 18'900, 830, 10, 5, 12, 0};
  t.outcomes = {{"ok", 36'000}, {"limit_near", 18'900}, {"timeout_client", 800}, {"connect", 30}};
  t.by_outcome["limit_near"] = Times(18'900, 800 * kUs, 1'600 * kUs, 9 * kMs);
  t.by_outcome["timeout_client"] = Times(800, 10'000 * kMs, 10'001 * kMs, 10'002 * kMs);
  t.latency.censored = 810;
  t.latency.p99_censored = t.latency.p999_censored = true;
  t.latency.p99_high.reset();
  t.inference_rate = 8 * *t.ok_rate;
  t.little = 60;
  t.bars.clear();
  for (int64_t at = 800 * kUs; at < 4'000 * kMs; at = at * 5 / 4) {
    t.bars.push_back({at, at * 5 / 4, static_cast<uint64_t>(at / kMs) % 97 + 1});
  }
  r.ledger = t.ledger;
  r.phases[2].ledger.sent -= 7;
  r.phases[2].ledger.mismatch = 7;
  r.phases[2].targets = {Phase("bert", "", 250, 10'000), Phase("resnet", "", 750, 30'000)};
  Section idle;
  idle.name = "rest";
  idle.asked = "idle";
  r.phases.push_back(idle);
  r.targets = {Phase("resnet", "", 600, 42'000), Phase("bert", "", 196, 13'750)};
  r.coverage = {75, 71, {{31, 33, "agent-c", "lost"}, {40, 40, "agent-b", "no snapshot"}}};
  r.agents[2].state = "lost";
  r.agents[2].throttled_ns = 4'200 * kMs;
  r.warnings = {"P99.9 of 2,100 values rests on 2 of them: run longer (at least 2,995 values)"};
  r.agents[1].id = "evil\x1b[2Jname";
  return r;
}

Progress RunningProgress() {
  Progress p;
  p.run_id = "7f3a2c";
  p.name = "resnet50-breaker";
  p.seed = 20261124;
  p.state = "running";
  p.agents = {"agent-a", "agent-b", "agent-c"};
  p.phases = {"baseline", "capacity", "rest", "overload", "recovery"};
  p.phase = 3;
  p.elapsed_ns = 351'000 * kMs;
  p.total_ns = 730'000 * kMs;
  p.offered = 1500;
  p.sent_rate = 1499.8;
  p.recent_rates = {0, 200, 400, 600, 800, 1000, 1200, 1400, 1500, 1500, 1499};
  p.in_flight = 449;
  p.p50_ns = 452 * kMs;
  p.p99_ns = 470 * kMs;
  p.n = 4957;
  p.lag_p99_ns = 90 * kUs;
  p.wait_p99_ns = 0;
  p.outcomes = {{"ok", 991}, {"limit_near", 509}};
  p.agents_live = 3;
  p.clock_bound_ns = 40 * kUs;
  return p;
}

}  // namespace broadside::report
