"""Rules while a run goes on and after it: guards stop a whole fleet, windows and steps are judged."""

import harness

TARGET = """
name: rules
stamp: true
targets:
  echo:
    protocol: kserve-http
    url: http://127.0.0.1:{port}
    model: echo_fp32
    input: {{auto: {{batch: 1, shapes: {{INPUT0: [4]}}}}}}
"""
LEASE, INTERVAL = 3.0, 1.0


class RulesTest(harness.Case):

    def run_guarded(self, guard, *target_options, rate=300, evidence):
        """A run of three agents that `guard` ends `evidence` seconds after the trouble began."""
        target = self.scripted_target(*target_options, arrivals=True)
        plan = TARGET.format(port=target.port) + f"""
load: [{{phase: hold, rate: {rate}/s, duration: 30s}}]
limits: {{timeout: 10s}}
guards: ["{guard}"]
"""
        report = self.run_plan(plan, agents=3, expect=8)
        self.assertEqual(report["run"]["state"], "aborted")
        self.assertIn(f'guard "{guard}": ', report["run"]["state_reason"])
        arrivals = target.arrivals()
        stamps = [arrival.stamp for arrival in arrivals]
        self.assertEqual(len(stamps), len(set(stamps)), "an index was sent twice")
        self.assertEqual(len(stamps), report["ledger"]["sent"])
        # An interval until every agent has told, one of the controller's ticks, and the lease.
        took = (arrivals[-1].at - arrivals[0].at) / 1e9
        self.assertLess(took, evidence + 2 * INTERVAL + LEASE)
        print(f"\n{report['run']['state_reason']}; the last request {took:.1f} s after the first, "
              f"{report['ledger']['after_stop']} sent after the decision", flush=True)
        return report

    def test_an_error_guard_stops_three_agents(self):
        report = self.run_guarded("error_rate > 50% for 2s", "--fault", "exception=0.9",
                                  evidence=2.0)
        self.assertIn("ended in interval 0–1 (00:00–00:02)", report["run"]["state_reason"])

    def test_a_total_stall_fires_a_latency_guard(self):
        report = self.run_guarded("p99 > 1s over 2s", "--stall-at", "3s", "--stall-for", "40s",
                                  evidence=3.0 + 1.0 + 2.0)
        self.assertIn("beyond any bound", report["run"]["state_reason"])

    def test_steps_are_rows_and_windows_are_judged(self):
        target = self.scripted_target("--latency", "5ms", "--fault", "exception=0.02")
        report = self.run_plan(TARGET.format(port=target.port) + """
load:
  - {phase: c, steps: {from: 100/s, to: 300/s, by: 100/s, each: 2s}}
  - {phase: d, rate: 300/s, duration: 2s}
slo:
  - "p50 < 1s in c[1..2]"
  - "error_rate < 50% for 2s"
  - "p50 < 1s over 3s in c"
  - "error_rate > 90% for 2s in d"
""", agents=3, expect=(4, 7))
        phases = {row["name"]: row for row in report["phases"]}
        self.assertEqual(list(phases), ["c[0]", "c[1]", "c[2]", "d"])
        self.assertEqual([row["ledger"]["scheduled"] for row in phases.values()],
                         [200, 400, 600, 600])
        self.assertEqual([row["asked"] for row in phases.values()],
                         ["100/s", "200/s", "300/s", "300/s"])
        results = [(rule["verdict"], rule["reason"]) for rule in report["verdicts"]["slo"]["results"]]
        self.assertEqual([verdict for verdict, _ in results], ["pass", "pass", "pass", "fail"])
        self.assertIn("over 1,000 scheduled", results[0][1])
        self.assertEqual(results[1][1], "true in all of 8 intervals")
        self.assertEqual(results[2][1], "true in all of 4 windows")
        self.assertTrue(results[3][1].startswith(
            "not true in 2 of 2 intervals, first in interval 6 (00:06–00:07): "), results[3][1])


if __name__ == "__main__":
    harness.main()
