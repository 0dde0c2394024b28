"""Three agents' merged numbers against their pooled raw records, worked out here anew; and the server's
own log of stamped arrivals against the ledger.
"""

import collections
import csv
import glob

import harness
import hdr

# Every class that a plain server can make: shares of what it answers, two of them with a slow tail.
FAULTS = {"queue_full": 0.06, "queue_timeout": 0.02, "rate_limit": 0.03, "exception": 0.03,
          "bad_shape": 0.02, "error_body": 0.02, "empty": 0.01, "redirect": 0.01,
          "gateway_timeout": 0.01, "reset": 0.01, "cut_mid": 0.01, "hang": 0.01,
          "no_upstream": 0.01, "overflow": 0.01, "garbage": 0.005}
PLAN = """
name: oracle
arrivals: poisson
seed: 5
stamp: true
targets:
  echo:
    protocol: kserve-http
    url: http://127.0.0.1:{port}
    model: echo_fp32
    input: {{auto: {{batch: 1, shapes: {{INPUT0: [4]}}}}, encoding: binary}}
    weight: 3
  page: {{protocol: http, url: "http://127.0.0.1:{port}/page"}}
load:
  - {{phase: warm, rate: 100/s, duration: 1s, measure: false}}
  - {{phase: ramp, ramp: {{from: 50/s, to: 600/s}}, duration: 3s}}
  - {{phase: hold, rate: 600/s, duration: 3s, arrivals: uniform}}
limits: {{timeout: 800ms, in_flight: 512/agent, connections: 128/agent}}
"""
PHASES = ("warm", "ramp", "hold")
TARGETS = ("echo", "page")
PERCENTILES = {"p50": 500_000, "p90": 900_000, "p95": 950_000, "p99": 990_000, "p999": 999_000}
REJECTED = {"limit_near", "limit_far", "eject", "app_breaker", "queue", "rate"}
NOT_SENT = {"dropped", "expired"}


class Record:
    """One line of --record-requests."""

    def __init__(self, row):
        self.stamp = (int(row["segment"]), int(row["index"]))
        self.phase = PHASES[int(row["phase"])]
        self.target = TARGETS[int(row["target"])]
        self.outcome = row["outcome"]
        self.due, self.ready, self.sent, self.first_byte, self.completed = (
            int(row[name]) if row[name] else None
            for name in ("due_ns", "ready_ns", "sent_ns", "first_byte_ns", "completed_ns"))


def read_records(path):
    with open(path) as file:
        lines = file.read().splitlines()
    lost = [line for line in lines if line.startswith("#")]
    if lost:
        raise AssertionError(f"{path}: {lost}")
    return [Record(row) for row in csv.DictReader(lines)]


MEASURES = {
    "latency_ns": lambda r: r.completed - r.due,
    "service_ns": lambda r: r.completed - r.sent,
    "wait_ns": lambda r: r.sent - r.ready,
    "first_byte_ns": lambda r: r.first_byte - r.sent,
}


