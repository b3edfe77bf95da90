#!/bin/sh
# The main job on real input (called by `make run`): starts chatd on the embedded default, replays chat logs through real clients, and proves that every client has
# what the logs say. LOGS="file …" takes other logs; HISTORIES=dir writes what each client reads from its own cache.
set -eu
cd "$(dirname "$0")/.."

if [ -z "${LOGS:-}" ]; then
    LOGS=$(find ../shared/data/irc -name '*.raw.txt' 2>/dev/null | sort | tr '\n' ' ')
    test -n "$LOGS" || LOGS=examples/replay/tea_party.txt
fi

data=$(mktemp -d "${TMPDIR:-/tmp}/chat-run.XXXXXX")
echo "replaying through chatd; its data and the clients' databases are in $data"
status=0
# LOGS is a list of files, split at blanks.
# shellcheck disable=SC2086
build/release/bin/chat-replay --chatd build/release/bin/chatd --data "$data" ${HISTORIES:+--histories "$HISTORIES"} --keep $LOGS || status=$?
# In a terminal chatd goes on, so its data stays; what proves a failure stays too.
if [ "$status" -eq 0 ] && [ ! -t 1 ]; then rm -rf "$data"; fi
exit "$status"
