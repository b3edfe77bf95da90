#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the benchmarks (called by `make bench`), prints their table and writes build/bench/results.json (and results.md, the same for docs/performance.md).

    bench/run.py [--full | --smoke] [--build build/release] [--output build/bench] [SCENARIO...]

--full: the sizes of the goals. Without it the sizes are smaller where the full ones take long (a row says so) and all is done within ten minutes.
--smoke: each program once, as small as can be; figures mean nothing.
"""

import argparse
import pathlib
import sys
import tempfile

from runner import machine
from runner.results import HEADER, Results, markdown
from scenarios import backlog, group, growth, history, hostile, idle, pairs, reconnect

ROOT = pathlib.Path(__file__).resolve().parents[1]
SCENARIOS = {name: scenario for family in (pairs, group, idle, history, reconnect, backlog, growth, hostile) for name, scenario in family.SCENARIOS.items()}


class Bench:
    """What each scenario is given."""

    def __init__(self, arguments, folder):
        self.build = pathlib.Path(arguments.build).resolve()
        self.folder = folder
        self.full, self.smoke = arguments.full, arguments.smoke
        self.warm_s, self.steady_s, self.turns = (0.1, 0.3, 1) if self.smoke else (1, 10, 3) if self.full else (1, 4, 2)
        self.results = Results()

    def program(self, name):
        path = self.build / name
        if not path.exists():
            raise FileNotFoundError(f"{path} is not built")
        return str(path)

    def size(self, full, short, smoke):
        return full if self.full else smoke if self.smoke else short


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("scenario", nargs="*", metavar="SCENARIO", help=", ".join(SCENARIOS))
    parser.add_argument("--build", default=ROOT / "build" / "release", help="where the programs are")
    parser.add_argument("--output", default=ROOT / "build" / "bench", type=pathlib.Path, help="where results.json goes")
    parser.add_argument("--full", action="store_true", help="the sizes of the goals")
    parser.add_argument("--smoke", action="store_true", help="as small as can be; figures mean nothing")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.scenario if name not in SCENARIOS]
    if unknown:
        parser.error(f"no such scenario: {', '.join(unknown)}; there are: {', '.join(SCENARIOS)}")
    return arguments


def main():
    arguments = parse()
    output = arguments.output
    output.mkdir(parents=True, exist_ok=True)
    failed = []
    with tempfile.TemporaryDirectory(dir=output, prefix="run-") as folder:
        bench = Bench(arguments, folder)
        where = machine.describe(folder)
        print(where)
        print("durable: log group-committed to the disk before ACCEPTED; delivered receipts on; plain connections unless a row says TLS\n")
        print(HEADER, flush=True)
        for name in arguments.scenario or SCENARIOS:
            try:
                SCENARIOS[name](bench)
            except RuntimeError as error:
                failed.append(name)
                print(f"{name}: not measured: {error}", file=sys.stderr, flush=True)
        bench.results.write(output / "results.json")
        (output / "results.md").write_text(f"{where}; {'full' if arguments.full else 'short'} form.\n\n{markdown(bench.results.rows)}")
    missed = [row for row in bench.results.rows if row.met is False]
    print(f"\n{len(bench.results.rows)} figures in {output / 'results.json'}; goals not met: {len(missed)}; scenarios that could not be measured: {len(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
