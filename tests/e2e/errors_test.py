"""Bad input gets one clear line: the place, what was found, what is allowed, the cure.

Every row is an input and its message, compared whole and to the letter; the table is printed at the end.
What nobody can choose stands in capitals in both: PORT, DIR, PID, RUN. TARGET and LOAD in a plan stand for a
good target and a good phase. The plan's grammar has a larger table of its own (tests/common/plan), and so
have the codecs (tests/common/wire, tests/common/stats).
"""

import os
import re
import socket
import struct
import sys
import threading

import harness
from grpc_by_hand import Call, field, fields, fixed64, frame

TARGET = 'targets:\n  t: {url: "http://127.0.0.1:9/"}\n'
LOAD = "load:\n  - {phase: a, rate: 1/s, duration: 1s}\n"

# gRPC's codes.
STATUS = {0: "OK", 3: "INVALID_ARGUMENT", 5: "NOT_FOUND", 9: "FAILED_PRECONDITION", 10: "ABORTED",
          15: "DATA_LOSS"}

COMMANDS = (  # ctl's arguments, PLAN being a good one; what it says
    (["rnu", "PLAN"],
     'ctl: unknown command "rnu". Did you mean run? See ctl --help.'),
    (["run", "PLAN", "--agnets", "3"],
     "ctl run: unknown option --agnets. Did you mean --agents? See ctl run --help."),
    (["run", "PLAN", "--agents", "three"],
     'ctl run: --agents: "three" is not a whole number between 0 and 4294967295. See ctl run '
     "--help."),
    (["run", "PLAN", "--output", "xml"],
     'ctl run: --output: "xml" is not one of its words. Write text or json. See ctl run --help.'),
    (["run", "no-such-plan.yaml"],
     "no-such-plan.yaml: No such file or directory"),
    (["run"],
     "nothing to run. Give a plan file, or --target URL --rate R --duration D. See ctl run "
     "--help."),
    (["run", "PLAN", "--rate", "10/s"],
     "a plan file and --target, --rate … cannot both be given. To change a value of plan.yaml, "
     "use --set."),
    (["run", "PLAN", "--set", "load.nope.rate=5/s"],
     '--set load.nope.rate=5/s: load has no "nope". Known here are a.'),
    (["run", "PLAN", "--set", "nonsense"],
     "--set nonsense: is not KEY=VALUE. Write --set load.PHASE.rate=2000/s."),
    (["run", "--target", "http://127.0.0.1:9/", "--rate", "10k", "--duration", "1s"],
     '--rate: rate: "10k" is not a rate. Write 10000/s or 600000/min.'),
    (["run", "--target", "http://127.0.0.1:9/", "--rate", "10/s", "--duration", "soon"],
     '--duration: duration: "soon" is not a duration. Write 250ms, 1.5s, 10m or 1h30m.'),
    (["run", "--target", "not a url", "--rate", "10/s", "--duration", "1s"],
     '--target "not a url": url: "not a url" is not a URL: it has no scheme. Write '
     "http://HOST:PORT/PATH."),
    (["run", "PLAN", "--controller", "lab"],
     'ctl: --controller: "lab" is not HOST:PORT. Write, say, lab:7300 or [::1]:7300.'),
    (["runs"],
     "ctl: which controller? Give --controller HOST:PORT or set BROADSIDE_CONTROLLER."),
    (["validate", "."],
     ".: is a directory, not a file"),
)

