#!/bin/sh
# Builds the fuzz targets with clang and lets each run for a while, from the seeds in tests/fuzz/corpus (called by `make fuzz`).
# FUZZ_SECONDS (60) says how long; TARGETS="codec …" which (all). What is found is in build/fuzz/found/TARGET; the corpus as it grew in build/fuzz/corpus/TARGET (scripts/fuzz_corpus.sh
# takes the best of it over). The last lines are a table: inputs, edges covered, inputs that failed.
set -eu
cd "$(dirname "$0")/.."
seconds=${FUZZ_SECONDS:-60}

cmake --preset fuzz --log-level=WARNING >/dev/null
cmake --build build/fuzz --target fuzzers -j "$(nproc)"

status=0
table=build/fuzz/table
printf '%-16s %12s %8s %8s\n' target inputs edges failed >$table
for target in ${TARGETS:-$(ls tests/fuzz/corpus)}; do
    corpus=build/fuzz/corpus/$target found=build/fuzz/found/$target log=build/fuzz/$target.log
    mkdir -p "$corpus" "$found"
    echo "== $target, $seconds s"
    build/fuzz/fuzz/"$target" -max_total_time="$seconds" -max_len=4096 -len_control=20 -timeout=60 -rss_limit_mb=2048 -print_final_stats=1 -close_fd_mask=1 \
        -artifact_prefix="$found/" "$corpus" tests/fuzz/corpus/"$target" >"$log" 2>&1 || {
        status=1
        grep -v '^#[0-9]*\|NEW_FUNC' "$log" | tail -n 40
    }
    printf '%-16s %12s %8s %8s\n' "$target" "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")" "$(sed -n 's/^#.*cov: \([0-9]*\).*/\1/p' "$log" | tail -n 1)" \
        "$(find "$found" -type f | wc -l)" >>$table
done
cat $table
exit $status
