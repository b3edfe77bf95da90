#!/bin/sh
# purity.sh ALLOWED PURE GENERATED
#
# PURE and GENERATED are files that list object files. Fails, with a line for each, if a pure object
#   - needs a symbol that no pure or generated object defines and ALLOWED does not list, or
#   - has mutable static storage (.data, .bss, thread-local).
set -eu
export LC_ALL=C

allowed=$1
pure=$2
generated=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

pure_objects=$(cat "$pure")
generated_objects=$(cat "$generated")
test -n "$pure_objects" || { echo "purity: no objects to read" >&2; exit 2; }

# shellcheck disable=SC2086
nm -g --defined-only $pure_objects $generated_objects | awk 'NF == 3 { print $3 }' | sort -u >"$work/defined"
grep -v -e '^#' -e '^$' "$allowed" | sed 's/^/^(/; s/$/)$/' >"$work/allowed"

# shellcheck disable=SC2086
nm -A -u $pure_objects | sed -n 's/^\(.*\):  *[Uwv] \([^@]*\).*$/\2 \1/p' | sort -u >"$work/needed"
awk '{ print $1 }' "$work/needed" | sort -u | comm -23 - "$work/defined" | grep -E -v -f "$work/allowed" >"$work/foreign" || true

failed=0
while read -r symbol; do
    echo "not pure: needs $symbol: $(awk -v s="$symbol" '$1 == s { print $2 }' "$work/needed" | tr '\n' ' ')"
    failed=1
done <"$work/foreign"

# sysv columns: name|value|class|type|size|line|section. Constants with pointers are in .data.rel.ro, which is sealed after loading.
for object in $pure_objects; do
    nm -f sysv --defined-only "$object" | awk -F'|' -v object="$object" '
        NF >= 7 {
            name = $1; section = $7
            gsub(/[ \t]/, "", name); gsub(/[ \t]/, "", section)
            if (section !~ /^\.(data|bss|tdata|tbss)(\.|$)|^\*COM\*/) next
            if (section ~ /^\.data\.rel\.ro/) next
            if (name ~ /^(__gcov|__odr_asan|__asan|__tsan)/) next
            print "not pure: mutable static storage " name ": " object
        }' >"$work/mutable"
    test ! -s "$work/mutable" || { cat "$work/mutable"; failed=1; }
done
test $failed -eq 0 && echo "pure: $(echo "$pure_objects" | wc -l) objects, $(wc -l <"$work/needed") references"
exit $failed