PLANS = (
    ("",
     "plan.yaml:1:1: the file is empty"),
    ("targets: [\n",
     "plan.yaml:2:1: this is not YAML (end of sequence flow not found): look at the indentation, "
     "quotes and brackets of this line and the one above"),
    ("- a\n- b\n",
     "plan.yaml:1:1: plan: expected a map, found a list."),
    ("targets:\n  t: {protocl: http}\n" + LOAD,
     'plan.yaml:2:7: unknown key "protocl". Did you mean "protocol"?'),
    (TARGET,
     "plan.yaml:1:1: load: is missing here."),
    ('targets:\n  t: {url: "grpc://127.0.0.1:9"}\n' + LOAD,
     'plan.yaml:2:12: url: protocol http needs http:// or https://, found "grpc://127.0.0.1:9".'),
    ('targets:\n  t: {protocol: kserve-grpc, url: "grpc://127.0.0.1:9", model: m}\n' + LOAD,
     'plan.yaml:2:17: "kserve-grpc" is not in this version yet'),
    ('targets:\n  t: {url: "http://127.0.0.1:9/", input: {payload: gone.bin}}\n' + LOAD,
     'gone.bin: No such file or directory (named by target "t")'),
    (TARGET + "load:\n  - {phase: a, rate: 10k, duration: 1s}\n",
     'plan.yaml:4:22: rate: "10k" is not a rate. Write 10000/s or 600000/min.'),
    (TARGET + "load:\n  - {phase: a, rate: 1/s, duration: 5}\n",
     'plan.yaml:4:37: duration: "5" is not a duration. Write 5s or 5ms.'),
    (TARGET + "load:\n  - {phase: a, replay: {file: gone.csv}}\n",
     'gone.csv: No such file or directory (named by phase "a")'),
    (TARGET + LOAD + "slo: [p99 < 50]\n",
     'plan.yaml:5:7: slo: "p99 < 50" is not a rule: "50" is not a duration. Write 50s or 50ms.'),
    (TARGET + LOAD + "slo: [p99 < 50ms in b]\n",
     'plan.yaml:5:7: slo: "p99 < 50ms in b": no phase is called "b". Phases are a.'),
    (TARGET + LOAD + "name: a\nname: b\n",
     'plan.yaml:6:1: "name" stands here twice; the first is in line 5'),
    ('targets:\n  t: {url: "http://127.0.0.1:9/", headers: {a: "${secret:../x}"}}\n' + LOAD,
     "plan.yaml:2:48: ${secret:../x}: the name of a secret is letters, digits, _ - and . only."),
)

VEGETA_HTTP = (
    ("GET http://127.0.0.1:9/\nX: 1\nGET http://127.0.0.1:9/b\n",
     'targets.txt:3: "GET http://127.0.0.1:9/b" would be read as a header of the target in line '
     "1: put an empty line between targets."),
    ("get http://127.0.0.1:9/\n",
     'targets.txt:1: the method "get" is not in capitals: write GET.'),
    ("GET /relative\n",
     "targets.txt:1: the URL \"/relative\" is relative: Vegeta's files have whole URLs, "
     "http://HOST:PORT/relative."),
    ("GET http://127.0.0.1:9/ HTTP/1.1\n",
     'targets.txt:1: "HTTP/1.1" would become part of the URL: leave it out.'),
    ("POST http://127.0.0.1:9/\n@gone.json\n",
     'targets.txt:2: gone.json: No such file or directory (named by target "v")'),
    ("POST http://127.0.0.1:9/\n@targets.txt\nX: 1\n",
     'targets.txt:3: "X: 1" stands after the @body of the target in line 1, which ends it: put '
     "headers above @."),
    ("POST http://127.0.0.1:9/\nContent-Type application/json\n",
     'targets.txt:2: "Content-Type application/json" is not a header of the target in line 1. '
     "Write NAME: VALUE."),
    ("# nothing\n",
     "targets.txt:1: no target in this file. Write METHOD URL, as in GET http://HOST/."),
)

VEGETA_JSON = (
    ('[{"method": "GET", "url": "http://127.0.0.1:9/"}]\n',
     "targets.txt:1: a JSON array; Vegeta's json form is one object a line, without brackets."),
    ('{"method": "GET", "ulr": "http://127.0.0.1:9/"}\n',
     'targets.txt:1: unknown key "ulr". Did you mean "url"?'),
    ('{"method": "POST", "url": "http://127.0.0.1:9/", "body": "{}"}\n',
     "targets.txt:1: body \"{}\" is not base64; Vegeta's json form has it so."),
)

MODEL_CONFIGS = (
    ('input [ { name: "x" data_type: TYPE_FP32 dims: [ 3 ] }\n',
     "config.pbtxt:2: the file ends where ] is missing."),
    ('input [ { name: "x" data_type: TYPE_FLOAT dims: [ 3 ] } ]\n',
     'config.pbtxt:1: data_type: "TYPE_FLOAT" is not a data type. Write TYPE_FP32, TYPE_STRING, …'),
    ('input [ { name: "x" data_type: TYPE_FP32 dims: [ -1 ] } ]\n',
     'config.pbtxt: input "x" has dims of -1; write auto: {shapes: {x: […]}}.'),
    ('name: "m"\n',
     "config.pbtxt:1: it describes no input. Write input [ { name: … data_type: … dims: [ … ] } "
     "]."),
    ("<html>\n",
     'config.pbtxt:1: expected the name of a field, found "<".'),
)


