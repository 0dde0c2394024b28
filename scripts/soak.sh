#!/usr/bin/env bash
# A long run at 1,000/s against a server that stalls now and then: the ledger must close, nothing may leak.
set -euo pipefail
name="make soak"
. "$(dirname "$0")/common.sh"
scripts/setup.sh build
ONLY="ctl broadside-controller broadside-agent broadside-scripted-target" scripts/build.sh release
exec /usr/bin/python3 -B tests/e2e/soak.py --minutes "${SOAK_MINUTES:-10}"
