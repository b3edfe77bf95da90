#!/bin/sh
# size.sh SOURCE BUILD STATIC_MODULES: the stripped libchat-client.so has the core inside, its dependencies outside and at most 500,000 bytes; says how much a
# program has that takes everything in statically.
set -eu
source=$1 build=$2 modules=$3
max=500000
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

size_of() {
    strip -o "$work/stripped" "$1"
    wc -c <"$work/stripped"
}

library=$build/lib/libchat-client.so
client=$(size_of "$library")
server=$(size_of "$build/lib/libchat-server.so")

needed=$(readelf -d "$library" | sed -n 's/.*(NEEDED).*\[\(.*\)\.so.*/\1/p' | sort | tr '\n' ' ')
for dependency in libcrypto libprotobuf-c libsodium libsqlite3 libwebsockets; do
    case " $needed" in *" $dependency "*) ;; *) echo "$dependency is not linked dynamically, or not needed any more"; exit 1 ;; esac
done
case " $needed" in *" libchat"*) echo "the core is in a library of its own: $needed"; exit 1 ;; esac

# Debian has all of them as archives too; elsewhere the figure is left out.
static="no static libraries here"
# shellcheck disable=SC2046,SC2086
if cc -static -o "$work/hello" -I"$source/include" -Wl,--gc-sections "$source/examples/hello.c" "$build/lib/libchat-client.a" \
    $(pkg-config --static --libs $modules) >"$work/static.log" 2>&1; then
    static="$(size_of "$work/hello") bytes, libc and all dependencies inside"
fi
echo "note: stripped libchat-client.so $client bytes (at most $max), libchat-server.so $server; examples/hello.c all static: $static"
test "$client" -le "$max" || { echo "libchat-client.so has $client bytes, more than $max"; exit 1; }
