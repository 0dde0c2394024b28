"""Load on a real Triton Inference Server: JSON and binary tensors, and Triton's own count agrees."""

import os

import harness

# Target, model, input, and a rate that a small CPU serves (resnet50 is 602 KB a request).
BERT = "{batch: 1, shapes: {input_ids: [32], attention_mask: [32]}}"
ECHO = "{batch: 1, shapes: {INPUT0: [4]}}"


class TritonTest(harness.Case):

    def setUp(self):
        super().setUp()
        self.triton = self.tritonserver()

    def run_model(self, model, shapes, encoding, rate, seconds=4):
        """Ramp then constant; ok replies equal what Triton's success counter moved by."""
        plan = f"""
name: {model}-{encoding}
targets:
  it:
    protocol: kserve-http
    url: http://127.0.0.1:{self.triton.port}
    model: {model}
    input: {{auto: {shapes}, encoding: {encoding}}}
load:
  - {{phase: ramp, ramp: {{from: {max(1, rate // 10)}/s, to: {rate}/s}}, duration: 2s}}
  - {{phase: hold, rate: {rate}/s, duration: {seconds}s}}
limits: {{timeout: 10s}}
"""
        before = self.triton.successes(model)
        report = self.run_plan(plan, agents=3, expect=self.LATE_OR_NOT)
        ledger = report["ledger"]
        self.assertGreater(ledger["sent"], 0)
        self.assertEqual(ledger["ok"], ledger["scheduled"], report["total"]["outcomes"])
        self.assertEqual(self.triton.successes(model) - before, ledger["ok"])
        return report

    def test_echo_at_a_thousand_a_second(self):
        for encoding in ("json", "binary"):
            with self.subTest(encoding):
                report = self.run_model("echo_fp32", ECHO, encoding, 1000)
                print(f"\n{encoding}: {report['ledger']['ok']} ok, latency P99 "
                      f"{report['total']['latency_ns']['p99'] / 1e6:.1f} ms, "
                      f"{report['verdicts']['validity']['verdict']}")

    def test_bert_base(self):
        for encoding in ("json", "binary"):
            with self.subTest(encoding):
                self.run_model("bert-base", BERT, encoding, 50)

    def test_resnet50_with_its_real_shape(self):
        report = self.run_model("resnet50", "{batch: 1}", "binary", 30)
        total = report["total"]
        self.assertGreater(total["bytes"]["out"] / total["ledger"]["sent"], 602_112)
        self.run_model("resnet50", "{batch: 1}", "json", 3)

    def test_ensemble(self):
        before = self.triton.successes("resnet50")
        report = self.run_model("ensemble_model", "{batch: 1}", "binary", 20)
        # Each request of the ensemble is one of its last step too.
        self.assertEqual(self.triton.successes("resnet50") - before, report["ledger"]["ok"])

    def test_the_examples_plan_for_the_whole_repository(self):
        plan = os.path.join(harness.EXAMPLES, "repository.yaml")
        url = f"http://127.0.0.1:{self.triton.port}"
        before = self.triton.successes("bert-base")
        report = self.run_plan(plan, "--set", f"defaults.url={url}",
                               "--set", "load.warm.duration=1s", "--set", "load.ramp.duration=2s",
                               "--set", "load.hold.duration=3s", agents=3,
                               expect=self.LATE_OR_NOT)
        self.assertEqual(set(report["targets"]), {"resnet50", "bert-base", "ensemble_model"})
        self.assertEqual(report["ledger"]["ok"], report["ledger"]["sent"])
        self.assertGreater(self.triton.successes("bert-base"), before)

    def test_a_model_that_is_not_there_is_said_before_any_load(self):
        plan = f"""
name: absent
targets:
  it: {{protocol: kserve-http, url: "http://127.0.0.1:{self.triton.port}", model: absent, input: auto}}
load:
  - {{phase: a, rate: 10/s, duration: 1s}}
"""
        result = self.ctl("run", self.write("plan.yaml", plan), "--agents", "1")
        self.assertNotEqual(result.code, 0)
        self.assertIn("absent", result.stderr)
        self.assertIn("not found", result.stderr)


if __name__ == "__main__":
    harness.main()
