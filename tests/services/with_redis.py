# SPDX-License-Identifier: Apache-2.0
"""with_redis.py FORM PROGRAM ARGUMENT...: starts real Redis servers (redis_servers.py), runs the program with where they are in its environment, stops them; its exit code. A server that the program kills
is started again on its port, as a supervisor would. 77 where the machine lacks something: the last line says what.

    REDIS_URL    for the option directory        REDIS_PORTS    of each server, with spaces between
    REDIS_FORM   single, shards, cluster, tls    REDIS_CLOCK    file that sets their wall clock (clock.c)
"""

import os
import pathlib
import subprocess
import sys
import time

from redis_servers import CLOCK, RedisServers, missing


def main(form, *command):
    unbuilt = [path for path in (CLOCK, pathlib.Path(command[0])) if not path.exists()]
    reason = missing() or (f"{unbuilt[0].name} is not built (no hiredis?)" if unbuilt else None)
    if reason:
        print(f"skipped: {reason}")
        return 77
    with RedisServers(form) as redis:
        env = {**os.environ, "REDIS_URL": redis.url, "REDIS_FORM": form, "REDIS_CLOCK": str(redis.clock), "REDIS_PORTS": " ".join(map(str, redis.ports[: redis.count]))}
        if form == "tls":
            env["SSL_CERT_FILE"] = str(redis.authority)
        program = subprocess.Popen(command, env=env)
        while program.poll() is None:
            for number in redis.died():
                redis.processes[number] = None
                redis.start(number)
            time.sleep(0.02)
        return program.returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
