#!/usr/bin/env bash
# Restarts of the controller, then a long run at 1,000/s against a server that stalls now and then: the ledger must close, nothing may leak.
# Meanwhile the simulation plays seeds that no test has played, without end.
set -euo pipefail
name="make soak"
. "$(dirname "$0")/common.sh"
scripts/setup.sh build
ONLY="ctl broadside-controller broadside-agent broadside-scripted-target sim_test" scripts/build.sh release
minutes=${SOAK_MINUTES:-10}
mkdir -p build/log
from=$(date +%s)000000
say "simulation: seeds from $from, for $minutes minutes"
nice build/release/tests/sim_test --from "$from" --seconds $((minutes * 60)) >build/log/soak-sim.txt &
sim=$!
failed=0
/usr/bin/python3 -B tests/e2e/restart_test.py --times "${SOAK_RESTARTS:-20}" || failed=$?
/usr/bin/python3 -B tests/e2e/soak.py --minutes "$minutes" || failed=$?
wait $sim || failed=1
cat build/log/soak-sim.txt
exit $failed
