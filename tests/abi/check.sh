#!/bin/sh
# check.sh LIBRARY HEADERS DESCRIPTION: is the library as the committed description says? Any difference fails: one that programs do not feel
# (a new function, a struct that grew at its end) is described anew, any other needs another major version first.
set -eu
library=$1 headers=$2 description=$3
command -v abidiff >/dev/null || { echo "abidiff is not installed (Debian: abigail-tools)"; exit 77; }

found=$(mktemp)
trap 'rm -f "$found"' EXIT
sh "$(dirname "$0")/describe.sh" "$library" "$headers" "$found"

architecture() {
    sed -n "1s/.*architecture='\([^']*\)'.*/\1/p" "$1"
}
if [ "$(architecture "$found")" != "$(architecture "$description")" ]; then
    echo "described for $(architecture "$description") alone, this is $(architecture "$found")"
    exit 77
fi

status=0
abidiff "$description" "$found" || status=$?
test "$status" -ne 0 || exit 0
# abidiff's status is a set of bits: 1 and 2 are its own failures, 8 is set beside 4 where programs that exist would break for sure.
if [ $((status & 3)) -ne 0 ]; then
    echo "abidiff failed ($status)"
elif [ $((status & 8)) -ne 0 ]; then
    echo "programs that are linked to the library BREAK: undo it, or raise the major version. Then: make abi"
else
    echo "the ABI is another one than described. If structs grew at their end and functions were added, no more: make abi, and commit $(basename "$description")"
fi
exit 1
