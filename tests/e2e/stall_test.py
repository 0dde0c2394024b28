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


# What wrk's one connection measured, before wrk corrects its own statistics for what it left out.
WRK_SCRIPT = """
local ffi = require("ffi")
ffi.cdef("typedef struct { long sec, nsec; } when; int clock_gettime(int, when*);")
local at = ffi.new("when")
local function now()
  ffi.C.clock_gettime(1, at)
  return tonumber(at.sec) * 1e9 + tonumber(at.nsec)
end
local threads = {}
function setup(thread) table.insert(threads, thread) end
function init() sent, total, slow = 0, 0, 0 end
function request()
  sent = now()
  return wrk.format("GET", "/")
end
function response()
  total = total + 1
  if now() - sent > 20e6 then slow = slow + 1 end
end
function done()
  print("raw samples " .. threads[1]:get("total") .. " slow " .. threads[1]:get("slow"))
end
"""


class StallTest(harness.Case):

    def run_stall(self, connections):
        target = self.scripted_target("--stall-at", "1500ms", "--stall-for", "500ms")
        report = self.run_plan(PLAN.format(port=target.port, connections=connections), agents=1,
                               expect=self.LATE_OR_NOT)
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

    def test_wrk_hides_it(self):
        target = self.scripted_target("--latency", "1ms")

        def stall():
            harness.wait_for(lambda: target.stats()["arrivals"] > 500, 10, "wrk is running")
            harness.request(target.port, "/control/stall?ms=500", "POST")

        thread = threading.Thread(target=stall)
        thread.start()
        output = subprocess.run(
            ["wrk", "-t1", "-c1", "-d4s", "-s", self.write("raw.lua", WRK_SCRIPT),
             f"http://127.0.0.1:{target.port}/"],
            check=True, capture_output=True, text=True, timeout=60).stdout
        thread.join()
        total, late = map(int, re.search(r"raw samples (\d+) slow (\d+)", output).groups())
        print(f"\nwrk, same stall, one connection: {late} of {total} samples are slow")
        # One request sat through the stall; the others were not sent. (A noisy machine adds a few.)
        self.assertGreater(total, 500)
        self.assertTrue(1 <= late <= 20, late)
        self.assertLess(late, total / 100, "the stall is not even in wrk's P99")


if __name__ == "__main__":
    harness.main()
