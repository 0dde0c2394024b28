"""The rate that leaves is the rate that was asked for: 100, 1,000 and 10,000/s, uniform and poisson.

BROADSIDE_ACCURACY_SECONDS sets the length of each run (5 in the suite, 60 in `make bench`).
"""

import os

import harness
import hdr

SECONDS = int(os.environ.get("BROADSIDE_ACCURACY_SECONDS", "5"))

PLAN = """
name: accuracy
arrivals: {arrivals}
seed: 11
targets:
  echo:
    protocol: kserve-http
    url: http://127.0.0.1:{port}
    model: echo_fp32
    input: {{auto: {{batch: 1, shapes: {{INPUT0: [4]}}}}}}
load:
  - {{phase: hold, rate: {rate}/s, duration: {seconds}s}}
limits: {{timeout: 5s, in_flight: 4096/agent}}
"""


class AccuracyTest(harness.Case):

    def run_rate(self, rate, arrivals):
        target = self.scripted_target("--latency", "500us", arrivals=True)
        plan = PLAN.format(port=target.port, rate=rate, arrivals=arrivals, seconds=SECONDS)
        # Any verdict of validity: on a busy machine lag is for the eye, the counts must be right.
        report = self.run_plan(plan, agents=2, seconds=60 + 2 * SECONDS, expect=self.LATE_OR_NOT)
        ledger, total = report["ledger"], report["total"]
        lag = total["lag_ns"]
        print(f"\n{rate}/s {arrivals}: sent {ledger['sent']} of {rate * SECONDS}, lag P50 "
              f"{lag['p50'] / 1e3:.0f} us, P99 {lag['p99'] / 1e3:.0f} us, latency P99 "
              f"{total['latency_ns']['p99'] / 1e6:.2f} ms, "
              f"{report['verdicts']['validity']['verdict']}")
        self.assertEqual(len(target.arrivals()), ledger["sent"])
        return ledger

    def check_uniform(self, rate):
        ledger = self.run_rate(rate, "uniform")
        self.assertEqual(ledger["scheduled"], rate * SECONDS)
        self.assertAlmostEqual(ledger["sent"] / SECONDS, rate, delta=rate / 1000)

    def check_poisson(self, rate):
        ledger = self.run_rate(rate, "poisson")
        low, high = hdr.poisson_band(rate * SECONDS)
        self.assertTrue(low <= ledger["scheduled"] <= high, ledger)
        self.assertEqual(ledger["sent"], ledger["scheduled"])

    def test_uniform_100(self):
        self.check_uniform(100)

    def test_uniform_1000(self):
        self.check_uniform(1_000)

    def test_uniform_10000(self):
        self.check_uniform(10_000)

    def test_poisson_100(self):
        self.check_poisson(100)

    def test_poisson_1000(self):
        self.check_poisson(1_000)

    def test_poisson_10000(self):
        self.check_poisson(10_000)


if __name__ == "__main__":
    harness.main()
