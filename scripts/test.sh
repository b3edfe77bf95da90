#!/bin/sh
# Builds and runs every test (called by `make test`). Each stage prints its time, its result and what it skipped and why; its
# whole output is in build/test-logs/. The last line is "N passed, N failed, N skipped", over all stages.
#
# A stage exists when there is something to run in it. STAGES="unit sim" runs only those (builds are always made).
# CHAT_SIM_SEEDS (2000) and CHAT_SIM_SEEDS_ASAN (200) say how long the simulator runs, CHAT_SIM_SEEDS_RULES (600) how long a rule that is left out may go unnoticed;
# CHAT_SIM_FROM is the first seed. CHAT_FAILURES_SECONDS (120) says how long calls are failed one after another.
# CHAT_CHAOS_SECONDS (40) says how long the kill campaign makes trouble,
# CHAT_POWER_CUTS (2000) how often the power is cut.
set -u
cd "$(dirname "$0")/.."
export LC_ALL=C.UTF-8

logs=$PWD/build/test-logs
jobs=$(nproc)
sim_seeds=${CHAT_SIM_SEEDS:-2000}
sim_seeds_asan=${CHAT_SIM_SEEDS_ASAN:-200}
sim_rules_seeds=${CHAT_SIM_SEEDS_RULES:-600}
failures_seconds=${CHAT_FAILURES_SECONDS:-120}
passed_total=0 failed_total=0 skipped_total=0
started=$(date +%s)

export CHAT_SOURCE="$PWD"
export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_stack_use_after_return=1:strict_string_checks=1}"
export UBSAN_OPTIONS="${UBSAN_OPTIONS:-print_stacktrace=1}"
# What is sent that nobody may read, and what is said meanwhile (tests/canaries.py).
export CHAT_CANARIES="$logs/canaries"
rm -rf "$logs"
mkdir -p "$logs"

# --- stages -----------------------------------------------------------------------------------------------------------

wanted() {
    test -z "${STAGES:-}" && return 0
    case " $STAGES " in *" $1 "*) return 0 ;; esac
    return 1
}

# stage NAME COMMAND...: runs it, adds up what its log's last result line says. Without such a line the stage is one test.
stage() {
    name=$1 log=$logs/$1.log
    shift
    printf '%-14s ' "$name"
    began=$(date +%s)
    # In a subshell: a stage's variables are its own.
    ("$@") >"$log" 2>&1 </dev/null
    status=$?
    seconds=$(($(date +%s) - began))

    result=$(grep -E '^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$' "$log" | tail -n 1)
    test -n "$result" || result="$((status == 0)) passed, $((status != 0)) failed, 0 skipped"
    # shellcheck disable=SC2046
    set -- $(echo "$result" | tr -c '0-9\n' ' ')
    passed=$1 failed=$2 skipped=$3
    # A command that ends badly has failed, whatever it counted.
    test "$status" -eq 0 || test "$failed" -gt 0 || failed=1

    printf '%5d s   %d passed, %d failed, %d skipped\n' "$seconds" "$passed" "$failed" "$skipped"
    grep '^skipped: ' "$log" | sed 's/^/    /'
    grep '^note: ' "$log" | sed 's/^note: /    /'
    if [ "$failed" -gt 0 ]; then
        echo "    failed; the end of $log:"
        tail -n 60 "$log" | sed 's/^/    | /'
    fi
    passed_total=$((passed_total + passed))
    failed_total=$((failed_total + failed))
    skipped_total=$((skipped_total + skipped))
    test "$failed" -eq 0
}

finish() {
    echo "total          $(printf '%5d' $(($(date +%s) - started))) s"
    echo "$passed_total passed, $failed_total failed, $skipped_total skipped"
    test "$failed_total" -eq 0
    exit
}

# --- what the stages run ------------------------------------------------------------------------------------------------

build() {
    cmake --preset "$1" && cmake --build --preset "$1" -j "$jobs"
}

has_ctest() {
    test "$(ctest --test-dir "build/$1" -N -L "^$2\$" | sed -n 's/^Total Tests: //p')" -gt 0
}

# run_ctest PRESET LABEL
run_ctest() {
    report=$logs/$1-$2.xml
    status=0
    ctest --test-dir "build/$1" -L "^$2\$" -j "$jobs" --output-on-failure --no-tests=error --output-junit "$report" || status=$?
    python_summary "$report" || return 1
    return $status
}

python_summary() {
    /usr/bin/python3 scripts/junit_summary.py "$1"
}

run_sim() {
    "build/$1/bin/chat-sim" --seeds "$2" ${CHAT_SIM_FROM:+--from "$CHAT_SIM_FROM"}
}

has_tests() {
    test -n "$(find "$1" \( -name 'test_*.py' -o -name 'test_*.sh' \) 2>/dev/null)"
}

