# SPDX-License-Identifier: Apache-2.0
"""One client, a new device, takes 100,000 messages of one conversation into its database; the same rows go into a bare SQLite table."""

from runner.load import run
from runner.server import Chatd
from runner.store import measure


def backlog(bench):
    count = bench.size(100_000, 100_000, 1000)
    with Chatd(bench) as server:
        run(bench, server, workload="feed", clients=2, online=1, window=32, count=count, seconds=600)
        figures = measure(bench, "backlog", server.port, "u00000001", "u00000000", count, server.folder)
    add = bench.results.add
    add("backlog", "messages taken", count, "")
    add("backlog", "messages a second", count / figures.seconds, "1/s", count / figures.bare_seconds)
    add("backlog", "rate / bare inserts'", figures.bare_seconds / figures.seconds, "x", count / figures.bare_seconds, ">= 0.5")
    add("backlog", "client CPU a message", figures.cpu_s / count * 1e6, "us", figures.bare_cpu_s / count * 1e6)
    add("backlog", "client memory at its peak (RSS)", figures.peak_kib / 1024, "MiB")


SCENARIOS = {"backlog": backlog}
