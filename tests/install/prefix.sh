# Sourced: installs the build into an empty prefix. Sets source, build, work, prefix, libdir.
set -eu

source=$1
build=$2
work=$3
prefix=$work/prefix
rm -rf "$work"
mkdir -p "$work"
cmake --install "$build" --prefix "$prefix" >"$work/install.log"
libdir=$(dirname "$(find "$prefix" -name libchat-client.so)")

# The programs in folder $1 do what the examples say.
run_examples() {
    CHAT_EXAMPLES=$1 CHAT_BUILD=$build LD_LIBRARY_PATH=$libdir PYTHONDONTWRITEBYTECODE=1 \
        /usr/bin/python3 -m pytest -p no:cacheprovider -q "$source/tests/integration/test_examples.py"
}
