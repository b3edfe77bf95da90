#!/bin/sh
# Builds the fuzz targets with clang and lets each run for a while, from the seeds in tests/fuzz/corpus (called by `make fuzz`).
# SECONDS_EACH (60) says how long; TARGETS="codec …" which (all). What is found is in build/fuzz/found/TARGET; the corpus as it grew in build/fuzz/corpus/TARGET.
set -eu
cd "$(dirname "$0")/.."
seconds=${SECONDS_EACH:-60}

cmake --preset fuzz --log-level=WARNING >/dev/null
cmake --build build/fuzz --target fuzzers -j "$(nproc)"

status=0
for target in ${TARGETS:-$(ls tests/fuzz/corpus)}; do
    corpus=build/fuzz/corpus/$target found=build/fuzz/found/$target
    mkdir -p "$corpus" "$found"
    echo "== $target, $seconds s"
    build/fuzz/fuzz/"$target" -max_total_time="$seconds" -max_len=16384 -timeout=25 -rss_limit_mb=2048 -print_final_stats=1 -verbosity=0 \
        -artifact_prefix="$found/" "$corpus" tests/fuzz/corpus/"$target" || status=1
done
exit $status
