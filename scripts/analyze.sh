#!/bin/sh
# Static analysis of src and examples, clean or failed: gcc's analyzer (a path through a function, and through those that it calls, to a fault) and cppcheck (also what
# reads oddly: names that contradict their declaration, values never set). Called by `make analyze`; a stage of `make test`.
# Generated code is not ours, tests crash on purpose. A finding that is none is said by rewriting the code, not by a comment for the tool.
set -eu
cd "$(dirname "$0")/.."
jobs=$(nproc)

cmake --preset analyze --log-level=WARNING >/dev/null
cmake --build build/analyze -j "$jobs"
echo "note: gcc -fanalyzer: no finding in $(grep -c '"file": ".*/\(src\|examples\)/[^"]*\.c"' build/analyze/compile_commands.json) compilations"

# The standard library's headers are known to it; others are not read.
cppcheck -j "$jobs" --quiet --error-exitcode=1 --std=c11 --enable=warning,performance,portability --suppress=missingInclude \
    -D_POSIX_C_SOURCE=200809L -Isrc -Iinclude src examples
echo "note: $(cppcheck --version): no finding in $(find src examples -name '*.c' | wc -l) files"
