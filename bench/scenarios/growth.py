# SPDX-License-Identifier: Apache-2.0
"""What pairs_1, pairs_32 and group_256 cost beside 1 M stored messages of others, and beside ten times as many in ten times the conversations of ten times the users."""

import tempfile
from contextlib import ExitStack
from statistics import median

from runner.load import run
from runner.server import Chatd
from runner.store import History, short
from scenarios import group, pairs


def loads(bench):
    yield "pairs_1", {**pairs.LOAD, "window": 1}
    yield "pairs_32", {**pairs.LOAD, "window": 32}
    for form, options in group.FORMS.items():
        yield f"group_256 {form}", {**group.load(bench), **options}


def compare(bench, name, load, small, large):
    turns = [(run(bench, small, **load), run(bench, large, **load)) for _ in range(bench.turns)]
    base = median(few.cpu_us for few, _ in turns)
    bench.results.add("growth", f"{name}: CPU at 10 x / at 1 x", median(many.cpu_us / few.cpu_us for few, many in turns), "x", base, "<= 1.3")


def growth(bench):
    messages = bench.size(1_000_000, 100_000, 800)
    with ExitStack() as stack:
        servers = []
        for times in (1, 10):
            data = stack.enter_context(tempfile.TemporaryDirectory(dir=bench.folder, prefix="growth-"))
            stored = History(bench, data, messages * times, messages * times // 100)
            bench.results.add("growth", f"{times} x: stored messages ({short(stored.conversations)} conversations)", stored.messages, "")
            servers.append(stack.enter_context(Chatd(bench, data=data)))
        for name, load in loads(bench):
            compare(bench, name, load, *servers)


SCENARIOS = {"growth": growth}