def hello(agent="stub", incarnation=77, schedule=1, layout=1, extra=b""):
    return field(1, field(1, 1) + field(2, schedule) + field(3, layout) + field(4, agent)
                 + fixed64(5, incarnation) + field(6, 1) + field(7, 1) + extra)


def snapshot(body):
    return field(4, field(1, "7f3a2c") + fixed64(2, 77) + field(3, 1) + field(8, body))


def zstd(content, claimed=None):
    """A zstd frame of one raw block; `claimed` is a lie about its size."""
    size = len(content) if claimed is None else claimed
    return (b"\x28\xb5\x2f\xfd\xa0" + struct.pack("<I", size)
            + struct.pack("<I", 1 | len(content) << 3)[:3] + content)


FRAMES = (  # on an agent's stream: what it is, the bytes, the status and words that end the stream
    ("a heartbeat before hello", frame(field(2, field(1, 1))),
     "ABORTED: the first message of a stream must be hello"),
    ("hello twice", frame(hello()) * 2,
     "ABORTED: a second hello on one stream"),
    ("hello without an id", frame(hello(agent="")),
     "ABORTED: hello.agent_id is empty; give the agent a name"),
    ("hello with an id of 300 bytes", frame(hello(agent="x" * 300)),
     "ABORTED: hello.agent_id has 300 bytes; allowed are 256"),
    ("hello with incarnation 0", frame(hello(incarnation=0)),
     "ABORTED: hello.incarnation is 0; write random bits, another number at every start"),
    ("hello with 5000 labels", frame(hello(extra=b"".join(
        field(9, field(1, f"{i}") + field(2, "")) for i in range(5000)))),
     "ABORTED: hello has 0 runs and 5000 labels; allowed are 4096 of each"),
    ("a message of no kind", frame(hello()) + frame(b""),
     "ABORTED: a message of a kind this version does not know; install the same release on both"),
    ("a message of a later version", frame(hello()) + frame(field(6, b"")),
     "ABORTED: a message of a kind this version does not know; install the same release on both"),
    ("bytes that are no protobuf", frame(hello()) + frame(b"\xff\xff\xff\xff"),
     "INVALID_ARGUMENT: the stream ended, or what came is no AgentMessage of broadside.v1"),
)

SNAPSHOTS = (
    ("a body that is text", b"no zstd at all",
     "ABORTED: snapshot body is not a zstd frame of known size"),
    ("a body that says it unpacks to 2 GiB", zstd(b"x", 1 << 31),
     "ABORTED: snapshot body unpacks to 2147483648 bytes; allowed are 67108864"),
    ("a body that says it unpacks to 9 bytes and has 1", zstd(b"x", 9),
     "ABORTED: snapshot body does not unpack to its 9 bytes"),
    ("a body of other bytes", zstd(b"\xff\xff"),
     "ABORTED: snapshot body is not a SnapshotBody message"),
)

REFUSED = (  # hello of an agent that is welcome, but gets no work; why
    ("schedule number 999", hello(incarnation=78, schedule=999, extra=field(10, "0.0.9")),
     "agent stub (0.0.9) computes schedule version 999, this controller version 1: install the "
     "same release on both"),
    ("histogram layout 9", hello(incarnation=79, layout=9),
     "agent stub uses histogram layout 9, this controller 1: install the same release on both"),
    ("an id that is in use", hello(agent="agent-a", incarnation=80),
     "agent id agent-a is in use by a process on here: give each agent its own --id"),
)

REQUESTS = (  # method, what it is, the message, the answer
    ("Operator/Submit", "a plan that is no YAML", field(1, "{"),
     "INVALID_ARGUMENT: plan:1:1: this is not YAML (end of map flow not found): quote a value "
     "that starts with > % @ & * ! or |, and inside { } or [ ] one that holds ? [ ] { } or a "
     "comma"),
    ("Operator/Submit", "a plan whose file was not sent", field(
        1, '{"targets": {"v": {"url": "http://127.0.0.1:9/", "input": {"payload": "p"}}}, '
        '"load": [{"phase": "a", "rate": "1/s", "duration": "1s"}], '
        '"files": {"p": "' + "0" * 64 + '"}}'),
     "FAILED_PRECONDITION: file p (000000000000…) was not sent to the controller"),
    ("Operator/PutFile", "a file that is not what its hash says", field(1, "0" * 64) + field(2, "x"),
     "DATA_LOSS: the file's content is not what its hash says"),
    ("Operator/StopRun", "a run that is not there", field(1, "7f3a2c"),
     "NOT_FOUND: no run 7f3a2c is going on; `ctl runs` lists them"),
    ("Operator/Watch", "a run that is not there", field(1, "7f3a2c"),
     "NOT_FOUND: there is no run 7f3a2c; `ctl runs` lists them"),
    ("Operator/GetReport", "a run that is not there", field(1, "7f3a2c"),
     "NOT_FOUND: there is no run 7f3a2c; `ctl runs` lists them"),
    ("Fleet/FetchFile", "a file that is not there", field(1, "0" * 64),
     "NOT_FOUND: no file with SHA-256 "
     "0000000000000000000000000000000000000000000000000000000000000000 is in the store"),
)

