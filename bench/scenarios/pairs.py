# SPDX-License-Identifier: Apache-2.0
"""50 pairs who play balls of 128 bytes: one in flight until the partner has it (pairs_1), 32 (pairs_32). Once as chatd comes, once without its full-text index, whose cost is that of the words and not of their delivery."""

from runner.load import run
from runner.machine import commit_p99_ms
from runner.server import Chatd, Relay, TlsChatd
from scenarios.beside import measure_beside, report_latency, report_machine

LOAD = {"workload": "pairs", "clients": 100, "body": 128}


FORMS = {"": (), " no index": ("--search=off",)}


def pairs_1(bench):
    """Saturated; then an open loop at half of the rate that saturates a core."""
    for form, options in FORMS.items():
        with Chatd(bench, *options) as server, Relay(bench, "relay_ack") as baseline:
            cpu_us = measure_beside(bench, f"pairs_1{form}", "message", "<= 2", server, baseline, **LOAD, window=1)
            disk_p99_ms = commit_p99_ms(server.folder, bench.steady_s)
            paced = run(bench, server, **LOAD, rate=0.5e6 / cpu_us, first_user=1000)
        scenario = f"pairs_1{form} paced"
        bench.results.add(scenario, "messages a second", paced.received_per_s, "1/s", 1e6 / cpu_us)
        bench.results.add(scenario, "server CPU a message", paced.cpu_us, "us", cpu_us)
        report_latency(bench, scenario, paced, "<= 5", disk_p99_ms=disk_p99_ms)
        report_machine(bench, scenario, paced)


def pairs_32(bench):
    for form, options in FORMS.items():
        with Chatd(bench, *options) as server, Relay(bench, "relay") as baseline:
            measure_beside(bench, f"pairs_32{form}", "message", "<= 16", server, baseline, **LOAD, window=32)


def pairs_1_tls(bench):
    """Over TLS; the baseline is as bare as ever."""
    with TlsChatd(bench) as server, Relay(bench, "relay_ack") as baseline:
        measure_beside(bench, "pairs_1 TLS", "message", None, server, baseline, **LOAD, window=1)


SCENARIOS = {"pairs_1": pairs_1, "pairs_32": pairs_32, "pairs_1_tls": pairs_1_tls}
