"""Bad input gets one clear line: the place, what was found, what is allowed, the cure.

The plan's own table is a unit test (tests/common/plan); here is what needs whole programs.
"""

import os
import re
import socket
import threading

import harness

GOOD = """name: x
targets:
  t: {{protocol: http, url: "http://127.0.0.1:{port}/"}}
load:
  - {{phase: a, rate: 20/s, duration: 1s}}
limits: {{timeout: 500ms}}
"""


class ErrorsTest(harness.Case):

    def fails(self, code, pattern, *arguments, cwd=None):
        """ctl ends with `code` and one line on stderr that matches."""
        result = self.ctl(*arguments, seconds=60, cwd=cwd)
        self.assertEqual(result.code, code, f"{arguments}\n{result.stdout}\n{result.stderr}")
        lines = [line for line in result.stderr.splitlines() if line.strip()]
        self.assertTrue(any(re.search(pattern, line) for line in lines),
                        f"{arguments}: no line matches {pattern!r}:\n{result.stderr}")

    def test_the_command_line(self):
        plan = self.write("plan.yaml", GOOD.format(port=9))
        for pattern, arguments in (
                (r'unknown command "rnu".*Did you mean run\?', ["rnu", plan]),
                (r"unknown option --agnets\. Did you mean --agents\?", ["run", plan, "--agnets", "3"]),
                (r'--agents: "three" is not a whole number', ["run", plan, "--agents", "three"]),
                (r'--output: "xml" is not one of its words\. Write text or json',
                 ["run", plan, "--output", "xml"]),
                (r"no-such-plan\.yaml.*(No such file|cannot|not)", ["run", "no-such-plan.yaml"]),
                (r"--set", ["run", plan, "--set", "load.nope.rate=5/s"]),
                (r"--set", ["run", plan, "--set", "nonsense"]),
                (r'"10k" is not a rate', ["run", "--target", "http://127.0.0.1:9/", "--rate", "10k",
                                          "--duration", "1s"]),
                (r"duration", ["run", "--target", "http://127.0.0.1:9/", "--rate", "10/s",
                               "--duration", "soon"]),
                (r"url|URL", ["run", "--target", "not a url", "--rate", "10/s", "--duration", "1s"]),
        ):
            with self.subTest(pattern):
                self.fails(1, pattern, *arguments)

    def test_plans_and_their_files(self):
        cases = {
            "typo": ("targets:\n  t: {protocl: http}\nload:\n  - {phase: a, rate: 1/s, duration: 1s}\n",
                     r"plan\.yaml:2:\d+: unknown key \"protocl\""),
            "no load": ('targets:\n  t: {protocol: http, url: "http://127.0.0.1:9/"}\n', r"plan\.yaml.*load"),
            "not yaml": ("targets: [\n", r"plan\.yaml:\d+:\d+: "),
            "empty": ("", r"plan\.yaml"),
            "not built": ('targets:\n  t: {protocol: kserve-grpc, url: "grpc://127.0.0.1:9", model: m}\n'
                          "load:\n  - {phase: a, rate: 1/s, duration: 1s}\n",
                          r"plan\.yaml:2:\d+: .*not in this version yet"),
            "no payload": ('targets:\n  t: {protocol: http, url: "http://127.0.0.1:9/", '
                           "input: {payload: gone.bin}}\n"
                           "load:\n  - {phase: a, rate: 1/s, duration: 1s}\n", r"gone\.bin"),
        }
        for name, (text, pattern) in cases.items():
            with self.subTest(name):
                self.fails(1, pattern, "validate", self.write("plan.yaml", text))

    def test_vegeta_files(self):
        plan = self.write("plan.yaml", "targets:\n  v: {targets: targets.txt, format: http}\n"
                          "load:\n  - {phase: a, rate: 1/s, duration: 1s}\n")
        for text, pattern in (
                ("GET http://127.0.0.1:9/\nX: 1\nGET http://127.0.0.1:9/b\n",
                 r"targets\.txt:3: .*empty line"),
                ("get http://127.0.0.1:9/\n", r"targets\.txt:1: .*get"),
                ("GET /relative\n", r"targets\.txt:1: "),
                ("GET http://127.0.0.1:9/ HTTP/1.1\n", r"targets\.txt:1: .*HTTP/1\.1"),
                ("POST http://127.0.0.1:9/\n@gone.json\n", r"targets\.txt:2: .*gone\.json"),
                ("# nothing\n", r"targets\.txt"),
        ):
            with self.subTest(text):
                self.write("targets.txt", text)
                self.fails(1, pattern, "validate", plan)

    def test_no_controller(self):
        plan = self.write("plan.yaml", GOOD.format(port=9))
        address = f"127.0.0.1:{harness.free_port()}"
        for arguments in (["run", plan], ["runs"], ["agents"], ["report", "7f3a2c"]):
            with self.subTest(arguments[0]):
                self.fails(2, re.escape(address), *arguments, "--controller", address)

    def test_a_controller_that_is_something_else(self):
        target = self.scripted_target()
        self.fails(2, str(target.port), "runs", "--controller", f"127.0.0.1:{target.port}")

    def test_a_run_that_is_not_there(self):
        controller = self.controller()
        self.fails(1, "7f3a2c", "report", "7f3a2c", "--controller", controller.address)

    def test_too_few_agents(self):
        target = self.scripted_target()
        controller = self.controller()
        plan = self.write("plan.yaml", GOOD.format(port=target.port) + "agents: {min: 3}\n")
        self.fails(3, r"0 agents of the 3", "run", plan, "--controller", controller.address,
                   "--no-wait")

    def test_agents_refuse_what_they_were_not_allowed(self):
        target = self.scripted_target()
        controller = self.controller()
        self.agent(controller, "agent-b", "--allow", "127.0.0.1:1")
        plan = self.write("plan.yaml", GOOD.format(port=target.port))
        self.fails(3, rf"agent-b.*127\.0\.0\.1:{target.port} is not in its allow list", "run", plan,
                   "--controller", controller.address)
        self.assertEqual(target.stats()["arrivals"], 0)

    def refuses(self, program, *options):
        """A program that does not start: exit 1 and its one line."""
        process = self.start(program, [harness.program(program), *options])
        self.assertEqual(process.wait(20), 1, process.tail())
        return process.tail(3)

    def test_busy_ports(self):
        with socket.socket() as busy:
            busy.bind(("127.0.0.1", 0))
            busy.listen()
            address = f"127.0.0.1:{busy.getsockname()[1]}"
            store = self.path("store")
            self.assertIn(address, self.refuses("broadside-controller", "--listen", address,
                                                "--http", "127.0.0.1:0", "--store", store))
            self.assertIn(address, self.refuses("broadside-controller", "--listen", "127.0.0.1:0",
                                                "--http", address, "--store", store))
            self.assertIn(address, self.refuses("broadside-agent", "--controller", "127.0.0.1:9",
                                                "--http", address))

    def test_a_store_that_cannot_be(self):
        store = os.path.join(self.write("file", "x"), "store")
        text = self.refuses("broadside-controller", "--listen", "127.0.0.1:0", "--http",
                            "127.0.0.1:0", "--store", store)
        self.assertIn(store, text)

    def test_one_store_one_controller(self):
        self.controller()
        text = self.refuses("broadside-controller", "--listen", "127.0.0.1:0", "--http",
                            "127.0.0.1:0", "--store", self.path("store"))
        self.assertIn(self.path("store"), text)

    def outcomes(self, port):
        report = self.run_plan(GOOD.format(port=port), agents=1, expect=None)
        return {name for name, n in report["total"]["outcomes"].items() if n}

    def test_nobody_listens(self):
        self.assertEqual(self.outcomes(harness.free_port()), {"connect"})

    def test_hostile_targets(self):
        for fault, expected in (("garbage", "protocol"), ("endless_head", "protocol"),
                                ("hang", "timeout_client"), ("hang_mid", "timeout_client"),
                                ("reset", "reset"), ("reset_mid", "reset"), ("cut_mid", "reset")):
            with self.subTest(fault):
                target = self.scripted_target("--fault", f"{fault}=1")
                self.assertEqual(self.outcomes(target.port), {expected})
                target.stop()

    def test_a_target_that_accepts_and_closes(self):
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(128)

            def close_all():
                while True:
                    try:
                        listener.accept()[0].close()
                    except OSError:
                        return

            thread = threading.Thread(target=close_all, daemon=True)
            thread.start()
            try:
                self.assertEqual(self.outcomes(listener.getsockname()[1]), {"reset"})
            finally:
                listener.shutdown(socket.SHUT_RDWR)
                thread.join(5)


if __name__ == "__main__":
    harness.main()
