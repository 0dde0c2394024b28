"""`make soak`: a long run at 1,000/s on a server that stalls every 20 s. Not part of `make test`."""

import argparse
import os
import sys

import harness

PLAN = """
name: soak
arrivals: poisson
stamp: true
targets:
  echo:
    protocol: kserve-http
    url: http://127.0.0.1:{port}
    model: echo_fp32
    input: {{auto: {{batch: 1, shapes: {{INPUT0: [4]}}}}}}
load:
  - {{phase: soak, rate: 1000/s, duration: {minutes}m}}
limits: {{timeout: 5s, in_flight: 4096/agent}}
"""


def resident(process):
    with open(f"/proc/{process.child.pid}/status") as file:
        for line in file:
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    return 0


class Soak(harness.Case):
    minutes = 10

    def test_soak(self):
        target = self.scripted_target("--latency", "lognormal:5ms,0.5", "--stall-every", "20s",
                                      "--stall-for", "200ms", "--fault", "queue_full=0.01",
                                      arrivals=True)
        controller = self.controller()
        processes = [controller, *self.agents(controller, 3)]
        before = [resident(process) for process in processes]
        report = self.run_plan(PLAN.format(port=target.port, minutes=self.minutes),
                               controller=controller, seconds=self.minutes * 60 + 120)
        arrivals = target.arrivals()
        self.assertEqual(len(arrivals), report["ledger"]["sent"])
        self.assertEqual(len({arrival.stamp for arrival in arrivals}), len(arrivals))
        self.assert_valid(report)
        for process, old in zip(processes, before):
            now = resident(process)
            print(f"{process.name}: {old / 1e6:.0f} MB before, {now / 1e6:.0f} MB after")
            self.assertLess(now, 300e6, process.name)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=int, default=10)
    Soak.minutes = parser.parse_args().minutes
    sys.argv = sys.argv[:1]
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    harness.main()
