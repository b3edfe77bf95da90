#!/bin/sh
# describe.sh LIBRARY HEADERS OUTPUT: what the library promises to programs that are linked to it: its exported symbols, and every type of
# the public headers that they reach. Private types are left out, so that they may change.
set -eu
abidw --headers-dir "$2" --drop-private-types --exported-interfaces-only --no-show-locs --no-corpus-path --no-comp-dir-path \
    --no-elf-needed --no-parameter-names --no-write-default-sizes --type-id-style hash --out-file "$3" "$1"
