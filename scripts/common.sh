# Sourced by the scripts beside it: say what happens, time it, fail with one line.
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export LC_ALL=C.UTF-8

say() { printf '== %s\n' "$*"; }
fail() {
  printf '%s: %s\n' "${name:-broadside}" "$*" >&2
  exit 1
}
# step "what is done" command…  runs it, shows how long it took; its own output goes to a log file that
# is shown when it fails.
step() {
  local what=$1 log=build/log/step.log start=$SECONDS
  shift
  mkdir -p build/log
  printf '== %s … ' "$what"
  if "$@" >"$log" 2>&1; then
    printf 'done (%d s)\n' $((SECONDS - start))
  else
    printf 'FAILED (%d s)\n' $((SECONDS - start))
    tail -n 40 "$log" >&2
    return 1
  fi
}
