"""The scripted target answers as a real Triton does: same status, same type, same text."""

import os
import shutil
import threading
import unittest

import harness
import honest_cases

MODELS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "triton_models")


class HonestTest(harness.Case):

    def setUp(self):
        super().setUp()
        repository = self.path("models")
        shutil.copytree(os.path.join(harness.EXAMPLES, "model_repository"), repository)
        shutil.copytree(MODELS, repository, dirs_exist_ok=True)
        self.triton = self.tritonserver(repository)
        self.target = self.scripted_target()

    def seen(self, port, method, path, headers, body):
        reply = harness.request(port, path, method, body, headers)
        return (reply.status, reply.reason, reply.headers["Content-Type"],
                reply.headers["Inference-Header-Content-Length"], reply.body)

    def test_every_case_reads_the_same(self):
        cases = honest_cases.cases()
        self.assertGreaterEqual(len(cases), 60)
        for name, *request in cases:
            with self.subTest(name):
                self.assertEqual(self.seen(self.target.port, *request),
                                 self.seen(self.triton.port, *request))

    def crowd(self, model, count):
        """Error replies of `count` requests sent at once to a slow model."""
        errors = []

        def one():
            reply = harness.request(self.triton.port, f"/v2/models/{model}/infer", "POST",
                                    honest_cases.infer())
            if reply.status != 200:
                errors.append((reply.status, reply.headers["Content-Type"], reply.body))

        threads = [threading.Thread(target=one) for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return set(errors)

    def scripted(self, fault, body=None):
        reply = harness.request(self.target.port, honest_cases.ECHO, "POST",
                                body or honest_cases.infer(), {"broadside-fault": fault})
        return reply.status, reply.headers["Content-Type"], reply.body

    def test_a_full_queue_reads_the_same(self):
        self.assertEqual(self.crowd("queue_of_one", 8), {self.scripted("queue_full")})

    def test_a_queue_timeout_reads_the_same(self):
        self.assertEqual(self.crowd("impatient", 4), {self.scripted("queue_timeout")})

    def test_errors_of_the_model_read_the_same(self):
        def triton(kind):
            body = honest_cases.infer(data=(kind,))
            reply = harness.request(self.triton.port, "/v2/models/boom/infer", "POST", body)
            return reply.status, reply.headers["Content-Type"], reply.body

        self.assertEqual(triton(0), self.scripted("unavailable"))
        # Traceback and model name differ; what a client can go by is the same.
        status, kind, body = triton(1)
        ours = self.scripted("exception")
        self.assertEqual((status, kind), ours[:2])
        marker = b"Failed to process the request(s) for model '"
        self.assertIn(marker, body)
        self.assertIn(marker, ours[2])
        triton(2)  # the model's process ends
        harness.wait_for(lambda: b"is not healthy" in triton(0)[2], 30, "Triton sees the dead stub")
        status, kind, body = triton(0)
        self.assertEqual((status, kind, body.replace(b"boom_0_0", b"echo_fp32_0_0")),
                         self.scripted("stub_died"))

    def test_a_decoupled_model_reads_the_same(self):
        reply = harness.request(self.triton.port, "/v2/models/decoupled/infer", "POST",
                                honest_cases.infer())
        self.assertEqual((reply.status, reply.headers["Content-Type"], reply.body),
                         self.scripted("decoupled"))


if __name__ == "__main__":
    harness.main()
