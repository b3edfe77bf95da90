#!/bin/sh
# pkg_config.sh SOURCE BUILD WORK: programs for client, server and both, shared and static, found by pkg-config.
. "$(dirname "$0")/prefix.sh"

export PKG_CONFIG_PATH="$libdir/pkgconfig"

# build NAME FLAGS PKG_CONFIG_ARGUMENTS...
build_shared() {
    name=$1 flags=$2
    shift 2
    # shellcheck disable=SC2046,SC2086
    cc -std=c11 -Wall -Wextra -Werror $flags -o "$work/$name" "$source/tests/install/program.c" \
        $(pkg-config --cflags --libs "$@")
    LD_LIBRARY_PATH=$libdir "$work/$name"
    LD_LIBRARY_PATH=$libdir ldd "$work/$name" | grep -q "$libdir/libchat-" || { echo "$name: not linked to the shared library"; exit 1; }
}

# The archives of libchat beside the shared libraries of everybody else.
build_static() {
    name=$1 flags=$2
    shift 2
    libs=$(pkg-config --static --libs "$@" | sed 's/-lchat-\([a-z]*\)/-l:libchat-\1.a/g')
    # shellcheck disable=SC2046,SC2086
    cc -std=c11 -Wall -Wextra -Werror $flags -o "$work/$name" "$source/tests/install/program.c" \
        $(pkg-config --cflags "$@") $libs
    "$work/$name"
    if ldd "$work/$name" | grep libchat-; then echo "$name: linked to the shared library"; exit 1; fi
}

for how in shared static; do
    build_$how client_$how -DWITH_CLIENT chat-client
    build_$how server_$how -DWITH_SERVER chat-server
    build_$how both_$how "-DWITH_CLIENT -DWITH_SERVER" chat-client chat-server
    build_$how swapped_$how "-DWITH_CLIENT -DWITH_SERVER" chat-server chat-client
done

# Nothing private leaves the libraries.
for side in client server; do
    if nm -D --defined-only "$libdir/libchat-$side.so" | awk '{ print $3 }' | grep -v '^chat_'; then
        echo "libchat-$side.so exports more than chat_"
        exit 1
    fi
    if nm -g --defined-only "$libdir/libchat-$side.a" | awk 'NF == 3 { print $3 }' | grep -v '^chat_'; then
        echo "libchat-$side.a exports more than chat_"
        exit 1
    fi
done

# The examples, as somebody would compile them who has only the installed copy.
mkdir "$work/examples"
for example in "$source"/examples/*.c; do
    # shellcheck disable=SC2046
    cc -std=c11 -D_POSIX_C_SOURCE=200809L -o "$work/examples/$(basename "$example" .c)" "$example" $(pkg-config --cflags --libs chat-client chat-server) -pthread
done
run_examples "$work/examples"
