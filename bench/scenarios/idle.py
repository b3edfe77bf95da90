# SPDX-License-Identifier: Apache-2.0
"""Sessions that say nothing: 18,000 in one chatd; 50,000 over three chatd of their own. What they cost in memory, and in CPU beside their heartbeats."""

from contextlib import ExitStack

from runner import machine
from runner.load import HeldLoad
from runner.server import Chatd

IDLE = {"workload": "idle", "sources": 8, "connecting": 256}
SILENT = ("--heartbeat=5m", "--idle=15m")
GIB = 2**30


class Sessions:
    """Idle sessions at some servers, and the memory that they took: user space from RSS, the kernel's half of it (the other end is the generator's)."""

    def __init__(self, bench, stack, servers, clients, seconds):
        pids = [pid for server in servers for pid in server.pids]
        before = machine.resident_bytes(pids), machine.socket_bytes()
        self.count = clients
        self.loads = [stack.enter_context(HeldLoad(bench, server, clients=clients // len(servers), seconds=seconds, **IDLE)) for server in servers]
        for load in self.loads:
            load.wait_ready()
        self.user_bytes = (machine.resident_bytes(pids) - before[0]) / clients
        self.kernel_bytes = (machine.socket_bytes() - before[1]) / 2 / clients

    def silence(self):
        """Their servers' CPU in the window, in cores."""
        for load in self.loads:
            load.go()
        return sum(figures.server_cpu_s / figures.seconds for figures in [load.figures() for load in self.loads])


def report(bench, name, sessions):
    add = bench.results.add
    add(name, "sessions", sessions.count, "")
    add(name, "user space a session", sessions.user_bytes, "bytes", goal="<= 3072")
    add(name, "kernel a session", sessions.kernel_bytes, "bytes")
    add(name, "sessions a GiB, with the kernel's", GIB / (sessions.user_bytes + sessions.kernel_bytes), "", goal=">= 120000")


def one_process(bench):
    clients = bench.size(18000, 18000, 100)
    with Chatd(bench, *SILENT) as server, ExitStack() as stack:
        sessions = Sessions(bench, stack, [server], clients, bench.size(30, 5, 0.2))
        report(bench, "idle", sessions)
        bench.results.add("idle", "server CPU without heartbeats", sessions.silence(), "core", goal="<= 0.01")


def with_heartbeats(bench):
    """In a window of one period each session says exactly one."""
    clients, period_s = bench.size(18000, 18000, 100), bench.size(15, 15, 1)
    with Chatd(bench, f"--heartbeat={period_s}s", f"--idle={3 * period_s}s") as server, ExitStack() as stack:
        cores = Sessions(bench, stack, [server], clients, period_s).silence()
    bench.results.add("idle", f"server CPU, a heartbeat each {period_s} s", cores, "core")
    bench.results.add("idle", "server CPU a heartbeat", cores * period_s / clients * 1e6, "us")


def three_processes(bench):
    clients = 3 * (50000 // 3)
    with ExitStack() as stack:
        servers = [stack.enter_context(Chatd(bench, *SILENT)) for _ in range(3)]
        sessions = Sessions(bench, stack, servers, clients, 30)
        report(bench, "idle x 3", sessions)
        bench.results.add("idle x 3", "servers' CPU without heartbeats", sessions.silence(), "core", goal="<= 0.03")


def idle(bench):
    one_process(bench)
    with_heartbeats(bench)
    if bench.full:
        three_processes(bench)


SCENARIOS = {"idle": idle}
