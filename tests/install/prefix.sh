# Sourced: installs the build into an empty prefix. Sets source, work, prefix, libdir, and with_client / with_server.
set -eu

source=$1
build=$2
work=$3
prefix=$work/prefix
rm -rf "$work"
mkdir -p "$work"
cmake --install "$build" --prefix "$prefix" >"$work/install.log"
libdir=$(dirname "$(find "$prefix" -name libchat-client.so)")

# While the public API of a side is not there yet, its library can only be linked, not called.
exports() {
    nm -D --defined-only "$libdir/$1" | grep -q -w "$2"
}
with_client="" with_server=""
if exports libchat-client.so chat_client_free; then with_client=-DWITH_CLIENT; fi
if exports libchat-server.so chat_server_free; then with_server=-DWITH_SERVER; fi
