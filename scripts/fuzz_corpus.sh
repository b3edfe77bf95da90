#!/bin/sh
# Takes over what `make fuzz` has found worth keeping: adds to tests/fuzz/corpus/TARGET a small set of short inputs of build/fuzz/corpus/TARGET that covers, edge by edge, what the seeds there do not
# (libFuzzer's set cover). TARGETS="codec …" which (all); LEN_MAX (160) bytes an input has at most.
set -eu
cd "$(dirname "$0")/.."
for target in ${TARGETS:-$(ls tests/fuzz/corpus)}; do
    test -d "build/fuzz/corpus/$target" || continue
    build/fuzz/fuzz/"$target" -set_cover_merge=1 -use_counters=0 -max_len="${LEN_MAX:-160}" tests/fuzz/corpus/"$target" build/fuzz/corpus/"$target" >"build/fuzz/corpus-$target.log" 2>&1 ||
        { tail -n 20 "build/fuzz/corpus-$target.log"; exit 1; }
    echo "$target: $(find tests/fuzz/corpus/"$target" -type f | wc -l) inputs, $(find tests/fuzz/corpus/"$target" -type f -exec cat {} + | wc -c) bytes"
done
