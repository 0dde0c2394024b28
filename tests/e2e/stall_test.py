"""A server that freezes for half a second at 1,000/s: an open loop sees about 500 slow requests, with
room in flight as service time, with one connection as wait. wrk beside it shows what a closed loop hides.
"""

import re
import subprocess
import threading

import harness

PLAN = """
name: stall
targets:
  echo:
    protocol: kserve-http
    url: http://127.0.0.1:{port}
    model: echo_fp32
    input: {{auto: {{batch: 1, shapes: {{INPUT0: [4]}}}}}}
load:
  - {{phase: hold, rate: 1000/s, duration: 4s}}
limits: {{timeout: 5s, in_flight: 1024/agent, connections: {connections}}}
"""
MS = 1_000_000


def slow(summary_section, bound):
    """Ok replies slower than `bound` ns, by the report's bars."""
    return sum(bar["count"] for bar in summary_section["bars"] if bar["low"] >= bound)


class StallTest(harness.Case):

    def run_stall(self, connections):
        target = self.scripted_target("--stall-at", "1500ms", "--stall-for", "500ms")
        report = self.run_plan(PLAN.format(port=target.port, connections=connections), agents=1)
        self.assertEqual(report["ledger"]["ok"], 4000)
        self.assertEqual(target.stats()["stalled_ns"], 500 * MS)
        total = report["total"]
        # Due during the stall: 500 requests, evenly from 500 ms down to nothing.
        self.assertTrue(430 <= slow(total, 20 * MS) <= 620, total["bars"])
        # 200 of 4,000 are slower than P95: those due in the first 200 ms of the stall.
        p95 = total["latency_ns"]["p95"]
        self.assertTrue(250 * MS <= p95 <= 420 * MS, p95)
        return total

    def test_with_room_in_flight_service_time_shows_it(self):
        total = self.run_stall("1024/agent")
        self.assertGreater(total["service_ns"]["p95"], 230 * MS)
        self.assertLess(total["wait_ns"]["p95"], 50 * MS)
        print(f"\nroom: latency P99 {total['latency_ns']['p99'] / MS:.0f} ms, "
              f"service P99 {total['service_ns']['p99'] / MS:.0f} ms")

    def test_with_one_connection_wait_shows_it(self):
        total = self.run_stall("1/agent")
        self.assertGreater(total["wait_ns"]["p95"], 230 * MS)
        self.assertLess(total["service_ns"]["p99"], 50 * MS)
        print(f"\none connection: latency P99 {total['latency_ns']['p99'] / MS:.0f} ms, "
              f"wait P99 {total['wait_ns']['p99'] / MS:.0f} ms")

    def test_wrk_stops_asking(self):
        """A closed loop meets the stall with as many requests as it has connections, here 2; wrk
        then adds made-up samples to its percentiles, but the load was not there."""
        target = self.scripted_target("--latency", "1ms", arrivals=True)

        def stall():
            harness.wait_for(lambda: target.stats()["arrivals"] > 500, 10, "wrk is running")
            harness.request(target.port, "/control/stall?ms=500", "POST")

        thread = threading.Thread(target=stall)
        thread.start()
        output = subprocess.run(
            ["wrk", "-t1", "-c2", "-d4s", "--latency", f"http://127.0.0.1:{target.port}/"],
            check=True, capture_output=True, text=True, timeout=60).stdout
        thread.join()
        at = sorted(arrival.at for arrival in target.arrivals())
        gap, after = max((later - earlier, later) for earlier, later in zip(at, at[1:]))
        self.assertGreater(gap, 450 * MS)
        # What had queued up while the server was frozen comes in one burst behind the gap.
        burst = sum(1 for instant in at if after <= instant < after + MS // 2)
        self.assertLessEqual(burst, 4)
        rate = len(at) / 3.5
        self.assertGreater(rate / 2 - burst, 100)
        p99 = re.search(r"99%\s+(\S+)", output).group(1)
        print(f"\nwrk, same stall: {burst} requests met it; an open loop of its own rate "
              f"({rate:.0f}/s) would have sent {rate / 2:.0f}. Its P99, corrected by guess: {p99}")


if __name__ == "__main__":
    harness.main()
