#!/bin/sh
# aarch64_sysroot.sh FOLDER PACKAGE...: those arm64 packages of Debian with all that they need, unpacked into FOLDER. By apt with a state of its own, which knows no
# architecture but arm64 and no installed package: the machine's own apt, its architectures and its packages stay as they are, and no root is needed.
set -eu
folder=$1
shift
apt=$folder.apt
wanted=$*
if [ -e "$folder/complete" ] && [ "$(cat "$folder/complete")" = "$wanted" ]; then exit 0; fi

rm -rf "$folder"
mkdir -p "$folder" "$apt/lists/partial" "$apt/archives/partial"
: >"$apt/status"

arm64_apt() {
    apt-get -q -y -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false -o APT::Architecture=arm64 -o APT::Architectures::=arm64 -o Acquire::Languages=none -o Acquire::Retries=2 -o APT::Sandbox::User= \
        -o Dir::State="$apt" -o Dir::State::status="$apt/status" -o Dir::Cache="$apt" -o Dir::Log="$apt" -o Debug::NoLocking=1 "$@"
}

arm64_apt update
# shellcheck disable=SC2086
arm64_apt install --no-install-recommends --download-only $wanted
for package in "$apt"/archives/*.deb; do
    dpkg -x "$package" "$folder"
done
rm -rf "$apt"
echo "$wanted" >"$folder/complete"
