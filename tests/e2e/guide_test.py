"""The guide's own files work as they are: targets.txt with its payload, config.pbtxt as an input shape.

The guide's server is at localhost:8000; `connect_to` dials the test's server instead, so that not one
letter of the files is changed.
"""

import os

import harness

GUIDE = os.path.join(harness.EXAMPLES, "guide")


class GuideTest(harness.Case):

    def setUp(self):
        super().setUp()
        self.target = self.scripted_target("--latency", "2ms", arrivals=True)
        self.connect = f"targets.resnet50.connect_to=127.0.0.1:{self.target.port}"

    def check_arrivals(self, report):
        arrivals = self.target.arrivals()
        self.assertEqual(len(arrivals), report["ledger"]["sent"])
        self.assertEqual({(a.model, a.status) for a in arrivals}, {("resnet50", 200)})
        self.assertEqual(report["ledger"]["ok"], report["ledger"]["scheduled"])

    def test_targets_txt(self):
        with open(os.path.join(GUIDE, "targets.txt")) as file:
            self.assertEqual(file.read(),
                             "POST http://localhost:8000/v2/models/resnet50/infer\n"
                             "Content-Type: application/json\n@payload.json\n")
        report = self.run_plan(os.path.join(GUIDE, "targets.yaml"), "--set", self.connect,
                               "--set", "load.attack.rate=20/s",
                               "--set", "load.attack.duration=3s", agents=2, cwd=GUIDE,
                               expect=self.LATE_OR_NOT)
        self.assertEqual(report["ledger"]["scheduled"], 60)
        self.check_arrivals(report)

    def test_targets_txt_without_a_plan(self):
        """The one-liner, with the guide's host and port exactly as they are written."""
        result = self.ctl("run", "--targets", "targets.txt", "--rate", "20/s", "--duration", "3s",
                          "--dry-run", cwd=GUIDE)
        self.assertEqual(result.code, 0, result.stderr)
        self.assertIn("20/s", result.stdout)

    def test_config_pbtxt_gives_the_shape(self):
        report = self.run_plan(os.path.join(GUIDE, "resnet50.yaml"), "--set", self.connect,
                               "--set", "load.ramp.duration=1s", "--set", "load.hold.duration=2s",
                               agents=2, cwd=GUIDE,
                               expect=self.LATE_OR_NOT)
        self.check_arrivals(report)
        total = report["total"]
        sent = total["ledger"]["sent"]
        # [1, 3, 224, 224] FP32 as raw bytes: anything else is not the guide's shape.
        self.assertTrue(602_112 < total["bytes"]["out"] / sent < 603_500, total["bytes"])


if __name__ == "__main__":
    harness.main()
