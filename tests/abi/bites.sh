#!/bin/sh
# bites.sh INCLUDE: the two checks of this folder refuse what they are there for, name it and say what it means; and let pass what is private.
set -eu
include=$1
here=$(cd "$(dirname "$0")" && pwd)
command -v abidiff >/dev/null || { echo "abidiff is not installed (Debian: abigail-tools)"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# library NAME FLAGS...: with the headers as they are in $work/include
library() {
    name=$1
    shift
    cc -g -shared -fPIC -fvisibility=hidden "$@" "-I$work/include" -o "$work/$name.so" "$here/bait.c"
}

# edit FILE SED-PROGRAM: the headers anew, one of them changed
edit() {
    rm -rf "$work/include"
    cp -r "$include" "$work/include"
    sed -i "$2" "$work/include/chat/$1"
    cmp -s "$include/chat/$1" "$work/include/chat/$1" && { echo "bites.sh: nothing in $1 to change by $2"; exit 1; }
    return 0
}

# refused CULPRIT WORD COMMAND...: it fails, names the culprit, and says WORD of what it means
refused() {
    culprit=$1 word=$2
    shift 2
    status=0
    "$@" >"$work/said" || status=$?
    test $status -eq 1 && grep -q "$culprit" "$work/said" && grep -q "$word" "$work/said" && return
    cat "$work/said"
    echo "bites.sh: $culprit was not refused (status $status)"
    exit 1
}

check() {
    sh "$here/check.sh" "$work/$1.so" "$work/include/chat" "$work/as_is.abi"
}

layout() {
    /usr/bin/python3 "$here/layout.py" "$work/include" "$work/layout.txt"
}

cp -r "$include" "$work/include"
library as_is
sh "$here/describe.sh" "$work/as_is.so" "$work/include/chat" "$work/as_is.abi"
/usr/bin/python3 "$here/layout.py" "$work/include" "$work/layout.txt" --update

library other_code -O2
check other_code
library other_private -DPRIVATE_CHANGED
check other_private
layout

library gone -DFUNCTION_GONE
refused chat_client_interrupt BREAK check gone
library more -DFUNCTION_NEW
refused chat_client_fd 'make abi' check more

edit client.h 's/^typedef struct chat_event {/&\n  uint64_t new_at_the_begin;/'
library other_struct
refused new_at_the_begin 'make abi' check other_struct
refused new_at_the_begin 'make abi' layout

# What no exported function reaches.
edit chat.h 's/CHAT_E_REVOKED = -24/CHAT_E_REVOKED = -30/'
refused CHAT_E_REVOKED 'make abi' layout
edit backend.h 's/^typedef struct chat_store_apply {/&\n  uint32_t new_at_the_begin;/'
refused new_at_the_begin 'make abi' layout
