#!/usr/bin/env bash
# Fetches the software that tests run beside Broadside and that Debian does not package: a real Triton
# Inference Server (a wheel from PyPI, CPU only) and an HDR histogram in JavaScript. Done once.
set -euo pipefail
name="make setup"
. "$(dirname "$0")/common.sh"

triton=build/peers/triton
wheel=nvidia-pytriton==0.7.0
server=$triton/site/pytriton/tritonserver

fetch_triton() {
  rm -rf "$triton.part" && mkdir -p "$triton.part" || return 1
  env -u PYTHONHOME -u PYTHONPATH /usr/bin/python3 -m pip download --no-deps --only-binary=:all: \
    -d "$triton.part/dl" "$wheel" || return 1
  /usr/bin/python3 -m zipfile -e "$triton.part"/dl/nvidia_pytriton-*.whl "$triton.part/site" || return 1
  local part=$triton.part/site/pytriton/tritonserver
  # The backend looks for its stub beside itself, and zipfile drops the execute bits.
  cp "$part/python_backend_stubs/3.11/triton_python_backend_stub" "$part/backends/python/" || return 1
  chmod +x "$part/bin/tritonserver" "$part/backends/python/triton_python_backend_stub" || return 1
  rm -rf "$triton.part/dl" "$triton" && mv "$triton.part" "$triton"
}

# Its usage exits with 1; a server that cannot start prints none.
works() { [[ $("$server/bin/tritonserver" --help 2>&1 || true) == *--model-repository* ]]; }

if [ ! -x "$server/bin/tritonserver" ]; then
  step "setup: fetching Triton Inference Server ($wheel, 55 MB)" fetch_triton ||
    fail "cannot fetch $wheel by pip (see above)"
fi
[ -x "$server/backends/python/triton_python_backend_stub" ] && works ||
  fail "$server/bin/tritonserver does not start; remove $triton and run again"

oracle=tests/oracle
if [ -f $oracle/package-lock.json ] &&
  ! [ $oracle/node_modules/.package-lock.json -nt $oracle/package-lock.json ]; then
  step "setup: npm ci in $oracle" npm ci --ignore-scripts --no-audit --no-fund --prefix $oracle ||
    fail "cannot run npm ci in $oracle (see above)"
  touch $oracle/node_modules/.package-lock.json
fi
