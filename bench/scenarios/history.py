# SPDX-License-Identifier: Apache-2.0
"""Pages of 50 at random places of 1 k, 100 k and 5 M messages: in the store, through its port; and through the wire, one client with one question at a time."""

import tempfile

from runner.load import run
from runner.server import Chatd
from runner.store import History, short


def sizes(bench):
    """(messages, conversations)"""
    return bench.size([(1000, 1), (100_000, 50), (5_000_000, 50)], [(1000, 1), (100_000, 50), (500_000, 50)], [(1000, 1), (2000, 2)])


def in_store(bench, history):
    figures = history.pages(bench.size(20000, 4000, 100))
    bench.results.add("history", f"store, {short(history.messages)}: p50 of a page", figures.p50_us, "us")
    return figures.p99_us


def over_wire(bench, history):
    with Chatd(bench, data=history.data) as server:
        figures = run(bench, server, workload="pages", user_prefix="f", clients=2 * min(history.conversations, 50), window=1)
    name = f"wire, {short(history.messages)}"
    bench.results.add("history", f"{name}: p50 of a page", figures.p50_us, "us")
    bench.results.add("history", f"{name}: p99 of a page", figures.p99_us, "us")
    bench.results.add("history", f"{name}: server CPU a page", figures.cpu_us, "us")


def history(bench):
    least = None
    for messages, conversations in sizes(bench):
        with tempfile.TemporaryDirectory(dir=bench.folder, prefix="history-") as data:
            stored = History(bench, data, messages, conversations)
            p99_us = in_store(bench, stored)
            least = least or p99_us
            largest = messages == sizes(bench)[-1][0]
            bench.results.add("history", f"store, {short(stored.messages)}: p99 of a page", p99_us, "us", goal="<= 150" if largest else None)
            if largest:
                bench.results.add("history", f"store, p99 at {short(stored.messages)} / at 1 k", p99_us / least, "x", least, "<= 3")
            over_wire(bench, stored)


SCENARIOS = {"history": history}
