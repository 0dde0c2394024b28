#!/usr/bin/env python3
"""CPU microseconds a request of the engine beside the bare floor and other tools.

Interleaved rounds on one core against a server that never sleeps on another; what counts is the
ratio of medians taken side by side, never a single figure.

    bench/compare_clients.py build/release/bin [--rounds 5] [--seconds 3] [--connections 50]

Tools that are not installed or fail (wrk, h2load, ab, hey) are left out and named.
"""
import argparse
import json
import os
import re
import shutil
import statistics
import subprocess


def run(command, core):
    """Runs pinned; returns (stdout, user + system seconds of the child)."""
    process = subprocess.Popen(["taskset", "-c", str(core)] + command, stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, text=True)
    out = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: exit {process.returncode}")
    return out, usage.ru_utime + usage.ru_stime


def ours(out, _cpu):
    return json.loads(out)["cpu_us"]


def by_count(pattern):
    def measure(out, cpu):
        found = re.search(pattern, out)
        if not found:
            raise RuntimeError(f"no request count in: {out}")
        return cpu * 1e6 / int(found.group(1))
    return measure


def clients(bench, port, seconds, connections):
    url = f"http://127.0.0.1:{port}/v2/health/ready"
    c, s = str(connections), str(seconds)
    yield "floor", [bench, "floor", str(port), s, c], ours
    yield "engine", [bench, "burst", str(port), str(100_000 * seconds), c], ours
    yield "wrk", ["wrk", "-t1", "-c" + c, f"-d{s}s", url], by_count(r"(\d+) requests in")
    yield ("h2load", ["h2load", "--h1", "-t1", "-c" + c, "-D" + s, url],
           by_count(r"(\d+) succeeded"))
    yield ("ab", ["ab", "-q", "-k", "-c", c, "-t", s, "-n", "100000000", url],
           by_count(r"Complete requests:\s+(\d+)"))
    yield ("hey", ["hey", "-cpus", "1", "-c", c, "-z", s + "s", url],
           by_count(r"\[200\]\s+(\d+) responses"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bin")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=50)
    options = parser.parse_args()
    server = subprocess.Popen(["taskset", "-c", "1", os.path.join(options.bin, "spin_server")],
                              stdout=subprocess.PIPE, text=True)
    try:
        port = int(server.stdout.readline())
        bench = os.path.join(options.bin, "engine_bench")
        chosen = [client for client in clients(bench, port, options.seconds, options.connections)
                  if shutil.which(client[1][0])]
        figures = {name: [] for name, _, _ in chosen}
        failures = {}
        for _ in range(options.rounds):
            for name, command, measure in chosen:
                if name in failures:
                    continue
                try:
                    figures[name].append(measure(*run(command, 0)))
                except RuntimeError as error:  # one tool that cannot is no reason to hide the rest
                    failures[name] = error
                    del figures[name]
    finally:
        server.terminate()
        server.wait()
    engine = statistics.median(figures["engine"])
    print(f"{'client':8} {'CPU us/request':>15} {'min':>7} {'max':>7}   engine ÷ client")
    for name, values in figures.items():
        median = statistics.median(values)
        print(f"{name:8} {median:15.2f} {min(values):7.2f} {max(values):7.2f}   "
              f"{engine / median:.2f}")
    for name in ("wrk", "h2load", "ab", "hey"):
        if name not in figures:
            print(f"{name}: {failures.get(name, 'not installed')}")


if __name__ == "__main__":
    main()
