#!/usr/bin/env bash
# build.sh PRESET [cmake options] — configures and builds one preset, without network.
set -euo pipefail
name="make build"
. "$(dirname "$0")/common.sh"
preset=$1
shift
command -v cmake >/dev/null && command -v ninja >/dev/null ||
  fail "cmake or ninja is missing: run make setup first"
step "configure $preset" cmake --preset "$preset" "$@" || fail "configuring $preset failed (see above)"
start=$SECONDS
say "build $preset"
cmake --build --preset "$preset" || fail "building $preset failed (see above)"
say "build $preset: done ($((SECONDS - start)) s), programs in build/$preset/bin"
