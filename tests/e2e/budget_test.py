"""What an agent and its snapshots may take: 64 MB for two loops and three targets, 4 KB a target and
interval at 1,000/s and one outcome."""

import glob
import os
import sqlite3

import harness

PLAN = """
name: budget
defaults:
  protocol: kserve-http
  url: http://127.0.0.1:{port}
  model: echo_fp32
  input: {{auto: {{batch: 1, shapes: {{INPUT0: [4]}}}}}}
targets: {{one: {{}}, two: {{}}, three: {{}}}}
load:
  - {{phase: hold, rate: 3000/s, duration: 5s}}
"""


class BudgetTest(harness.Case):

    def test_memory_and_snapshots(self):
        target = self.scripted_target("--latency", "lognormal:5ms,0.5")
        controller = self.controller()
        agent = self.agent(controller, "a", "--loops", "2", "--wait", "eco")
        report = self.run_plan(PLAN.format(port=target.port), controller=controller)
        self.assertEqual(report["ledger"]["ok"], 15_000, report["total"]["outcomes"])

        with open(f"/proc/{agent.child.pid}/status") as status:
            peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
        print(f"\nagent: peak {peak / 1024:.1f} MB resident")
        self.assertLessEqual(peak, 64 * 1024)

        (path,) = [path for path in glob.glob(os.path.join(self.path("store"), "*"))
                   if os.path.isfile(path) and not path.endswith(("-wal", "-shm", "lock"))]
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as store:
            sizes = [size for (size,) in store.execute(
                "SELECT length(body) FROM snapshots WHERE interval_k BETWEEN 0 AND 4")]
        self.assertEqual(len(sizes), 5)
        print(f"snapshots of 3 targets: {min(sizes)} to {max(sizes)} bytes")
        self.assertLessEqual(max(sizes), 3 * 4096)


if __name__ == "__main__":
    harness.main()
