#!/usr/bin/env bash
# build.sh PRESET [cmake options] — configures and builds one preset, without network.
# With ONLY="target …" in the environment only these are built: the demo needs no tests.
set -euo pipefail
name="make build"
. "$(dirname "$0")/common.sh"
preset=$1
shift
command -v cmake >/dev/null && command -v ninja >/dev/null ||
  fail "cmake or ninja is missing: run make setup first"
step "configure $preset" cmake --preset "$preset" "$@" || fail "configuring $preset failed (see above)"
start=$SECONDS
say "build $preset${ONLY:+: $ONLY}"
# shellcheck disable=SC2086 # one word a target
cmake --build --preset "$preset" ${ONLY:+--target $ONLY} || fail "building $preset failed (see above)"
say "build $preset: done ($((SECONDS - start)) s), programs in build/$preset/bin"