# run_scripts PRESET FOLDER: python tests by pytest, each test_*.sh by itself (77 means skipped, the last line says why).
run_scripts() {
    export CHAT_BUILD="$PWD/build/$1"
    export PYTHONPATH="$PWD/bindings/python:$PWD/tests"
    export PYTHONDONTWRITEBYTECODE=1
    passed=0 failed=0 skipped=0
    for script in $(find "$2" -name 'test_*.sh' | sort); do
        run_script "$script"
    done
    if [ -n "$(find "$2" -name 'test_*.py')" ]; then
        run_pytest "$2"
    fi
    echo "$passed passed, $failed failed, $skipped skipped"
    test "$failed" -eq 0
}

# The libraries under ASan inside Python: Python is not built with it, so ASan must be there first, and what Python keeps is not our leak.
run_scripts_in_asan() {
    export LIBCHAT_PATH="$PWD/build/dev/lib"
    export ASAN_OPTIONS="$ASAN_OPTIONS:detect_leaks=0"
    python_preload="$(cc -print-file-name=libasan.so) $(cc -print-file-name=libubsan.so)"
    run_scripts dev "$1"
}

run_script() {
    echo "== $1"
    status=0
    output=$(sh "$1" 2>&1) || status=$?
    echo "$output"
    case $status in
    0) passed=$((passed + 1)) ;;
    77)
        skipped=$((skipped + 1))
        echo "skipped: $1: $(echo "$output" | tail -n 1)"
        ;;
    *)
        failed=$((failed + 1))
        echo "FAILED ($status): $1"
        ;;
    esac
}

run_pytest() {
    report=$logs/$(basename "$1")-$(basename "$CHAT_BUILD").xml
    status=0
    LD_PRELOAD="${python_preload:-}" /usr/bin/python3 -m pytest -p no:cacheprovider --junitxml="$report" -ra "$1" || status=$?
    summary=$(python_summary "$report") || summary="0 passed, 1 failed, 0 skipped"
    echo "$summary" | grep '^skipped: '
    # shellcheck disable=SC2046
    set -- $(echo "$summary" | tail -n 1 | tr -c '0-9\n' ' ')
    passed=$((passed + $1))
    failed=$((failed + $2))
    skipped=$((skipped + $3))
    # Nothing collected, or pytest itself broke.
    test $status -eq 0 || test "$2" -gt 0 || failed=$((failed + 1))
}

# --- in order of what fails soonest -----------------------------------------------------------------------------------

if wanted format; then stage format scripts/check_format.sh; fi
stage build-dev build dev || finish
stage build-release build release || finish

if wanted coverage; then stage coverage scripts/coverage.sh; fi
if wanted analyze; then stage analyze scripts/analyze.sh; fi

for label in purity unit fuzz contract; do
    if wanted $label && has_ctest dev $label; then stage $label run_ctest dev $label; fi
done
if wanted headers && has_ctest release headers; then stage headers run_ctest release headers; fi
if wanted abi && has_ctest release abi; then stage abi run_ctest release abi; fi
# The optimiser may call what the source does not.
if wanted purity && has_ctest release purity; then stage purity-release run_ctest release purity; fi
if wanted sim && [ -x build/dev/bin/chat-sim ]; then
    stage sim-asan run_sim dev "$sim_seeds_asan"
    stage sim run_sim release "$sim_seeds"
    stage sim-rules build/release/bin/chat-sim-rules --table "$sim_rules_seeds"
fi
if wanted failures && [ -x build/dev/bin/chat-failures ]; then
    stage failures build/dev/bin/chat-failures --seconds "$failures_seconds" --jobs "$jobs"
fi
if wanted model; then stage model build/release/bin/chat-model; fi
if wanted integration && has_tests tests/integration; then stage integration run_scripts dev tests/integration; fi
# Real servers of others, started here; what a machine lacks is said.
if wanted services; then
    if has_ctest dev services; then stage services-contract run_ctest dev services; fi
    if has_tests tests/services; then stage services run_scripts dev tests/services; fi
fi
if wanted power && has_ctest release power; then
    stage power-asan run_ctest dev power
    stage power env CUTS="${CHAT_POWER_CUTS:-2000}" SIM=no scripts/power.sh
fi
if wanted chaos; then
    stage chaos-oracle run_scripts release tests/chaos
    stage chaos env KILLS=1000000 CHAOS_SECONDS="${CHAT_CHAOS_SECONDS:-40}" scripts/chaos.sh
fi
if wanted bindings && has_tests tests/bindings; then
    stage bindings-asan run_scripts_in_asan tests/bindings
    stage bindings run_scripts release tests/bindings
fi
# Each program of the benchmarks runs, as small as can be; no figure is judged.
if wanted bench; then stage bench /usr/bin/python3 scripts/check_bench.py build/release; fi
if [ -d "$CHAT_CANARIES" ]; then stage canaries /usr/bin/python3 tests/canaries.py "$CHAT_CANARIES"; fi
if wanted install && has_ctest release install; then stage install run_ctest release install; fi
if wanted aarch64; then stage aarch64 scripts/aarch64.sh; fi
finish
