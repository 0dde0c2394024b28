"""The demo's plan: one controller, three agents, a ramp and a constant phase, live progress, a report."""

import os
import re

import harness

PLAN = os.path.join(harness.EXAMPLES, "demo.yaml")


class DemoTest(harness.Case):

    def setUp(self):
        super().setUp()
        self.target = self.scripted_target("--latency", "lognormal:40ms,0.1", "--workers", "64",
                                           arrivals=True)
        self.url = f"targets.bert-base.url=http://127.0.0.1:{self.target.port}"

    def test_the_report_is_valid_and_the_numbers_are_right(self):
        report = self.run_plan(PLAN, "--set", self.url, agents=3)
        self.assertEqual(report["schema"], "broadside.report/v1")
        self.assertEqual(report["run"]["state"], "completed")
        self.assertEqual(report["verdicts"]["validity"]["verdict"], "VALID",
                         report["verdicts"]["validity"]["reasons"])
        self.assertEqual(report["verdicts"]["slo"]["verdict"], "pass")
        self.assertEqual([phase["name"] for phase in report["phases"]], ["ramp", "hold"])
        self.assertEqual(len(report["agents"]), 3)
        # 50 to 300/s over 8 s is 1400 requests, and 15 s at 300/s are 4500.
        self.assertAlmostEqual(report["phases"][0]["ledger"]["scheduled"], 1400, delta=1)
        self.assertAlmostEqual(report["phases"][1]["ledger"]["scheduled"], 4500, delta=1)
        self.assertEqual(report["ledger"]["ok"], report["ledger"]["scheduled"])
        self.assertEqual(len(self.target.arrivals()), report["ledger"]["sent"])
        p50 = report["total"]["latency_ns"]["p50"]
        self.assertTrue(38e6 < p50 < 46e6, p50)
        self.assertEqual(report["coverage"]["intervals"], report["coverage"]["complete"])

    def test_text_for_people_and_plain_progress_on_a_pipe(self):
        result = self.ctl("run", PLAN, "--agents", "3", "--set", self.url,
                          "--set", "load.ramp.duration=2s", "--set", "load.hold.duration=3s")
        self.assertEqual(result.code, 0, result.stdout + result.stderr)
        for text in (r"VALID", r"\bPASS\b", r"\bramp\b", r"\bhold\b", r"P99", r"closes", r"agent"):
            self.assertRegex(result.stdout, text)
        self.assertNotIn("\x1b", result.stdout + result.stderr)
        lines = [line for line in result.stderr.splitlines() if re.search(r"\d/s", line)]
        self.assertGreaterEqual(len(lines), 3, "a line an interval on stderr:\n" + result.stderr)


if __name__ == "__main__":
    harness.main()
