#!/usr/bin/env bash
# setup.sh build | all — installs what building needs, or what testing needs too. Only what is missing;
# nothing is done when all is there.
set -euo pipefail
name="make setup"
. "$(dirname "$0")/common.sh"

build_packages=(
  g++ cmake ninja-build pkg-config ccache
  libgrpc++-dev protobuf-compiler protobuf-compiler-grpc libprotobuf-dev libabsl-dev
  prometheus-cpp-dev libyaml-cpp-dev libspdlog-dev libboost1.81-dev libsimdjson-dev libcli11-dev
  nlohmann-json3-dev rapidjson-dev libssl-dev libsqlite3-dev libzstd-dev zlib1g-dev
  libgtest-dev libgmock-dev libbenchmark-dev
)
test_packages=(
  python3 python3-numpy python3-pip libpython3.11 prometheus wrk
  default-jdk-headless libhdrhistogram-java clang-format-14
)

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# Fills `missing`. Node and Java count as there when their programs are, whoever packaged them.
find_missing() {
  missing=()
  local package
  for package in "$@"; do
    case $package in
      default-jdk-headless) command -v javac >/dev/null && continue ;;
    esac
    installed "$package" || missing+=("$package")
  done
}

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  else
    sudo -n "$@"
  fi
}

apt_install() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
}

install_missing() {
  [ ${#missing[@]} -gt 0 ] || return 0
  say "setup: ${#missing[@]} Debian packages are missing: ${missing[*]}"
  command -v apt-get >/dev/null ||
    fail "cannot install ${missing[0]}: there is no apt-get here; install it yourself"
  if [ "$(id -u)" != 0 ] && ! sudo -n true 2>/dev/null; then
    fail "cannot install ${missing[*]}: not root, and sudo asks for a password; run as root or install it yourself"
  fi
  # The lists are fetched only when apt does not know a package yet, or cannot fetch what it knows.
  if ! apt-cache show "${missing[@]}" >/dev/null 2>&1; then
    step "apt-get update" as_root apt-get update || fail "cannot update the package lists (see above)"
  fi
  if ! step "apt-get install" apt_install "${missing[@]}"; then
    step "apt-get update, then once more" as_root apt-get update ||
      fail "cannot update the package lists (see above)"
    step "apt-get install" apt_install "${missing[@]}" ||
      fail "cannot install ${missing[*]}: see above; run as root or install it yourself"
  fi
}

want=${1:-all}
packages=("${build_packages[@]}")
if [ "$want" = all ]; then
  packages+=("${test_packages[@]}")
  command -v node >/dev/null || packages+=(nodejs)
  command -v npm >/dev/null || packages+=(npm)
elif [ "$want" != build ]; then
  fail "unknown part \"$want\": write build or all"
fi
find_missing "${packages[@]}"
install_missing
[ "$want" = build ] || scripts/setup-peers.sh
say "setup: all there"
