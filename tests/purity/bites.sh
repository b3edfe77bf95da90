#!/bin/sh
# bites.sh CHECK ALLOWED OBJECT_LIST BAIT [CULPRIT]: CHECK must refuse the object BAIT and name CULPRIT; without a
# culprit it must accept it.
set -eu

check=$1 allowed=$2 list=$3 bait=$4 culprit=${5:-}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

grep "/$bait\.c\.o\$" "$list" >"$work/bait"
: >"$work/none"
status=0
sh "$check" "$allowed" "$work/bait" "$work/none" >"$work/said" || status=$?
cat "$work/said"

if [ -z "$culprit" ]; then
    exit $status
fi
test $status -eq 1 || { echo "accepted $bait (status $status)"; exit 1; }
# gcc may number a function's static variable.
grep -E -q "(needs|storage) $culprit(\.[0-9]+)?:" "$work/said" || { echo "did not name $culprit"; exit 1; }
