#!/bin/sh
# The kill campaign (called by `make chaos`): a chatd and 50 people, who are killed, stopped, left without space and put into other years; then everybody must have the same, and all of it.
# KILLS (300) of chatd or CHAOS_SECONDS (900), whichever comes first; SEED repeats what was drawn. docs/reliability.md has the figures.
set -eu
cd "$(dirname "$0")/.."
export CHAT_BUILD="$PWD/build/release" LIBCHAT_PATH="$PWD/build/release/lib" PYTHONDONTWRITEBYTECODE=1

exec /usr/bin/python3 tests/chaos/campaign.py --kills "${KILLS:-300}" --seconds "${CHAOS_SECONDS:-900}" ${SEED:+--seed "$SEED"} "$@"
