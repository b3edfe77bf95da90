# SPDX-License-Identifier: Apache-2.0
"""50 pairs who play balls of 128 bytes: one in flight until the partner has it (pairs_1), 32 (pairs_32)."""

from runner.load import run
from runner.server import Chatd, Relay, TlsChatd
from scenarios.beside import measure_beside, report_latency, report_machine

LOAD = {"workload": "pairs", "clients": 100, "body": 128}


def pairs_1(bench):
    """Saturated; then an open loop at half of the rate that saturates a core."""
    with Chatd(bench) as server, Relay(bench, "relay_ack") as baseline:
        cpu_us = measure_beside(bench, "pairs_1", "message", "<= 2", server, baseline, **LOAD, window=1)
        paced = run(bench, server, **LOAD, rate=0.5e6 / cpu_us, first_user=1000)
    bench.results.add("pairs_1 paced", "messages a second", paced.received_per_s, "1/s", 1e6 / cpu_us)
    bench.results.add("pairs_1 paced", "server CPU a message", paced.cpu_us, "us", cpu_us)
    report_latency(bench, "pairs_1 paced", paced, "<= 5")
    report_machine(bench, "pairs_1 paced", paced)


def pairs_32(bench):
    with Chatd(bench) as server, Relay(bench, "relay") as baseline:
        measure_beside(bench, "pairs_32", "message", "<= 16", server, baseline, **LOAD, window=32)


def pairs_1_tls(bench):
    """Over TLS; the baseline is as bare as ever."""
    with TlsChatd(bench) as server, Relay(bench, "relay_ack") as baseline:
        measure_beside(bench, "pairs_1 TLS", "message", None, server, baseline, **LOAD, window=1)


SCENARIOS = {"pairs_1": pairs_1, "pairs_32": pairs_32, "pairs_1_tls": pairs_1_tls}