AGENT_FLAGS = (
    ("--controller", "lab",
     'broadside-agent: --controller: "lab" is not HOST:PORT. Write, say, lab:7300 or [::1]:7300.'),
    ("--allow", "10.0.0.0/40",
     'broadside-agent: --allow "10.0.0.0/40" is not HOST, IP or CIDR with an optional :PORT or '
     ":PORT-PORT. Write 10.0.0.0/8, triton.lab:8000-8001 or [fd00::]/8"),
    ("--rate-ceiling", "fast",
     'broadside-agent: --rate-ceiling: "fast" is not a rate. Write 100/s or 6000/min.'),
    ("--label", "zone",
     'broadside-agent: --label "zone" is not KEY=VALUE. Write --label zone=a'),
    ("--wait", "never",
     'broadside-agent: --wait: "never" is not one of its words. Write eco, balanced or spin.'),
    ("--loops", "many",
     'broadside-agent: --loops: "many" is not a whole number up to 9999. See broadside-agent '
     "--help."),
    ("--secrets", "/nowhere",
     'broadside-agent: --secrets: "/nowhere" is not a directory'),
    ("--record-requests", "/nowhere/x",
     "broadside-agent: --record-requests /nowhere/x: No such file or directory"),
    ("--alow", "10.0.0.0/8",
     'broadside-agent: unknown option "--alow". See broadside-agent --help.'),
)


class Table:
    """The rows of all tests."""

    KINDS = ("command line", "plan", "target file", "model config", "frame", "snapshot", "hello",
             "request", "controller", "agents", "target", "port", "store", "file")
    rows = []

    @classmethod
    def print(cls):
        print(f"\n{len(cls.rows)} bad inputs, each with its message:")
        for kind in cls.KINDS:
            print(f"\n{kind}")
            for _, given, message in (row for row in cls.rows if row[0] == kind):
                print(f"  {given}\n    → " + message.replace("\n", "\n      "))
        sys.stdout.flush()


def tearDownModule():
    Table.print()
    if len(sys.argv) == 1:  # else only some of the tests were wanted
        assert len(Table.rows) >= 40, len(Table.rows)
        assert {row[0] for row in Table.rows} == set(Table.KINDS), "a kind without a row"


