"""The scripted target behaves as it is told."""

import json
import socket
import struct
import threading
import time
import unittest

import harness
import honest_cases

INFER = honest_cases.ECHO


def infer(target, fault=None, **headers):
    if fault:
        headers["broadside-fault"] = fault
    return harness.request(target.port, INFER, "POST", honest_cases.infer(), headers)


class TargetTest(harness.Case):

    def test_answers_a_plain_request(self):
        target = self.scripted_target()
        reply = harness.request(target.port, "/some/page?x=1")
        self.assertEqual((reply.status, reply.json()), (200, {"ok": True}))

    def test_models_have_the_shapes_of_the_example_repository(self):
        target = self.scripted_target()
        raw = struct.pack("<f", 0) * (3 * 224 * 224)
        head = json.dumps({
            "inputs": [{"name": "input", "shape": [1, 3, 224, 224], "datatype": "FP32",
                        "parameters": {"binary_data_size": len(raw)}}],
            "outputs": [{"name": "output", "parameters": {"binary_data": True}}]}).encode()
        reply = harness.request(target.port, "/v2/models/resnet50/infer", "POST", head + raw,
                                {"Inference-Header-Content-Length": str(len(head))})
        self.assertEqual(reply.status, 200)
        size = int(reply.headers["Inference-Header-Content-Length"])
        self.assertEqual(json.loads(reply.body[:size])["outputs"][0]["shape"], [1, 1000])
        self.assertEqual(len(reply.body) - size, 4000)

        body = json.dumps({"inputs": [
            {"name": name, "shape": [2, 3], "datatype": "INT64", "data": [1, 2, 3, 4, 5, 6]}
            for name in ("input_ids", "attention_mask")]})
        output = harness.request(target.port, "/v2/models/bert-base/infer", "POST",
                                 body).json()["outputs"][0]
        self.assertEqual((output["shape"], len(output["data"])), ([2, 768], 1536))

        body = json.dumps({"inputs": [
            {"name": "TEXT", "shape": [1, 2], "datatype": "BYTES", "data": ["a", "béd"]}]})
        output = harness.request(target.port, "/v2/models/echo_bytes/infer", "POST",
                                 body).json()["outputs"][0]
        self.assertEqual(output["data"], ["a", "béd"])

    def test_faults_on_request(self):
        target = self.scripted_target()
        expected = {
            "queue_full": (503, "[request id: <id_unknown>] Exceeds maximum queue size"),
            "queue_timeout": (503, "Request timeout expired"),
            "unavailable": (503, "refused by the model"),
            "stub_died": (500, "Stub process 'echo_fp32_0_0' is not healthy."),
            "unknown_model": (404, "Request for unknown model: 'echo_fp32' is not found"),
            "error_body": (200, "the model is warming up"),
        }
        for fault, (status, text) in expected.items():
            reply = infer(target, fault)
            self.assertEqual((reply.status, reply.json()["error"]), (status, text), fault)
        for fault, status in (("overflow", 503), ("rate_limit", 429), ("gateway_timeout", 504),
                              ("redirect", 302), ("not_json", 200), ("decoupled", 501)):
            self.assertEqual(infer(target, fault).status, status, fault)
        self.assertEqual(infer(target, "overflow").headers["x-envoy-overloaded"], "true")
        self.assertEqual(infer(target, "empty").body, b"")
        self.assertEqual(infer(target, "zero_size").json()["outputs"][0]["data"], [])
        self.assertEqual(infer(target, "close").headers["Connection"], "close")
        for fault in ("chunked", "trickle"):
            reply = infer(target, fault)
            self.assertEqual(reply.json()["outputs"][0]["data"], [1.0, 2.5], fault)

    def raw(self, target, fault, timeout=5):
        """All bytes of a reply until the connection ends, and how it ended."""
        body = honest_cases.infer()
        with socket.create_connection(("127.0.0.1", target.port), timeout=timeout) as connection:
            connection.sendall(f"POST {INFER} HTTP/1.1\r\nbroadside-fault: {fault}\r\n"
                               f"Content-Length: {len(body)}\r\n\r\n{body}".encode())
            received = b""
            while True:
                try:
                    piece = connection.recv(65536)
                except ConnectionResetError:
                    return received, "reset"
                except TimeoutError:
                    return received, "silent"
                if not piece:
                    return received, "closed"
                received += piece

    def test_connections_end_as_asked(self):
        target = self.scripted_target()
        self.assertEqual(self.raw(target, "reset"), (b"", "reset"))
        self.assertEqual(self.raw(target, "reset_mid")[1], "reset")
        received, end = self.raw(target, "cut_mid")
        self.assertEqual(end, "closed")
        self.assertTrue(received.startswith(b"HTTP/1.1 200 OK"))
        self.assertFalse(received.endswith(b"}"))
        self.assertEqual(self.raw(target, "hang", timeout=0.3), (b"", "silent"))
        received, end = self.raw(target, "hang_mid", timeout=0.3)
        self.assertEqual((received[:8], end), (b"HTTP/1.1", "silent"))
        self.assertTrue(self.raw(target, "garbage")[0].startswith(b"SSH-2.0"))
        self.assertGreaterEqual(len(self.raw(target, "endless_head", timeout=0.5)[0]), 1 << 20)

    def test_shares_of_faults_follow_the_seed(self):
        statuses = []
        for _ in range(2):
            target = self.scripted_target("--fault", "queue_full=0.25", "--seed", "7")
            statuses.append([infer(target).status for _ in range(400)])
            target.stop()
        self.assertEqual(statuses[0], statuses[1])
        self.assertTrue(60 <= statuses[0].count(503) <= 140, statuses[0].count(503))

    def together(self, target, count):
        """`count` requests at once; their (status, seconds since the first was about to leave)."""
        results = []
        begin = time.monotonic()

        def one():
            status = infer(target).status
            results.append((status, time.monotonic() - begin))

        threads = [threading.Thread(target=one) for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return results

    def test_capacity_is_finite(self):
        target = self.scripted_target("--latency", "300ms", "--workers", "2", "--queue", "3")
        results = self.together(target, 12)
        served = sorted(seconds for status, seconds in results if status == 200)
        self.assertEqual([status for status, _ in results].count(503), 7)
        self.assertEqual(len(served), 5)
        self.assertGreaterEqual(served[0], 0.299)
        self.assertGreaterEqual(served[-1], 0.899)  # third in line at two workers

    def test_a_stall_freezes_what_is_under_way_and_what_comes(self):
        target = self.scripted_target("--latency", "200ms")
        results = []
        thread = threading.Thread(target=lambda: results.extend(self.together(target, 3)))
        thread.start()
        harness.wait_for(lambda: target.stats()["arrivals"] == 3, 5, "three requests came")
        begin = time.monotonic()
        harness.request(target.port, "/control/stall?ms=500", "POST")
        infer(target)
        self.assertGreaterEqual(time.monotonic() - begin, 0.699)
        thread.join()
        for _, seconds in results:
            self.assertGreaterEqual(seconds, 0.699)

    def test_planned_stall(self):
        target = self.scripted_target("--stall-at", "100ms", "--stall-for", "300ms")
        infer(target)
        harness.wait_for(lambda: target.stats()["stalled_ns"] > 0, 5, "the stall began")
        self.assertEqual(target.stats()["stalled_ns"], 300_000_000)

    def test_arrivals_are_logged_with_their_stamps(self):
        target = self.scripted_target("--threads", "2", arrivals=True)
        for index in range(50):
            infer(target, **{"broadside-arrival": f"run/0/{index}"})
        infer(target, "queue_full")
        harness.request(target.port, "/page")
        arrivals = target.arrivals()
        self.assertEqual(len(arrivals), 52)
        self.assertEqual(sorted(a.stamp for a in arrivals if a.stamp != "-"),
                         sorted(f"run/0/{index}" for index in range(50)))
        self.assertEqual(sum(a.status == 503 for a in arrivals), 1)
        self.assertEqual(sum(a.model == "-" for a in arrivals), 1)
        self.assertEqual(target.stats()["arrivals"], 52)

    def test_the_log_is_complete_after_sigterm(self):
        target = self.scripted_target(arrivals=True)
        for _ in range(10):
            infer(target)
        self.assertEqual(target.stop(), 0)
        with open(target.arrivals_file) as file:
            self.assertEqual(len(file.readlines()), 10)

    def test_config_file(self):
        config = self.write("target.yaml", """
seed: 3
latency: 1ms
models:
  mine:
    max_batch_size: 4
    latency: 150ms
    inputs: {X: {datatype: INT32, dims: [2]}}
    outputs: {Y: {datatype: FP64, dims: [3]}}
""")
        target = self.scripted_target("--config", config)
        body = json.dumps({"inputs": [
            {"name": "X", "shape": [1, 2], "datatype": "INT32", "data": [1, 2]}]})
        begin = time.monotonic()
        output = harness.request(target.port, "/v2/models/mine/infer", "POST",
                                 body).json()["outputs"][0]
        self.assertGreaterEqual(time.monotonic() - begin, 0.149)
        self.assertEqual((output["shape"], output["data"]), ([1, 3], [0.0, 0.0, 0.0]))

    def test_bad_flags_say_what_is_wrong(self):
        for options, text in (
                (["--latency", "fast"], "fast"),
                (["--fault", "nope=0.5"], "queue_full"),
                (["--fault", "queue_full=2"], "between 0 and 1"),
                (["--listen", "localhost"], "127.0.0.1:0"),
                (["--config", self.write("bad.yaml", "latnecy: 4ms\n")], 'unknown key "latnecy"')):
            process = self.start("bad", [harness.program("broadside-scripted-target"), *options])
            self.assertEqual(process.wait(), 1)
            self.assertIn(text, process.tail())

    def test_a_busy_port_is_refused(self):
        target = self.scripted_target()
        process = self.start("second", [harness.program("broadside-scripted-target"), "--listen",
                                        f"127.0.0.1:{target.port}"])
        self.assertEqual(process.wait(), 1)
        self.assertIn(str(target.port), process.tail())


if __name__ == "__main__":
    harness.main()
