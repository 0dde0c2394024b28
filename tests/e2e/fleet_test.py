"""Agents that die, join, leave and freeze in the middle of a run: the schedule goes on, and what is missing
is said.
"""

import signal
import time

import fleet
import harness

PLAN = """
name: fleet
seed: 11
stamp: true
targets:
  page: {{protocol: http, url: "http://127.0.0.1:{port}/page"}}
load:
  - {{phase: hold, rate: {rate}/s, duration: {seconds}s}}
limits: {{timeout: 2s, in_flight: 2048/agent}}
agents: {{min: {agents}{more}}}
"""
LEASE, INTERVAL = 3.0, 1.0
# "Within one lease plus two intervals", and the arrivals are counted in whole tenths of a second.
BACK = LEASE + 2 * INTERVAL + 0.1


class FleetTest(harness.Case):

    def begin(self, rate, seconds, agents=3, more=""):
        """A run under way: its first request has come."""
        self.rate = rate
        self.target = self.scripted_target("--latency", "10ms", arrivals=True)
        self.server = self.controller()
        self.fleet = self.agents(self.server, agents)
        plan = self.write("plan.yaml", PLAN.format(port=self.target.port, rate=rate,
                                                   seconds=seconds, agents=agents, more=more))
        self.run_ctl = harness.BackgroundCtl(self, "run", plan, "--output", "json", "--controller",
                                             self.server.address)
        harness.wait_for(lambda: self.target.stats()["arrivals"] > 0, 20, "the first request")
        self.began = self.now()

    @staticmethod
    def now():
        """Seconds of the clock that the server's log is in."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def sleep_until(self, second):
        time.sleep(max(0, self.began + second - self.now()))

    def finish(self, expect=harness.Case.LATE_OR_NOT):
        result = self.run_ctl.result(60)
        report = result.json()
        self.assertIn(result.code, expect, result.stderr[-2000:])
        self.check_ledger(report)
        self.arrivals = self.target.arrivals()
        fleet.check_stamps(self, report, self.arrivals)
        self.stderr = result.stderr
        return report

    def rate_between(self, start, end):
        """Requests a second that the server saw from `start` to `end`."""
        seen = sum(start * 1e9 <= a.at < end * 1e9 for a in self.arrivals)
        return seen / (end - start)

    def full_again(self, since):
        """Seconds from `since` until the rate is the plan's and stays so for a second."""
        for tenth in range(0, 120):
            start = since + tenth / 10
            if self.rate_between(start, start + 1) >= 0.99 * self.rate:
                return tenth / 10
        raise AssertionError("the rate did not come back within 12 s")

    def of_connection(self, connections, start, end):
        return sum(a.connection in connections and start * 1e9 <= a.at < end * 1e9
                   for a in self.arrivals)

    def test_a_killed_agent(self):
        self.begin(1000, 14)
        self.sleep_until(3.4)
        killed = self.now()
        self.fleet[1].kill()
        report = self.finish()
        ledger = report["ledger"]
        back = self.full_again(killed + 0.2)
        print(f"\nback after {back + 0.2:.1f} s, unowned {ledger['unowned']}, "
              f"unreported {ledger['unreported']}")
        self.assertLessEqual(back + 0.2, BACK)
        self.assertEqual(ledger["scheduled"], 14_000)
        self.assertGreater(ledger["unreported"], 0)
        # A third of the rate for the span that it had been granted and did not report.
        self.assertLessEqual(ledger["unreported"] + ledger["unowned"], 1000 / 3 * (BACK + 1))
        missing = report["coverage"]["missing"]
        self.assertTrue(missing)
        self.assertEqual({gap["agent"] for gap in missing}, {"agent-b"})
        self.assertTrue(all(gap["why"] == "the agent was lost" for gap in missing), missing)
        verdict = report["verdicts"]["validity"]
        self.assertNotEqual(verdict["verdict"], "VALID")
        self.assertTrue(any("not reported" in reason for reason in verdict["reasons"]), verdict)

    def test_on_loss_fail_ends_the_run(self):
        self.begin(200, 30, more=", on_loss: fail")
        self.sleep_until(2.3)
        killed = self.now()
        self.fleet[0].kill()
        report = self.finish(expect=(3,))
        self.assertEqual(report["run"]["state"], "failed")
        last = max(a.at for a in self.arrivals) / 1e9
        self.assertLess(last - killed, LEASE + INTERVAL)
        self.assertIn("an agent was lost and the plan says on_loss: fail", self.run_reason())

    def run_reason(self):
        return self.ctl("runs", "--controller", self.server.address, "--output", "json").stdout

    def test_a_joining_agent_takes_its_share_and_a_draining_one_leaves_no_gap(self):
        self.begin(600, 16, agents=2)
        self.sleep_until(2)
        joined = self.now()
        self.agent(self.server, "agent-z")
        self.sleep_until(9)
        drained = self.now()
        self.fleet[0].signal(signal.SIGTERM)
        report = self.finish()
        ledger = report["ledger"]
        self.assertEqual((ledger["unowned"], ledger["unreported"], ledger["expired"]), (0, 0, 0))
        self.assertEqual(ledger["sent"], 16 * 600)
        self.assertEqual(report["coverage"]["missing"], [])
        self.assertEqual(self.fleet[0].wait(10), 0, "the drained agent ended in good order")
        sent = {agent["id"]: agent["sent"] for agent in report["agents"]}
        # From within a lease and two intervals on a third is its own, and half once the other left.
        self.assertGreater(sent["agent-z"], 200 * (drained - joined - BACK) + 300 * 2)
        before = set(a.connection for a in self.arrivals if a.at < joined * 1e9)
        first = min(a.at for a in self.arrivals if a.connection not in before) / 1e9
        print(f"\nthe joiner fired after {first - joined:.2f} s")
        self.assertLessEqual(first - joined, BACK)

    def test_a_frozen_agent_sends_nothing_that_it_no_longer_owns(self):
        self.begin(300, 22)
        self.sleep_until(3.2)
        frozen = self.fleet[2]
        frozen.signal(signal.SIGSTOP)
        stopped = self.now()
        time.sleep(3 * LEASE)
        frozen.signal(signal.SIGCONT)
        woken = self.now()
        report = self.finish()  # checks that no stamp came twice
        ledger = report["ledger"]
        self.assertLessEqual(self.full_again(stopped + 0.2) + 0.2, 1.5 * LEASE + 2 * INTERVAL + 0.1)
        # It is back in the fleet, its figures are whole: nothing remains that only it knew.
        self.assertEqual(ledger["unreported"], 0)
        self.assertEqual(ledger["in_flight"], 0)
        # In the instant after it woke the server saw the others' share and no burst of the past.
        self.assertLessEqual(self.rate_between(woken, woken + 0.5), 1.1 * self.rate + 64 / 0.5)
        print(f"\nexpired {ledger['expired']}, unowned {ledger['unowned']}")
        self.assertGreater(ledger["expired"] + ledger["unowned"], 0)

    def test_a_second_process_with_an_id_in_use_gets_no_shard(self):
        self.begin(100, 5, agents=1)
        self.agent(self.server, "agent-a")
        listed = harness.wait_for(
            lambda: [a for a in self.listed() if a["state"] == "refused"], 10, "it is refused")
        self.assertRegex(listed[0]["reason"], r"^agent id agent-a is in use by a process on \S+: "
                                              r"give each agent its own --id$")
        report = self.finish()
        self.assertEqual(report["ledger"]["sent"], 500)
        self.assertEqual(len(report["agents"]), 1)

    def listed(self):
        result = self.ctl("agents", "--controller", self.server.address, "--output", "json")
        listed = result.json()
        return listed["agents"] if isinstance(listed, dict) else listed


if __name__ == "__main__":
    harness.main()
