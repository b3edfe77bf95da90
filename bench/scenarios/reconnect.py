# SPDX-License-Identifier: Apache-2.0
"""10,000 clients come back at once; each has missed 100 messages. Half of them are the senders' own other devices."""

from runner.load import HeldLoad, run
from runner.server import Chatd
from scenarios.beside import report_machine

MISSED = 100


def reconnect(bench):
    clients = bench.size(10000, 10000, 20)
    load = {"clients": clients, "count": MISSED, "sources": 16, "connecting": 256}
    with Chatd(bench) as server, HeldLoad(bench, server, workload="reconnect", seconds=200, **load) as back:
        back.wait_ready()  # they have been there, and went
        run(bench, server, workload="feed", online=1, window=8, seconds=200, **load)
        figures = back.finish()
    add = bench.results.add
    add("reconnect", "clients, 100 missed messages each", clients, "")
    add("reconnect", "in sync", figures.in_sync / clients, "of all", goal=">= 1")
    add("reconnect", "until all are", figures.seconds, "s")
    add("reconnect", "p50 of a client", figures.p50_us / 1e6, "s")
    add("reconnect", "p99 of a client", figures.p99_us / 1e6, "s")
    add("reconnect", "connects a client", figures.connects / clients, "")
    add("reconnect", "server CPU a missed message", figures.cpu_us, "us")
    add("reconnect", "server memory (RSS)", figures.server_rss_bytes / 2**20, "MiB")
    report_machine(bench, "reconnect", figures)


SCENARIOS = {"reconnect": reconnect}
