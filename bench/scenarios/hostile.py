# SPDX-License-Identifier: Apache-2.0
"""50 good pairs beside 5,000 slow readers (in groups whose first member goes on talking, 4 KiB twice a second) and 1,000 bad frames a second."""

from contextlib import ExitStack

from runner import machine
from runner.load import HeldLoad, run
from runner.server import Chatd
from scenarios.beside import report_latency, report_machine

GOOD = {"workload": "pairs", "clients": 100, "body": 128}
GOOD_RATE = 500
GROUP = 250
RSS_MIB_MAX = 512


def bad_ones(bench, stack, server):
    readers, bad_rate, rest = bench.size(5000, 5000, 2 * GROUP), bench.size(1000, 1000, 100), {"seconds": 600}
    return [
        stack.enter_context(HeldLoad(bench, server, workload="slow", clients=readers, room=GROUP, body=4096, rate=2 * readers / GROUP, narrow=True,
                                     first_user=10000, sources=8, **rest)),
        stack.enter_context(HeldLoad(bench, server, workload="garbage", clients=200, rate=bad_rate, first_user=20000, sources=8, **rest)),
    ]


def hostile(bench):
    seconds = bench.size(60, 20, 1)
    with Chatd(bench) as server, ExitStack() as stack:
        alone = run(bench, server, **GOOD, rate=GOOD_RATE, seconds=bench.size(20, 8, 1))
        for load in bad_ones(bench, stack, server):
            load.wait_ready()
        beside = run(bench, server, **GOOD, rate=GOOD_RATE, seconds=seconds, first_user=1000)
        rss_mib = machine.resident_bytes(server.pids) / 2**20
    add = bench.results.add
    add("hostile", "good pairs' messages a second", beside.received_per_s, "1/s", alone.received_per_s)
    report_latency(bench, "hostile", alone, what="alone")
    report_latency(bench, "hostile", beside, what="beside")
    add("hostile", "p99 beside / alone", beside.p99_us / alone.p99_us, "x", alone.p99_us / 1e3, "<= 2")
    add("hostile", f"server memory (RSS) after {seconds} s", rss_mib, "MiB", goal=f"<= {RSS_MIB_MAX}")
    report_machine(bench, "hostile", beside)


SCENARIOS = {"hostile": hostile}
