#!/usr/bin/env bash
# test.sh [peers] — everything that must hold: setup, release build, all tests; then the pure parts again
# with address and thread sanitizers. `peers`: only the tests beside other people's software.
# The last line is "N passed, M failed" over all runs; the exit status says the same.
set -euo pipefail
name="make test"
. "$(dirname "$0")/common.sh"

passed=0 failed=0 summary=()

# run_tests PRESET [ctest options]: adds to the totals from ctest's own closing line.
run_tests() {
  local preset=$1 log=build/log/test-$1.log start=$SECONDS line bad total
  shift
  say "test $preset"
  mkdir -p build/log
  ctest --preset "$preset" --no-tests=error "$@" 2>&1 | tee "$log" || true
  line=$(grep -E '^[0-9]+% tests passed, [0-9]+ tests? failed out of [0-9]+' "$log" || true)
  [ -n "$line" ] || fail "ctest did not come to an end for $preset (see above)"
  bad=$(sed -E 's/.*passed, ([0-9]+) tests? failed.*/\1/' <<<"$line")
  total=$(sed -E 's/.*out of ([0-9]+).*/\1/' <<<"$line")
  passed=$((passed + total - bad)) failed=$((failed + bad))
  summary+=("$preset: $line ($((SECONDS - start)) s)")
}

begin=$SECONDS
scripts/setup.sh all
scripts/build.sh release
if [ "${1:-}" = peers ]; then
  run_tests release -L 'peers|oracle'
else
  run_tests release
  for sanitizer in asan tsan; do
    scripts/build.sh $sanitizer
    run_tests $sanitizer
  done
  scripts/build.sh mutants
  run_tests mutants
fi
say "all in $((SECONDS - begin)) s"
printf '%s\n' "${summary[@]}"
total=$((passed + failed))
printf '%d%% tests passed, %d tests failed out of %d\n' $((total ? passed * 100 / total : 0)) $failed $total
printf '%d passed, %d failed\n' $passed $failed
[ $failed = 0 ] && [ $passed -gt 0 ]