class ErrorsTest(harness.Case):

    def setUp(self):
        super().setUp()
        self.masks = [(re.escape(self.directory), "DIR"), (r"(?<=pid )\d+", "PID")]

    def mask(self, text):
        for pattern, word in self.masks:
            text = re.sub(pattern, word, text)
        return text

    def mask_port(self, port):
        self.masks.append((rf"(?<=:){port}\b", "PORT"))
        return port

    def row(self, kind, given, message, expected):
        message = self.mask(message)
        Table.rows.append((kind, self.mask(given), message))
        with self.subTest(f"{kind}: {given}"):
            self.assertEqual(message, expected)

    # ---- What ctl reads --------------------------------------------------------------------------

    def says(self, code, kind, given, expected, *arguments):
        """ctl ends with `code`, and the message is all it says on stderr."""
        result = self.ctl(*arguments, seconds=60)
        self.assertEqual(result.code, code, f"{arguments}\n{result.stdout}\n{result.stderr}")
        self.row(kind, given, result.stderr.removesuffix("\n"), expected)

    def test_the_command_line(self):
        self.write("plan.yaml", TARGET + LOAD)
        for arguments, expected in COMMANDS:
            self.says(1, "command line", "ctl " + " ".join(arguments), expected,
                      *("plan.yaml" if a == "PLAN" else a for a in arguments))

    def test_plans(self):
        for text, expected in PLANS:
            self.write("plan.yaml", text)
            given = text.replace(TARGET, "TARGET\n").replace(LOAD, "LOAD\n")
            self.says(1, "plan", repr(given), expected, "validate", "plan.yaml")

    def test_target_files(self):
        for form, cases in (("http", VEGETA_HTTP), ("json", VEGETA_JSON)):
            self.write("plan.yaml",
                       f"targets:\n  v: {{targets: targets.txt, format: {form}}}\n" + LOAD)
            for text, expected in cases:
                self.write("targets.txt", text)
                self.says(1, "target file", repr(text), expected, "validate", "plan.yaml")

    def test_model_configs(self):
        self.write("plan.yaml", 'targets:\n  t: {protocol: kserve-http, url: "http://127.0.0.1:9", '
                   "model: m, input: {config: config.pbtxt}}\n" + LOAD)
        for text, expected in MODEL_CONFIGS:
            self.write("config.pbtxt", text)
            self.says(1, "model config", repr(text), expected, "validate", "plan.yaml")

    # ---- What the controller is sent -------------------------------------------------------------

    def call(self, controller, method):
        call = Call(controller.ports["grpc"], method)
        self.addCleanup(call.close)
        return call

    def ended(self, call):
        status, message = call.end()
        return f"{STATUS[status]}: {message}"

    def test_frames(self):
        controller = self.controller()
        for given, content, expected in FRAMES:
            call = self.call(controller, "Fleet/Attach")
            call.send(content)
            self.row("frame", given, self.ended(call), expected)
        for given, body, expected in SNAPSHOTS:
            call = self.call(controller, "Fleet/Attach")
            call.send(frame(hello()) + frame(snapshot(body)))
            self.row("snapshot", given, self.ended(call), expected)
        for method, given, message, expected in REQUESTS:
            call = self.call(controller, method)
            call.send(frame(message), last=True)
            self.row("request", f"{method}, {given}", self.ended(call), expected)
        # None of it has harmed the controller.
        self.assertEqual(self.ctl("runs", "--controller", controller.address).code, 0)

    def test_agents_that_get_no_work(self):
        controller = self.controller()
        call = self.call(controller, "Fleet/Attach")
        call.send(frame(hello(agent="agent-a", extra=field(11, "here"))))
        self.assertNotIn(4, fields(fields(call.message())[1]))
        for given, message, expected in REFUSED:
            call = self.call(controller, "Fleet/Attach")
            call.send(frame(message))
            welcome = fields(fields(call.message())[1])
            self.row("hello", given, welcome[4].decode(), expected)

    # ---- Controllers that are not there ----------------------------------------------------------

    def test_no_controller(self):
        self.write("plan.yaml", TARGET + LOAD)
        address = f"127.0.0.1:{self.mask_port(harness.free_port())}"
        for arguments in (["run", "plan.yaml"], ["runs"], ["agents"], ["report", "7f3a2c"],
                          ["stop", "7f3a2c"]):
            self.says(2, "controller", f"ctl {' '.join(arguments)}, and nobody listens",
                      "ctl: cannot reach the controller at 127.0.0.1:PORT: Connection refused; "
                      "is it running? Start broadside-controller, or give its --controller "
                      "HOST:PORT.",
                      *arguments, "--controller", address)

    def test_a_controller_that_is_something_else(self):
        target = self.scripted_target()
        controller = self.controller()
        for given, port in (("an inference server", target.port),
                            ("the controller's HTTP port", controller.http)):
            self.mask_port(port)
            self.says(2, "controller", f"ctl runs, and the address is that of {given}",
                      "ctl: what listens at 127.0.0.1:PORT is no Broadside controller of this "
                      "version; give the gRPC port (7300), not the HTTP one",
                      "runs", "--controller", f"127.0.0.1:{port}")

    def test_a_run_that_is_not_there(self):
        controller = self.controller()
        for command, expected in (
                ("report",
                 "ctl: there is no run 7f3a2c; `ctl runs` lists them"),
                ("watch",
                 "ctl: there is no run 7f3a2c; `ctl runs` lists them"),
                ("stop",
                 "ctl: no run 7f3a2c is going on; `ctl runs` lists them"),
        ):
            self.says(1, "controller", f"ctl {command} 7f3a2c, and there is no such run", expected,
                      command, "7f3a2c", "--controller", controller.address)

    # ---- Programs that do not start --------------------------------------------------------------

    def refuses(self, kind, given, expected, program, *options):
        """A program that does not start: exit 1, and the message is all it says."""
        process = self.start(program, [harness.program(program), *options])
        self.assertEqual(process.wait(20), 1, process.tail())
        self.row(kind, f"{program} {given}", process.tail(), expected)

    def test_busy_ports(self):
        with socket.socket() as busy:
            busy.bind(("127.0.0.1", 0))
            busy.listen()
            address = f"127.0.0.1:{self.mask_port(busy.getsockname()[1])}"
            store = ("--store", self.path("store"))
            self.refuses("port", "--listen, and the port is taken",
                         "broadside-controller: cannot listen on 127.0.0.1:PORT: Address already "
                         "in use; choose another with --listen HOST:PORT, or port 0",
                         "broadside-controller", "--listen", address, "--http", "127.0.0.1:0", *store)
            self.refuses("port", "--http, and the port is taken",
                         "broadside-controller: cannot listen on 127.0.0.1:PORT: Address already "
                         "in use; choose another with --http HOST:PORT, or port 0",
                         "broadside-controller", "--listen", "127.0.0.1:0", "--http", address, *store)
            self.refuses("port", "--http, and the port is taken",
                         "broadside-agent: cannot listen on 127.0.0.1:PORT: Address already in "
                         "use; choose another with --http HOST:PORT, or port 0",
                         "broadside-agent", "--controller", "127.0.0.1:9", "--http", address)
            self.refuses("port", "--listen 7300",
                         'broadside-controller: --listen: "7300" is not HOST:PORT. Write, say, '
                         "lab:7300 or [::1]:7300.",
                         "broadside-controller", "--listen", "7300", "--http", "127.0.0.1:0", *store)
            self.refuses("port", "--listen 192.0.2.1:7300, another host's",
                         "broadside-controller: cannot listen on 192.0.2.1:7300: Cannot assign "
                         "requested address; choose another with --listen HOST:PORT, or port 0",
                         "broadside-controller", "--listen", "192.0.2.1:7300", "--http",
                         "127.0.0.1:0", *store)
            self.refuses("port", "--http 192.0.2.1:7301, another host's",
                         "broadside-controller: cannot listen on 192.0.2.1:7301: Cannot assign "
                         "requested address; choose another with --http HOST:PORT, or port 0",
                         "broadside-controller", "--listen", "127.0.0.1:0", "--http",
                         "192.0.2.1:7301", *store)

    def test_files_of_the_daemons(self):
        self.refuses("file", "--port-file /dev/full",
                     "broadside-agent: cannot write --port-file /dev/full: No space left on "
                     "device",
                     "broadside-agent", "--http", "127.0.0.1:0", "--port-file", "/dev/full")
        for given, text, expected in (
                ("--config of a file that is not there", None,
                 "broadside-controller: --config: DIR/gone.yaml was not readable (missing?). See "
                 "broadside-controller --help."),
                ("--config with an unknown key", "http: 127.0.0.1:0\nstroe: x\n",
                 'broadside-controller: --config: line 2: unknown key "stroe". Known here are '
                 "http, port-file, listen, store. See broadside-controller --help."),
                ("--config that is no YAML", "store: [x\n",
                 "broadside-controller: --config: line 2: end of sequence flow not found. See "
                 "broadside-controller --help."),
                ("--config with a list of lists", "store: {x: y}\n",
                 "broadside-controller: --config: line 1: store: write one value, or a list of "
                 "them. See broadside-controller --help."),
        ):
            path = self.path("gone.yaml") if text is None else self.write("config.yaml", text)
            self.refuses("file", given, expected, "broadside-controller", "--config", path)

    def test_the_agents_flags(self):
        for option, value, expected in AGENT_FLAGS:
            self.refuses("command line", f"{option} {value}", expected,
                         "broadside-agent", "--http", "127.0.0.1:0", option, value)

    def test_stores(self):
        def refuses(given, expected, store):
            self.refuses("store", f"--store {given}", expected, "broadside-controller", "--listen",
                         "127.0.0.1:0", "--http", "127.0.0.1:0", "--store", store)

        file = self.write("file", "x")
        refuses("below a file",
                "broadside-controller: cannot make directory DIR/file/store: Not a directory; "
                "choose another directory with --store DIR",
                os.path.join(file, "store"))
        refuses("that is a file",
                "broadside-controller: cannot make directory DIR/file: Not a directory; choose "
                "another directory with --store DIR",
                file)
        refuses("/proc/store, where nobody can write",
                "broadside-controller: cannot make directory /proc/store: No such file or "
                "directory; choose another directory with --store DIR",
                "/proc/store")
        os.mkdir(self.path("other"))
        self.write("other/broadside.db", "This is no database, whatever it is called.\n" * 100)
        refuses("whose database is something else",
                "broadside-controller: DIR/other/broadside.db is damaged (file is not a "
                "database); move it away to start with an empty store",
                self.path("other"))
        self.controller()
        refuses("of a controller that runs",
                "broadside-controller: DIR/store is in use by another controller (pid PID); stop "
                "it, or choose another directory with --store DIR",
                self.path("store"))

    # ---- Targets ---------------------------------------------------------------------------------

    def peer(self, answer):
        """A server that reads a little, says `answer` and closes, whoever connects; its port."""
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)

        def serve():
            while True:
                try:
                    connection = listener.accept()[0]
                except OSError:
                    return
                with connection:
                    try:
                        connection.recv(65536)
                        connection.sendall(answer)
                    except OSError:
                        pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()

        def end():
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(5)
            listener.close()

        self.addCleanup(end)
        return self.mask_port(listener.getsockname()[1])

    def refused(self, kind, given, expected, plan, controller):
        """A run that fails before T0: the message is in the object it prints all the same."""
        self.write("plan.yaml", plan)
        result = self.ctl("run", "plan.yaml", "--controller", controller.address, "--output", "json",
                          "--no-wait")
        self.assertEqual(result.code, 3, result.stderr)
        self.row(kind, given, result.json()["run"]["state_reason"], expected)

    def test_agents(self):
        target = self.scripted_target()
        self.mask_port(target.port)
        plan = TARGET.replace("127.0.0.1:9", f"127.0.0.1:{target.port}") + LOAD
        secret = ('targets:\n  t: {url: "http://127.0.0.1:1/", headers: {a: "${secret:token}"}}\n'
                  + LOAD)
        controller = self.controller()
        self.refused("agents", "agents: {min: 3, select: {zone: a}}, and none is there",
                     "0 agents of the 3 with zone=a that the plan needs are there; waited 0 s. "
                     "Start more agents, or lower the plan's agents: min",
                     plan + "agents: {min: 3, select: {zone: a}}\n", controller)
        agent = self.agent(controller, "agent-a", "--allow", "127.0.0.1:1", "--rate-ceiling", "10/s")
        self.refused("agents", "a target that the agent does not allow",
                     "agent-a refused the plan: target 127.0.0.1:PORT is not in its allow list "
                     "(127.0.0.1:1); start the agent with --allow 127.0.0.1:PORT if it may be "
                     "fired at",
                     plan, controller)
        self.refused("agents", "a host that has no address",
                     'agent-a refused the plan: cannot resolve "no..host": Name or '
                     "service not known",
                     plan.replace("127.0.0.1", "no..host"), controller)
        self.refused("agents", "${secret:token}, and the agent has no --secrets",
                     "agent-a refused the plan: secret token is not known: start this agent with "
                     "--secrets DIR",
                     secret, controller)
        self.refused("agents", "a rate of 20/s, and a ceiling of 10/s",
                     "the agents' rate ceilings allow 10/s in all, the plan needs 20/s: add "
                     "agents or raise --rate-ceiling",
                     TARGET.replace("127.0.0.1:9", "127.0.0.1:1") + LOAD.replace("1/s", "20/s"),
                     controller)
        agent.stop()
        self.agent(controller, "agent-b", "--secrets", self.directory)
        self.refused("agents", "${secret:token}, and no such file in --secrets",
                     "agent-b refused the plan: secret token is not in DIR on this agent",
                     secret, controller)
        self.assertEqual(target.stats()["arrivals"], 0)

    def test_models(self):
        """A KServe target is asked for its inputs before T0."""
        controller = self.controller()
        self.agent(controller, "agent-a")

        def http(status, body):
            return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()

        for given, port, expected in (
                ("nobody listens", self.mask_port(harness.free_port()),
                 'agent-a refused the plan: target "t": cannot connect to 127.0.0.1:PORT: '
                 "Connection refused; write input: {config: config.pbtxt} if the server cannot "
                 "be asked"),
                ("it closes every connection", self.peer(b""),
                 'agent-a refused the plan: target "t": 127.0.0.1:PORT closed the connection '
                 "before it had answered; write input: {config: config.pbtxt} if the server "
                 "cannot be asked"),
                ("it speaks SSH", self.peer(b"SSH-2.0-OpenSSH_9.2p1\r\n"),
                 'agent-a refused the plan: target "t": 127.0.0.1:PORT does not answer as an '
                 "HTTP server: not an HTTP/1 reply; write input: {config: config.pbtxt} if the "
                 "server cannot be asked"),
                ("its model is unknown", self.mask_port(self.scripted_target().port),
                 'agent-a refused the plan: target "t": GET /v2/models/no-such at 127.0.0.1:PORT '
                 "answered 404: {\"error\":\"Request for unknown model: 'no-such' is not "
                 'found"}; write input: {config: config.pbtxt} if the server cannot be asked'),
                ("it answers with a page", self.peer(http("200 OK", "<html>Welcome</html>")),
                 'agent-a refused the plan: target "t": GET /v2/models/no-such/config at '
                 '127.0.0.1:PORT answered no model configuration: an object with "input" was '
                 "expected, found: <html>Welcome</html>; write input: {config: config.pbtxt} if "
                 "the server cannot be asked"),
                ("it names an input without a type",
                 self.peer(http("200 OK", '{"input": [{"name": "x"}]}')),
                 'agent-a refused the plan: target "t": GET /v2/models/no-such/config at '
                 "127.0.0.1:PORT answered a tensor without name, datatype or shape, found: "
                 '{"input": [{"name": "x"}]}; write input: {config: config.pbtxt} if the server '
                 "cannot be asked"),
                ("it asks for a password", self.peer(http("401 Unauthorized", "who are you?")),
                 'agent-a refused the plan: target "t": GET /v2/models/no-such at 127.0.0.1:PORT '
                 "answered 401: who are you?; write input: {config: config.pbtxt} if the server "
                 "cannot be asked"),
        ):
            self.refused("target", f"the server of a model, and {given}", expected,
                         f'targets:\n  t: {{protocol: kserve-http, url: "http://127.0.0.1:{port}", '
                         "model: no-such}\n" + LOAD, controller)

    def test_hostile_targets(self):
        """What fails during a run ends as an outcome of the report."""
        controller = self.controller()
        self.agent(controller, "agent-a")
        targets = {"closes": self.peer(b""), "nobody": self.mask_port(harness.free_port())}
        for fault in ("garbage", "endless_head", "hang", "hang_mid", "reset", "reset_mid", "cut_mid",
                      "redirect"):
            targets[fault] = self.scripted_target("--fault", f"{fault}=1").port
        self.write("plan.yaml", "targets:\n" + "".join(
            f'  {name}: {{url: "http://127.0.0.1:{port}/"}}\n' for name, port in targets.items())
            + "load:\n  - {phase: a, rate: 60/s, duration: 1s}\nlimits: {timeout: 500ms}\nseed: 1\n"
            + "slo:\n" + "".join(f"  - error_rate < 1% on {name}\n" for name in targets))
        report = self.run_plan(self.path("plan.yaml"), controller=controller, expect=None)
        for name, given, expected in (
                ("nobody", "nobody listens",
                 "connect; error_rate < 1% on nobody: fail, 100 % (6 of 6 ended)"),
                ("closes", "it closes every connection",
                 "reset; error_rate < 1% on closes: fail, 100 % (6 of 6 ended)"),
                ("garbage", "it speaks SSH",
                 "protocol; error_rate < 1% on garbage: fail, 100 % (6 of 6 ended)"),
                ("endless_head", "its headers never end",
                 "protocol; error_rate < 1% on endless_head: fail, 100 % (6 of 6 ended)"),
                ("hang", "it never answers",
                 "timeout_client; error_rate < 1% on hang: fail, 100 % (7 of 7 ended)"),
                ("hang_mid", "it stops in the middle of an answer",
                 "timeout_client; error_rate < 1% on hang_mid: fail, 100 % (5 of 5 ended)"),
                ("reset", "it resets the connection",
                 "reset; error_rate < 1% on reset: fail, 100 % (5 of 5 ended)"),
                ("reset_mid", "it resets in the middle of an answer",
                 "reset; error_rate < 1% on reset_mid: fail, 100 % (7 of 7 ended)"),
                ("cut_mid", "it closes in the middle of an answer",
                 "reset; error_rate < 1% on cut_mid: fail, 100 % (5 of 5 ended)"),
                ("redirect", "it sends the client elsewhere",
                 "redirect; error_rate < 1% on redirect: fail, 100 % (7 of 7 ended)"),
        ):
            classes = [c for c, n in report["targets"][name]["outcomes"].items() if n]
            rule = next(r for r in report["verdicts"]["slo"]["results"] if r["rule"].endswith(name))
            self.row("target", f"during a run, {given}",
                     f"{' '.join(classes)}; {rule['rule']}: {rule['verdict']}, {rule['measured']} "
                     f"({rule['reason']})", expected)


if __name__ == "__main__":
    harness.main()