class OracleTest(harness.Case):

    def run_it(self):
        self.target = self.scripted_target(
            "--latency", "bimodal:3ms,60ms,0.05", "--seed", "9",
            *(part for fault, share in FAULTS.items() for part in ("--fault", f"{fault}={share}")),
            arrivals=True)
        report = self.run_plan(PLAN.format(port=self.target.port), "--record-requests",
                               self.path("raw"), agents=3, expect=self.LATE_OR_NOT)
        files = sorted(glob.glob(self.path("raw*")))
        self.assertEqual(len(files), 3, files)
        self.by_agent = [read_records(path) for path in files]
        return report, [record for records in self.by_agent for record in records]

    def check_summary(self, summary, values, unanswered, place):
        self.assertEqual(summary["n"], len(values), place)
        expected = {name: hdr.percentile(values, ppm, unanswered)
                    for name, ppm in PERCENTILES.items()}
        self.assertEqual({name: summary[name] for name in PERCENTILES}, expected, place)
        if values:
            self.assertEqual((summary["min"], summary["max"]), (min(values), max(values)), place)
            self.assertAlmostEqual(summary["mean"], sum(values) / len(values), delta=1, msg=place)

    def check_section(self, section, records, place):
        """Every measure and class of one phase, target or total."""
        sent = [r for r in records if r.outcome not in NOT_SENT]
        ok = [r for r in sent if r.outcome == "ok"]
        counts = collections.Counter(r.outcome for r in sent)
        self.assertEqual({name: n for name, n in section["outcomes"].items() if n}, dict(counts),
                         place)
        for name, measure in MEASURES.items():
            unanswered = counts["timeout_client"] if name == "latency_ns" else 0
            self.check_summary(section[name], [measure(r) for r in ok], unanswered,
                               f"{place} {name}")
        self.check_summary(section["lag_ns"], [r.ready - r.due for r in sent], 0, f"{place} lag_ns")
        for outcome in counts:
            if outcome == "timeout_client":
                continue  # its time is the plan's timeout, not the server's
            values = [r.completed - r.due for r in sent if r.outcome == outcome]
            self.check_summary(section["by_outcome"][outcome]["latency_ns"], values, 0,
                               f"{place} {outcome}")
        # Slot for slot: each bar is a run of whole slots.
        slots = collections.Counter(hdr.slot_of(r.completed - r.due) for r in ok)
        for bar in section["bars"]:
            low, high = hdr.slot_of(bar["low"]), hdr.slot_of(bar["high"])
            self.assertEqual(bar["count"], sum(n for slot, n in slots.items() if low <= slot <= high),
                             f"{place} bar {bar}")
        self.assertEqual(sum(bar["count"] for bar in section["bars"]), len(ok), place)

    def test_merged_equals_pooled(self):
        report, records = self.run_it()
        stamps = [record.stamp for record in records]
        self.assertEqual(len(stamps), len(set(stamps)), "an arrival was taken twice")
        self.assertEqual(len(records), report["ledger"]["scheduled"])

        for phase in report["phases"]:
            self.check_section(phase, [r for r in records if r.phase == phase["name"]],
                               phase["name"])
        measured = [r for r in records if r.phase != "warm"]
        self.check_section(report["total"], measured, "total")
        for target in TARGETS:
            self.check_section(report["targets"][target],
                               [r for r in measured if r.target == target], target)
        seen = {outcome for outcome, n in report["total"]["outcomes"].items() if n}
        print(f"\n{len(records)} records, classes: {', '.join(sorted(seen))}")
        self.assertGreaterEqual(seen, {"ok", "queue", "rate", "error_server", "error_client",
                                       "error_reply", "redirect", "timeout_proxy",
                                       "timeout_client", "reset", "protocol", "eject",
                                       "limit_near"})

    def test_the_server_saw_what_the_ledger_says(self):
        report, records = self.run_it()
        ledger = report["ledger"]
        arrivals = self.target.arrivals()
        seen = collections.Counter(arrival.stamp for arrival in arrivals)
        self.assertEqual([stamp for stamp, n in seen.items() if n > 1], [], "sent twice")
        # Every failure here comes after the request's last byte: the server saw each one sent.
        self.assertEqual(len(arrivals), ledger["sent"])
        sent = {f"{report['run']['id']}/{segment}/{index}"
                for segment, index in (r.stamp for r in records if r.outcome not in NOT_SENT)}
        self.assertEqual(set(seen), sent)
        self.assertEqual(ledger["rejected"], sum(r.outcome in REJECTED for r in records))
        self.assertEqual(ledger["ok"], sum(r.outcome == "ok" for r in records))
        by_agent = sorted(len([r for r in rs if r.outcome not in NOT_SENT]) for rs in self.by_agent)
        self.assertEqual(sorted(agent["sent"] for agent in report["agents"]), by_agent)


if __name__ == "__main__":
    harness.main()
