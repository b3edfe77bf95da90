#!/bin/sh
# Builds core and client for 64-bit ARM and runs their unit tests under qemu (called by `make aarch64`; a stage of `make test`, which skips it, with the reason, where
# compiler, emulator or libraries cannot be had). Without sanitizers: qemu is slow enough.
set -eu
cd "$(dirname "$0")/.."
sysroot=$PWD/build/aarch64-sysroot
packages="libc6-dev libwebsockets-dev libuv1-dev libprotobuf-c-dev libsodium-dev libsqlite3-dev libssl-dev libjwt-dev libjansson-dev libedit-dev libexpat1-dev check libsubunit-dev"
jobs=$(nproc)

skip() {
    echo "skipped: aarch64: $1"
    echo "0 passed, 0 failed, 1 skipped"
    exit 0
}

scripts/setup.sh gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static || skip "the cross compiler or qemu cannot be installed"
# shellcheck disable=SC2086
scripts/aarch64_sysroot.sh "$sysroot" $packages || skip "the arm64 libraries cannot be had"

cmake --preset aarch64 --log-level=WARNING >/dev/null
tests=$(find tests/unit/core tests/unit/client -name 'test_*.c' | sed 's|.*/unit/\(.*\)/test_\(.*\)\.c|unit_\1_\2|')
# shellcheck disable=SC2086
cmake --build build/aarch64 -j "$jobs" --target chat_client chat_client_static $tests
file=build/aarch64/lib/libchat-client.so
readelf -h "$file" | grep -q 'Machine: *AArch64' || { echo "$file is not for AArch64"; exit 1; }
strip=$(mktemp)
aarch64-linux-gnu-strip -o "$strip" "$file"
echo "note: stripped libchat-client.so for aarch64 $(wc -c <"$strip") bytes"
rm -f "$strip"

report=$PWD/build/aarch64/unit.xml
status=0
ctest --test-dir build/aarch64 -R '^unit/(core|client)/' -j "$jobs" --output-on-failure --no-tests=error --output-junit "$report" || status=$?
/usr/bin/python3 scripts/junit_summary.py "$report"
exit "$status"
