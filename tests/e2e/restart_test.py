"""kill -9 of the controller at random instants of a run, restarted after 1, 5 and 15 s: the run goes on,
agents fall silent within one lease, and the report says exactly what is missing.

    restart_test.py --times 20 --seed 7     20 of each, as `make soak` does, at the instants of seed 7
"""

import argparse
import random
import signal
import sys
import time

import fleet
import harness

PLAN = """
name: restart
seed: {seed}
stamp: true
targets:
  page: {{protocol: http, url: "http://127.0.0.1:{port}/page"}}
load:
  - {{phase: hold, rate: {rate}/s, duration: {seconds}s}}
limits: {{timeout: 2s, in_flight: 2048/agent}}
agents: {{min: 3}}
"""
LEASE = 3.0
INTERVAL = 1.0


class Restarted:
    """One run whose controller is killed; several go on at once, each on ports of its own."""

    def __init__(self, case, number, away, rng):
        self.case, self.away = case, away
        self.name = f"restart-{number} ({away:g} s away)"
        self.seconds = 14 + away
        self.rate = 120
        self.kill_after = rng.uniform(1.0, 9.0)
        self.store = case.path(f"store-{number}")
        self.target = case.scripted_target("--latency", "10ms", arrivals=True)
        self.grpc, self.http = harness.free_port(), harness.free_port()
        self.start_controller()
        self.agents = case.agents(self.controller, 3)
        plan = case.write(f"plan-{number}.yaml", PLAN.format(
            port=self.target.port, rate=self.rate, seconds=self.seconds, seed=number + 1))
        self.ctl = harness.BackgroundCtl(case, "run", plan, "--output", "json", "--controller",
                                         self.controller.address)
        # The instant of the kill counts from the first request, which is T0 within a few ms.
        harness.wait_for(lambda: self.target.stats()["arrivals"] > 0, 20, "the first request")
        self.began = time.monotonic()

    def start_controller(self):
        self.controller = self.case.start_with_ports("controller", [
            harness.program("broadside-controller"), "--listen", f"127.0.0.1:{self.grpc}",
            "--http", f"127.0.0.1:{self.http}", "--store", self.store])
        self.controller.address = f"127.0.0.1:{self.grpc}"

    def steps(self):
        """(when, what to do) from `began` on."""
        return [(self.began + self.kill_after, self.kill),
                (self.began + self.kill_after + self.away, self.restart)]

    def kill(self):
        self.controller.signal(signal.SIGKILL)
        self.controller.wait()
        self.killed_at = time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    def restart(self):
        # The steps of the other runs may have held this one's up.
        self.was_away = (time.clock_gettime_ns(time.CLOCK_BOOTTIME) - self.killed_at) / 1e9
        self.start_controller()

    def finish(self):
        """The report, checked for what holds after any restart."""
        case = self.case
        result = self.ctl.result(90)
        report = result.json()
        case.check_ledger(report)
        self.arrivals = self.target.arrivals()
        fleet.check_stamps(case, report, self.arrivals)
        ledger = report["ledger"]
        case.assertEqual(ledger["scheduled"], self.rate * self.seconds, self.name)
        case.assertIn("lost the controller", result.stderr)
        case.assertIn("back with the controller", result.stderr)
        case.assertEqual(report["run"]["state"], "completed", self.name)
        case.assertIn(result.code, (0, 7), self.name)
        missing = ledger["expired"] + ledger["unowned"] + ledger["unreported"]
        print(f"{self.name}: killed at {self.kill_after:.2f} s, sent {ledger['sent']} of "
              f"{ledger['scheduled']}, expired {ledger['expired']}, unowned {ledger['unowned']}, "
              f"unreported {ledger['unreported']}, "
              f"{report['verdicts']['validity']['verdict']}, last request "
              f"{self.last_before_gap():.2f} s after the kill", flush=True)
        return report, missing

    def last_before_gap(self):
        """Seconds from the kill to the last request before the longest pause after it."""
        after = sorted(a.at for a in self.arrivals if a.at > self.killed_at - 200_000_000)
        gaps = [(b - a, a) for a, b in zip(after, after[1:])]
        return (max(gaps)[1] - self.killed_at) / 1e9


class RestartTest(harness.Case):
    times = 2
    seed = None

    def test_killed_at_random_instants(self):
        seed = self.seed if self.seed is not None else random.randrange(1 << 32)
        print(f"\nseed {seed}", flush=True)
        rng = random.Random(seed)
        for _ in range(0, self.times, 2):
            self.round(rng)

    def round(self, rng):
        """Two kills of each kind, all at once."""
        runs = [Restarted(self, len(self.processes), away, rng) for away in (1, 1, 5, 5, 15, 15)]
        steps = sorted((step for run in runs for step in run.steps()), key=lambda step: step[0])
        for when, what in steps:
            time.sleep(max(0, when - time.monotonic()))
            what()
        for run in runs:
            report, missing = run.finish()
            if run.away == 1:
                self.assertEqual(missing, 0, run.name)
                continue
            # A lease outlives its last ask by D, and that ask may be D/3 old; then nobody sends.
            self.assertLessEqual(run.last_before_gap(), LEASE + 0.3, run.name)
            # All that came due in the silence is missing, and little more: until the agents are back.
            silence = run.was_away - LEASE
            self.assertGreaterEqual(missing, int(run.rate * silence * 0.9), run.name)
            self.assertEqual(report["ledger"]["unreported"], 0, run.name)
        for process in reversed(self.processes):
            process.kill()
        self.processes.clear()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=2)
    parser.add_argument("--seed", type=int)
    options, rest = parser.parse_known_args()
    RestartTest.times, RestartTest.seed = options.times, options.seed
    sys.argv = sys.argv[:1] + rest
    harness.main()
