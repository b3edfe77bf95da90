#!/bin/sh
# The main job on real input: starts chatd and replays a chat through real clients (called by `make run`).
set -eu
cd "$(dirname "$0")/.."

replay=build/release/bin/chat-replay
if [ ! -x "$replay" ]; then
    echo "run: $replay is not built: examples/replay has no sources yet" >&2
    exit 1
fi
exec "$replay"
