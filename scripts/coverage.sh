#!/bin/sh
# Branch coverage (gcov, gcovr). Without an argument: src/core by its own unit tests alone, each branch taken or an exception by name (a stage of `make test`).
# "all": everything by all unit and contract tests, as a table of each file (called by `make coverage`; nothing is judged, docs/reliability.md says what the gaps are).
set -eu
cd "$(dirname "$0")/.."
export CHAT_SOURCE="$PWD" CHAT_BUILD="$PWD/build/coverage" CK_DEFAULT_TIMEOUT=120
jobs=$(nproc)

cmake --preset coverage --log-level=WARNING >/dev/null
core=$(ls tests/unit/core/test_*.c | sed 's|.*/test_\(.*\)\.c|unit_core_\1|')

build() {
    cmake --build build/coverage -j "$jobs" "$@"
    find build/coverage -name '*.gcda' -delete
}

# measure FILTER FORMAT...: from the build folder, which the compiler's paths may be relative to
measure() {
    filter=$1
    shift
    (cd build/coverage && gcovr --root ../.. --object-directory . --filter "$filter" --branches --exclude-branches-by-pattern '.*ch_assert\(.*' "$@" 2>"$CHAT_BUILD/gcovr.log") ||
        { cat build/coverage/gcovr.log; return 1; }
}

if [ "${1:-}" = all ]; then
    build
    ctest --test-dir build/coverage -L '^(unit|contract)$' -j "$jobs" --output-on-failure --no-tests=error
    measure '(.*/)?src/(backend|client|core|platform|server)/.*\.c$'
    exit
fi
# shellcheck disable=SC2086
build --target $core
for program in $core; do
    (cd build/coverage/tests && ./"$program")
done
measure '(.*/)?src/core/.*\.[ch]$' --json core.json
/usr/bin/python3 tests/coverage/branches.py . tests/coverage/exceptions.txt <build/coverage/core.json
