#!/bin/sh
# find_package.sh SOURCE BUILD WORK: the same programs, found by CMake.
. "$(dirname "$0")/prefix.sh"

cmake -S "$source/tests/install/project" -B "$work/build" -G Ninja -DCMAKE_PREFIX_PATH="$prefix" \
    -DPROGRAM="$source/tests/install/program.c" -DEXAMPLES="$source/examples" >"$work/configure.log"
cmake --build "$work/build"
for program in client server both client_static server_static both_static; do
    "$work/build/$program"
done
run_examples "$work/build/examples"
