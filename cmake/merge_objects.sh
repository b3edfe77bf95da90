#!/bin/sh
# merge_objects.sh OUTPUT OBJECT... -- CORE_OBJECT...
#
# Merges objects into one for a static library and makes its hidden symbols local. What the core exports (chat.h) is in
# the client's library and in the server's: it becomes weak, so that the first of the two serves both.
set -eu

output=$1
shift
objects=""
while [ "$1" != -- ]; do
    objects="$objects $1"
    shift
done
shift

core_exports=$output.core-exports
merged=$output.tmp
: >"$core_exports"
if [ $# -gt 0 ]; then
    # readelf columns: number, value, size, type, binding, visibility, section, name
    readelf -sW "$@" | awk '$5 == "GLOBAL" && $6 == "DEFAULT" && $7 != "UND" { print $8 }' | sort -u >"$core_exports"
fi

# shellcheck disable=SC2086
${LD:-ld} -r -o "$merged" $objects
${OBJCOPY:-objcopy} --localize-hidden --weaken-symbols="$core_exports" "$merged" "$output"
rm -f "$merged" "$core_exports"
