"""Starts and stops the programs for end-to-end tests. Python 3.11, standard library only.

Every port is the kernel's choice, every wait has a deadline, every process runs in a group of its own
and is gone at the end of its test; when a test fails, the ends of all logs are shown.

    class MyTest(harness.Case):
        def test_it(self):
            target = self.scripted_target("--latency", "5ms")
            report = self.run_plan(plan_text, agents=3)
"""

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.environ.get("BROADSIDE_BIN", os.path.join(ROOT, "build", "release", "bin"))
TRITON = os.path.join(ROOT, "build", "peers", "triton", "site", "pytriton", "tritonserver")
EXAMPLES = os.path.join(ROOT, "examples")


def program(name):
    """Path of one of our programs; a clear error when it has not been built."""
    path = os.path.join(BIN, name)
    if not os.access(path, os.X_OK):
        raise AssertionError(f"{path} is not there: run make build")
    return path


def wait_for(condition, seconds, what):
    """Calls `condition` until it gives something true, and returns that."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.02)


def free_port():
    """A port that was free a moment ago; for programs that cannot choose one themselves."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Reply:
    """Status, headers and body of one HTTP exchange."""

    def __init__(self, response):
        self.status = response.status
        self.reason = response.reason
        self.headers = response.headers
        self.body = response.read()

    def json(self):
        return json.loads(self.body)

    def text(self):
        return self.body.decode()


