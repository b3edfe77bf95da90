#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures chatd beside servers that a user might run instead (called by `make bench-peers`), prints a table and writes build/bench/peers.json.

    bench/run_peers.py [--build build/release] [--seconds 5] [--peer NAME] [SCENARIO...]

One load generator speaks each server's own protocol; CPU is that of all processes of a server, its database included. A row's value is our messages (deliveries, for the room) for a second of the
server's CPU over theirs, and for `idle` their memory of a connection over ours. chatd is durable and gets its receipts; what a peer does is said with it. It and the peer are measured in turn.
"""

import argparse
import pathlib
import sys
import tempfile
from types import SimpleNamespace

import peers
from peers.peer import Missing
from runner import machine
from runner.load import HeldLoad, run
from runner.results import HEADER, Results
from runner.server import Chatd

ROOT = pathlib.Path(__file__).resolve().parents[1]
IDLE_CLIENTS = 500  # Tinode takes some 60 ms of CPU for each account's password
IDLE_WARM_CLIENTS = 150
IDLE_CONNECTING = 32  # ejabberd loses some of 256 that connect at once
ROOM = 100

PAIRS = {"workload": "pairs", "clients": 100, "body": 128}
LOADS = {
    "pairs_1": {**PAIRS, "window": 1},
    "pairs_32": {**PAIRS, "window": 32},
    "room_100": {"workload": "group", "clients": ROOM, "room": ROOM, "talkers": 1, "window": 8, "body": 128},
}
# What we aim at, we durable and with receipts: peer → scenario → goal.
GOALS = {
    "Centrifugo": {"pairs_1": 1.2, "pairs_32": 2.9, "room_100": 2},
    "Tinode": {"pairs_1": 38, "pairs_32": 250, "room_100": 19},
    "Ejabberd": {"pairs_1": 100, "pairs_32": 640, "room_100": 39},
    "EjabberdWithoutArchive": {"pairs_1": 3, "pairs_32": 17, "room_100": 23},
}


def goal_of(peer, scenario):
    goal = GOALS[type(peer).__name__].get(scenario)
    return f">= {goal}" if goal else None


def throughput(bench, scenario, ours, theirs):
    us, them = run(bench, ours, **LOADS[scenario]), run(bench, theirs, **LOADS[scenario])
    what = "deliveries" if scenario == "room_100" else "messages"
    bench.results.add(scenario, f"{what} a CPU-second, chatd", 1e6 / us.cpu_us, "1/s", "chatd")
    bench.results.add(scenario, f"{what} a CPU-second", 1e6 / them.cpu_us, "1/s", theirs.name)
    bench.results.add(scenario, f"{what} a CPU-second, ratio", them.cpu_us / us.cpu_us, "x", theirs.name, goal_of(theirs, scenario))


def hold_idle(bench, server, clients, first_user):
    return HeldLoad(bench, server, workload="idle", clients=clients, first_user=first_user, connecting=IDLE_CONNECTING, seconds=1)


def connection_bytes(bench, server):
    """Memory of all its processes for each idle, logged-in connection, beyond those that woke it up: a server that has just begun gives memory back meanwhile."""
    with hold_idle(bench, server, IDLE_WARM_CLIENTS, 0) as first:
        first.wait_ready()
        before = machine.resident_bytes(server.pids)
        with hold_idle(bench, server, IDLE_CLIENTS, IDLE_WARM_CLIENTS) as others:
            others.wait_ready()
            return (machine.resident_bytes(server.pids) - before) / IDLE_CLIENTS


def idle(bench, ours, theirs):
    us, them = connection_bytes(bench, ours), connection_bytes(bench, theirs)
    bench.results.add("idle", "memory of a connection, chatd", us / 1024, "KiB", "chatd")
    bench.results.add("idle", "memory of a connection", them / 1024, "KiB", theirs.name)
    bench.results.add("idle", "memory of a connection, ratio", them / us, "x", theirs.name, ">= 1")


def measure(bench, scenario, peer):
    """Each scenario has servers of its own: what one left behind burdens no other."""
    with Chatd(bench) as ours, peer as theirs:
        if scenario == "idle":
            idle(bench, ours, theirs)
        else:
            throughput(bench, scenario, ours, theirs)


def parse():
    names = [*LOADS, "idle"]
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("scenario", nargs="*", metavar="SCENARIO", help=", ".join(names))
    parser.add_argument("--build", default=ROOT / "build" / "release", help="where the programs are")
    parser.add_argument("--seconds", type=float, default=4, help="of each steady window")
    parser.add_argument("--peer", action="append", choices=list(GOALS), help="only this one; may be repeated")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.scenario if name not in names]
    if unknown:
        parser.error(f"no such scenario: {', '.join(unknown)}; there are: {', '.join(names)}")
    arguments.scenario = arguments.scenario or names
    return arguments


def bench_of(arguments, folder):
    build = pathlib.Path(arguments.build).resolve()
    return SimpleNamespace(folder=folder, warm_s=1, steady_s=arguments.seconds, results=Results(), program=lambda name: str(build / name))


def measure_peer(bench, peer, scenarios):
    """How many scenarios could not be measured."""
    failed = 0
    print(f"\n{peer.name}: {peer.durability}", flush=True)
    for scenario in scenarios:
        try:
            measure(bench, scenario, peer)
        except RuntimeError as error:
            failed += 1
            print(f"{scenario}: not measured: {error}", file=sys.stderr, flush=True)
    return failed


def main():
    arguments = parse()
    output = ROOT / "build" / "bench"
    output.mkdir(parents=True, exist_ok=True)
    failed = 0
    with tempfile.TemporaryDirectory(dir=output, prefix="peers-") as folder:
        pathlib.Path(folder).chmod(0o755)  # PostgreSQL has a user of its own
        bench = bench_of(arguments, folder)
        print(machine.describe(folder))
        print("chatd: log group-committed to the disk before ACCEPTED, delivered receipts on\n")
        print(HEADER)
        for kind in peers.ALL:
            if arguments.peer and kind.__name__ not in arguments.peer:
                continue
            peer = kind(bench)
            try:
                peer.install()
                failed += measure_peer(bench, peer, arguments.scenario)
            except Missing as reason:
                print(f"\nskipped: {peer.name}: {reason}", flush=True)
        bench.results.write(output / "peers.json")
    print(f"\n{len(bench.results.rows)} figures in {output / 'peers.json'}; scenarios that could not be measured: {failed}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
