#!/bin/sh
# Installs what the build and the tests need, by name, from Debian (written for Debian 12).
# Quick when nothing is missing, asks nothing, leaves no service started.
#
#   scripts/setup.sh [PACKAGE...]    these as well: what only some target needs (make fuzz: clang)
set -eu

packages="
  gcc libc6-dev binutils cmake ninja-build pkg-config
  libwebsockets-dev libuv1-dev
  libprotobuf-c-dev protobuf-c-compiler protobuf-compiler
  libsodium-dev libsqlite3-dev libssl-dev libjwt-dev libjansson-dev libedit-dev libexpat1-dev
  libhiredis-dev redis-server
  check libsubunit-dev
  python3 python3-cffi python3-websockets python3-protobuf python3-pytest
  g++ abigail-tools cppcheck gcovr
  openssl procps ca-certificates git
"

installed() {
    test "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed
}

missing=""
for package in $packages "$@"; do
    installed "$package" || missing="$missing $package"
done
test -n "$missing" || exit 0

as_root=""
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || {
        echo "setup: not root and no sudo; missing:$missing" >&2
        exit 1
    }
    as_root="sudo -n"
fi

# A package that brings a service must not start it: policy-rc.d says "forbidden" (101) to
# whatever an install script tries. It goes away again with this script, unless it was there before.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap '$as_root rm -f "$policy"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
    $as_root chmod 755 "$policy"
fi

apt() {
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 "$@"
}

echo "setup: installing$missing"
# The package lists may be old or absent: try with what is there, refresh them once if that fails.
# shellcheck disable=SC2086
apt install --no-install-recommends $missing || {
    apt update
    apt install --no-install-recommends $missing
}
