"""A real Prometheus scrapes the controller; its own P99 of the run agrees with the report's."""

import subprocess
import time

import harness

PLAN = """
name: prometheus
targets:
  echo:
    protocol: kserve-http
    url: http://127.0.0.1:{port}
    model: echo_fp32
    input: {{auto: {{batch: 1, shapes: {{INPUT0: [4]}}}}}}
load:
  - {{phase: hold, rate: 200/s, duration: 60s}}
limits: {{timeout: 5s}}
"""
P99 = ('histogram_quantile(0.99, sum by (le, model) '
       '(increase(broadside_request_duration_seconds_bucket{outcome="ok"}[60s]%s)))')


def bucket_of(seconds):
    """The classic bucket that holds a value: 100 us * 2^(k/2)."""
    low, k = 0.0, 0
    while True:
        high = 100e-6 * 2 ** (k / 2)
        if seconds <= high:
            return low, high
        low, k = high, k + 1


def value(vector):
    return float(vector[0]["value"][1]) if vector else None


class PrometheusTest(harness.Case):

    def promtool(self, port):
        metrics = harness.request(port, "/metrics").body
        result = subprocess.run(["promtool", "check", "metrics"], input=metrics,
                                capture_output=True, timeout=30)
        self.assertEqual((result.returncode, result.stderr.decode(), result.stdout.decode()),
                         (0, "", ""))
        return metrics.decode()

    def test_a_scraped_run(self):
        target = self.scripted_target("--latency", "lognormal:8ms,0.4")
        controller = self.controller()
        agents = self.agents(controller, 3)
        prometheus = self.prometheus([controller.http, *(agent.http for agent in agents)])
        self.promtool(controller.http)
        # Discovery works on a 5 s tick: the first scrape is late.
        harness.wait_for(lambda: len(prometheus.query("up == 1")) == 4, 30, "all are scraped")

        report = self.run_plan(PLAN.format(port=target.port), controller=controller,
                               expect=self.LATE_OR_NOT)
        ended = time.time()
        total = sum(report["ledger"][key] for key in ("ok", "rejected", "failed"))
        harness.wait_for(
            lambda: value(prometheus.query("sum(broadside_requests_total)")) == total, 20,
            "the last requests are scraped")

        vector = prometheus.query(P99 % f" @ {ended:.3f}")
        self.assertEqual(len(vector), 1, vector)
        self.assertEqual(vector[0]["metric"].get("model"), "echo_fp32")
        estimate = value(vector)
        p99 = report["total"]["latency_ns"]["p99"] / 1e9
        low, high = bucket_of(p99)
        print(f"\nP99: report {p99 * 1e3:.2f} ms, Prometheus {estimate * 1e3:.2f} ms, "
              f"bucket {low * 1e3:.2f} to {high * 1e3:.2f} ms")
        self.assertTrue(low <= estimate <= high, (low, estimate, high))

        text = self.promtool(controller.http)
        for name in ("broadside_requests_total", "broadside_request_duration_seconds_bucket",
                     "broadside_run_info", "process_cpu_seconds_total"):
            self.assertIn(name, text)
        for agent in agents:
            self.assertIn("process_cpu_seconds_total", self.promtool(agent.http))

    def test_series_are_there_at_zero_before_the_first_request(self):
        target = self.scripted_target("--latency", "5ms")
        controller = self.controller()
        self.agents(controller, 1)
        seen = []

        def scrape():
            text = harness.request(controller.http, "/metrics").text()
            seen.extend(line for line in text.splitlines()
                        if line.startswith("broadside_requests_total{"))
            return seen

        plan = self.write("plan.yaml", PLAN.format(port=target.port).replace("60s}", "2s}"))
        run = self.start("ctl", [harness.program("ctl"), "run", plan, "--controller",
                                 controller.address, "--output", "json"])
        harness.wait_for(scrape, 20, "the run's series appear")
        self.assertEqual({line.rsplit(" ", 1)[1] for line in seen}, {"0"})
        self.assertIn(run.wait(60), self.LATE_OR_NOT)


if __name__ == "__main__":
    harness.main()
