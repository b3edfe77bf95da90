#!/bin/sh
# Power cuts (called by `make power`): the log, the store, the client's database and a whole server over a disk that forgets what was not synced (tests/power/disk.h), and the simulator's.
# CUTS (10000) says how many over such a disk, SEED (1) is the first seed. SIM=no leaves the simulator to its own stage of make test.
set -eu
cd "$(dirname "$0")/.."
cuts=${CUTS:-10000}
seed=${SEED:-1}

status=0
for part in log cache store server; do
    case $part in server) share=$((cuts / 10)) ;; *) share=$((cuts * 3 / 10)) ;; esac
    build/release/tests/power_$part "$share" "$seed" || status=1
done
# In the simulator: machines alone that lose what the store had not synced, and devices that lose what their database had not.
if [ "${SIM:-yes}" = yes ]; then build/release/bin/chat-sim --seeds "$((cuts / 10))" || status=1; fi
exit $status
