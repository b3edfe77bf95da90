# SPDX-License-Identifier: Apache-2.0
"""What was measured: rows, a table, a file."""

import json
import os
from dataclasses import asdict, dataclass


@dataclass
class Row:
    """unit "x": value is a ratio to `baseline`, which then is in the unit that its name says. goal: "<= 2", None where there is none."""

    scenario: str
    metric: str
    value: float
    unit: str
    baseline: float | str | None = None
    goal: str | None = None
    met: bool | None = None


def meets(value, goal):
    """goal: "<= 2" or ">= 0.5"."""
    relation, bound = goal.split()
    return value <= float(bound) if relation == "<=" else value >= float(bound)


class Results:
    def __init__(self):
        self.rows = []

    def add(self, scenario, metric, value, unit, baseline=None, goal=None):
        row = Row(scenario, metric, round(value, 4), unit, baseline if isinstance(baseline, str | None) else round(baseline, 4), goal,
                  meets(value, goal) if goal else None)
        self.rows.append(row)
        print(line_of(row), flush=True)
        return row

    def write(self, path):
        """Whole or not at all."""
        with open(f"{path}.new", "w") as file:
            json.dump([asdict(row) for row in self.rows], file, indent=1)
            file.write("\n")
        os.replace(f"{path}.new", path)


def number(value):
    return value if isinstance(value, str) else "" if value is None else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def markdown(rows):
    """The table as docs/performance.md shows it."""
    lines = ["| scenario | metric | value | baseline | goal | met |", "| --- | --- | --- | --- | --- | --- |"]
    for row in rows:
        met = {None: "", True: "yes", False: "no"}[row.met]
        lines.append(f"| {row.scenario} | {row.metric} | {number(row.value)} {row.unit} | {number(row.baseline)} | {row.goal or ''} | {met} |")
    return "\n".join(lines) + "\n"


HEADER = f"{'scenario':<19} {'metric':<38} {'value':>12} {'unit':<10} {'baseline':>12}  {'goal':<10} met"


def line_of(row):
    met = {None: "", True: "yes", False: "NO"}[row.met]
    return f"{row.scenario:<19} {row.metric:<38} {number(row.value):>12} {row.unit:<10} {number(row.baseline):>12}  {row.goal or '':<10} {met}".rstrip()
