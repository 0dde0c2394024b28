#!/usr/bin/env bash
# The demo: a scripted inference server with about 40 ms of latency, a controller and three agents on
# this machine, a ramp and a constant phase, live progress and a report. About half a minute.
set -euo pipefail
name="make demo"
. "$(dirname "$0")/common.sh"

scripts/setup.sh build
ONLY="ctl broadside-controller broadside-agent broadside-scripted-target" scripts/build.sh release
bin=build/release/bin
work=$(mktemp -d)
target=
finish() {
  [ -z "$target" ] || kill "$target" 2>/dev/null || true
  rm -rf "$work"
}
trap finish EXIT

"$bin/broadside-scripted-target" --listen 127.0.0.1:0 --port-file "$work/port" \
  --latency lognormal:40ms,0.1 --workers 64 --seed 1 2>"$work/target.log" &
target=$!
for _ in $(seq 100); do
  [ ! -s "$work/port" ] || break
  kill -0 "$target" 2>/dev/null || fail "the scripted target ended at once: $(tail -n 1 "$work/target.log")"
  sleep 0.05
done
[ -s "$work/port" ] || fail "the scripted target did not say its port within 5 s"
port=$(cut -d ' ' -f 2 "$work/port")
say "scripted target at http://127.0.0.1:$port: bert-base, lognormal latency around 40 ms"
say "$bin/ctl run examples/demo.yaml --agents 3 --set targets.bert-base.url=http://127.0.0.1:$port"
"$bin/ctl" run examples/demo.yaml --agents 3 --set "targets.bert-base.url=http://127.0.0.1:$port"
