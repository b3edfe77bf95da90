#!/bin/sh
# Builds with ThreadSanitizer and runs what has threads: loops and public API of both libraries, backends, and people who chat through chatd (called by
# `make tsan`; no part of `make test`). A race ends the process that has it with status 66, and so fails its test. PYTESTS="file …" takes other tests.
set -eu
cd "$(dirname "$0")/.."
export LC_ALL=C.UTF-8 CHAT_SOURCE="$PWD" CHAT_BUILD="$PWD/build/tsan" PYTHONDONTWRITEBYTECODE=1
export TSAN_OPTIONS="${TSAN_OPTIONS:-halt_on_error=1}"

cmake --preset tsan --log-level=WARNING >/dev/null
cmake --build build/tsan -j "$(nproc)"
status=0
ctest --test-dir build/tsan -R '^(unit/client/client_|unit/server/client_footprint|unit/server/(server_|metrics|shared_limits)|unit/backend/|contract/|services/)' -j "$(nproc)" --output-on-failure --no-tests=error || status=$?
# Programs of this build alone: Python cannot load a library that is built with ThreadSanitizer.
cd tests/integration
/usr/bin/python3 -m pytest -p no:cacheprovider -ra ${PYTESTS:-test_cli.py test_cli_crash.py test_cli_login.py test_cli_open.py test_examples.py} || status=$?
exit "$status"