def request(port, path, method="GET", body=None, headers=None, timeout=30):
    """One HTTP request to a port of this machine."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request(method, path, body=body, headers=headers or {})
        return Reply(connection.getresponse())
    finally:
        connection.close()


class Process:
    """A child in its own process group, with its output in a log file."""

    def __init__(self, name, arguments, directory, environment=None, cwd=None):
        self.name = name
        self.log = os.path.join(directory, name + ".log")
        self.arguments = arguments
        with open(self.log, "wb") as log:
            self.child = subprocess.Popen(
                arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                start_new_session=True, env=environment, cwd=cwd)

    def running(self):
        return self.child.poll() is None

    def signal(self, number):
        """To the process alone, as an operator would send it."""
        if self.running():
            self.child.send_signal(number)

    def wait(self, seconds=30):
        return self.child.wait(timeout=seconds)

    def stop(self, seconds=15):
        """SIGTERM, then SIGKILL for the whole group after `seconds`."""
        if self.running():
            self.child.send_signal(signal.SIGTERM)
            try:
                self.child.wait(timeout=seconds)
            except subprocess.TimeoutExpired:
                pass
        self.kill()
        return self.child.returncode

    def kill(self):
        try:
            os.killpg(self.child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.child.wait()

    def tail(self, lines=40):
        with open(self.log, "rb") as log:
            text = log.read().decode(errors="replace")
        return "\n".join(text.splitlines()[-lines:])


class Ports(dict):
    """What a port file says: {"grpc": 7300, "http": 7301}."""

    @staticmethod
    def read(path):
        try:
            with open(path) as file:
                text = file.read()
        except FileNotFoundError:
            return None
        # Half a file is not read: it may be seen while it is written.
        if not text.endswith("\n"):
            return None
        return Ports((name, int(port)) for name, port in map(str.split, text.splitlines()))


class Ctl:
    """What one run of ctl gave."""

    def __init__(self, code, stdout, stderr):
        self.code = code
        self.stdout = stdout
        self.stderr = stderr

    def json(self):
        try:
            return json.loads(self.stdout)
        except ValueError:
            raise AssertionError(f"ctl (exit {self.code}) printed no JSON:\n{self.stdout[-2000:]}\n"
                                 f"stderr:\n{self.stderr[-4000:]}") from None


class BackgroundCtl:
    """A ctl that runs while the test does something else; gone at the end of the test."""

    def __init__(self, case, *arguments):
        self.child = subprocess.Popen(
            [program("ctl"), *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, start_new_session=True, env={**os.environ, "NO_COLOR": "1"})
        case.addCleanup(self._end)

    def result(self, seconds):
        """Waits for its end."""
        stdout, stderr = self.child.communicate(timeout=seconds)
        return Ctl(self.child.returncode, stdout.decode(), stderr.decode())

    def _end(self):
        try:
            os.killpg(self.child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.child.communicate()


class Case(unittest.TestCase):
    """A test with helpers that clean up after themselves."""

    maxDiff = 4000

    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="broadside-e2e-")
        self.processes = []
        self.addCleanup(self._end)

    def _end(self):
        # In reverse order: agents before their controller, targets last.
        for process in reversed(self.processes):
            process.kill()
        outcome = getattr(self, "_outcome", None)
        if outcome is not None and not outcome.success:
            for process in self.processes:
                print(f"---- {process.name} (exit {process.child.returncode}): "
                      f"{' '.join(process.arguments)}\n{process.tail()}", flush=True)
        shutil.rmtree(self.directory, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.directory, name)

    def write(self, name, text):
        path = self.path(name)
        with open(path, "w") as file:
            file.write(text)
        return path

    def start(self, name, arguments, environment=None, cwd=None):
        if any(process.name == name for process in self.processes):
            name = f"{name}-{len(self.processes)}"
        process = Process(name, arguments, self.directory, environment, cwd)
        self.processes.append(process)
        return process

    def start_with_ports(self, name, arguments, seconds=20):
        """Starts one of our programs and waits for its port file: (process, ports)."""
        port_file = self.path(f"{name}-{len(self.processes)}.ports")
        process = self.start(name, arguments + ["--port-file", port_file])

        def ready():
            if not process.running():
                raise AssertionError(f"{name} ended at once, exit {process.child.returncode}:\n"
                                     + process.tail())
            return Ports.read(port_file)

        process.ports = wait_for(ready, seconds, f"{name} writes its port file")
        return process

    def scripted_target(self, *options, arrivals=False):
        """The scripted target; `.port`, and `.arrivals()` if they are logged."""
        arguments = [program("broadside-scripted-target"), "--listen", "127.0.0.1:0", *options]
        log = None
        if arrivals:
            log = self.path(f"arrivals-{len(self.processes)}")
            arguments += ["--arrivals", log]
        process = self.start_with_ports("target", arguments)
        process.port = process.ports["http"]
        process.arrivals_file = log

        def read_arrivals():
            request(process.port, "/control/flush")
            with open(log) as file:
                return [Arrival(line) for line in file]

        process.arrivals = read_arrivals
        process.stats = lambda: request(process.port, "/control/stats").json()
        return process

    def controller(self, *options):
        """A controller; `.address` for agents and ctl, `.http` for scraping."""
        process = self.start_with_ports("controller", [
            program("broadside-controller"), "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0",
            "--store", self.path("store"), *options])
        process.address = f"127.0.0.1:{process.ports['grpc']}"
        process.http = process.ports["http"]
        return process

    def agent(self, controller, name, *options):
        process = self.start_with_ports(name, [
            program("broadside-agent"), "--controller", controller.address,
            "--http", "127.0.0.1:0", "--id", name, *options])
        process.http = process.ports["http"]
        return process

    def agents(self, controller, count, *options):
        return [self.agent(controller, f"agent-{chr(ord('a') + i)}", *options)
                for i in range(count)]

    def ctl(self, *arguments, seconds=120, cwd=None, environment=None):
        """Runs ctl to its end."""
        command = [program("ctl"), *arguments]
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            start_new_session=True, cwd=cwd or self.directory,
            env={**os.environ, "NO_COLOR": "1", **(environment or {})})
        try:
            stdout, stderr = child.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            stdout, stderr = child.communicate()
            raise AssertionError(f"{' '.join(command)}: not ended after {seconds} s\n"
                                 f"{stderr.decode()[-4000:]}") from None
        finally:
            try:
                os.killpg(child.pid, signal.SIGKILL)  # children that ctl left behind
            except ProcessLookupError:
                pass
        return Ctl(child.returncode, stdout.decode(), stderr.decode())

    def run_plan(self, plan, *options, agents=None, controller=None, seconds=120, expect=0,
                 cwd=None):
        """`ctl run` of a plan (text, or the path of a file); the report as a dictionary.

        `expect` is the exit code, a tuple of them, or None for any. Law 2 is checked on every report.
        """
        if "\n" in plan:
            plan = self.write("plan.yaml", plan)
        arguments = ["run", plan, "--output", "json", *options]
        if controller is not None:
            arguments += ["--controller", controller.address]
        elif agents is not None:
            arguments += ["--agents", str(agents)]
        result = self.ctl(*arguments, seconds=seconds, cwd=cwd)
        allowed = (expect,) if isinstance(expect, int) else expect
        if allowed is not None and result.code not in allowed:
            raise AssertionError(
                f"ctl run: exit {result.code}, expected {expect}\nstdout:\n"
                f"{result.stdout[-3000:]}\nstderr:\n{result.stderr[-3000:]}")
        report = result.json()
        self.check_ledger(report)
        return report

    # Exit codes where the counts matter and not how late a busy machine was: pass, or INVALID for lag.
    LATE_OR_NOT = (0, 7)

    def check_ledger(self, report):
        """Law 2: the ledger closes, in total and by outcome."""
        ledger = report["ledger"]
        self.assertEqual(ledger["mismatch"], 0)
        self.assertEqual(ledger["scheduled"],
                         sum(ledger[key] for key in ("sent", "dropped", "expired", "unowned",
                                                     "unreported")))
        self.assertEqual(ledger["sent"], sum(ledger[key] for key in ("ok", "rejected", "failed",
                                                                     "in_flight")))

    def assert_valid(self, report):
        """VALID, or DEGRADED where this busy machine alone was at fault (lag, CPU, skew)."""
        validity = report["verdicts"]["validity"]
        self.assertNotEqual(validity["verdict"], "INVALID", validity["reasons"])

    def tritonserver(self, repository=None, extra=()):
        """A real Triton on the CPU; `.port`, `.metrics`, `.successes(model)`."""
        server = os.path.join(TRITON, "bin", "tritonserver")
        if not os.access(server, os.X_OK):
            raise AssertionError(f"{server} is not there: run make setup")
        repository = repository or os.path.join(EXAMPLES, "model_repository")
        environment = {key: value for key, value in os.environ.items()
                       if key not in ("PYTHONHOME", "PYTHONPATH")}
        environment["PATH"] = "/usr/bin:/bin"
        # It cannot choose its ports itself and exits with 1 when one is taken: then others are tried.
        for attempt in range(5):
            http_port, grpc_port, metrics_port = free_port(), free_port(), free_port()
            process = self.start(f"triton-{http_port}", [
                server, f"--model-repository={repository}",
                f"--backend-directory={TRITON}/backends",
                f"--backend-config=python,shm-region-prefix-name=broadside{http_port}-",
                "--http-address=127.0.0.1", f"--http-port={http_port}",
                "--grpc-address=127.0.0.1", f"--grpc-port={grpc_port}",
                "--allow-metrics=true", "--metrics-address=127.0.0.1",
                f"--metrics-port={metrics_port}", "--allow-gpu-metrics=false",
                "--exit-timeout-secs=5", "--disable-auto-complete-config", *extra], environment)

            def ready():
                if not process.running():
                    return "ended"
                try:  # the metrics service opens its port a little later than the HTTP service
                    return all(request(port, path).status == 200 for port, path in (
                        (http_port, "/v2/health/ready"), (metrics_port, "/metrics"))) and "ready"
                except OSError:
                    return None

            if wait_for(ready, 60, "tritonserver is ready") == "ready":
                break
            if attempt == 4:
                raise AssertionError("tritonserver does not start:\n" + process.tail())
        process.port, process.metrics = http_port, metrics_port

        def successes(model):
            for line in request(metrics_port, "/metrics").text().splitlines():
                if (line.startswith("nv_inference_request_success{")
                        and f'model="{model}"' in line):
                    return int(float(line.rsplit(" ", 1)[1]))
            raise AssertionError(f"no nv_inference_request_success of {model}")

        process.successes = successes
        self.addCleanup(process.stop)
        return process

    def prometheus(self, targets, interval="1s"):
        """A real Prometheus that scrapes `targets` (ports); `.query(text)` gives result vectors."""
        config = self.write("prometheus.yml", json.dumps({
            "global": {"scrape_interval": interval, "evaluation_interval": interval},
            "scrape_configs": [{
                "job_name": "broadside",
                "static_configs": [{"targets": [f"127.0.0.1:{port}" for port in targets]}]}],
        }))
        for attempt in range(5):
            port = free_port()
            process = self.start(f"prometheus-{port}", [
                "prometheus", f"--config.file={config}",
                f"--storage.tsdb.path={self.path(f'tsdb-{port}')}",
                f"--web.listen-address=127.0.0.1:{port}"])

            def ready():
                if not process.running():
                    return "ended"
                try:
                    return request(port, "/-/ready").status == 200 and "ready"
                except OSError:
                    return None

            if wait_for(ready, 30, "prometheus is ready") == "ready":
                break
            if attempt == 4:
                raise AssertionError("prometheus does not start:\n" + process.tail())

        def query(text):
            from urllib.parse import quote
            answer = request(port, "/api/v1/query?query=" + quote(text)).json()
            if answer["status"] != "success":
                raise AssertionError(f"{text}: {answer}")
            return answer["data"]["result"]

        process.port, process.query = port, query
        return process


class Arrival:
    """One line of the scripted target's log."""

    __slots__ = ("at", "connection", "stamp", "model", "status")

    def __init__(self, line):
        at, connection, self.stamp, self.model, status = line.split()
        self.at, self.connection, self.status = int(at), int(connection), int(status)


def main():
    unittest.main(verbosity=2)
