#!/usr/bin/env bash
# Benchmarks of the parts, then 60 s of each accuracy test (100, 1,000 and 10,000/s, uniform and poisson).
set -euo pipefail
name="make bench"
. "$(dirname "$0")/common.sh"
scripts/setup.sh all
scripts/build.sh release -DBROADSIDE_BENCH=ON
for part in stats rate store metrics fleet; do
  program=build/release/bin/${part}_bench
  say "$program"
  "$program"
done
say "accuracy, 60 s each"
BROADSIDE_ACCURACY_SECONDS=60 /usr/bin/python3 -B tests/e2e/accuracy_test.py -v
