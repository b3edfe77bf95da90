# SPDX-License-Identifier: Apache-2.0
"""A server and its baseline under the same load, in turn, so that both meet the same noise; the figure is the median of the turns' ratios."""

from statistics import median

from runner.load import run


def measure_beside(bench, scenario, unit, goal, server, baseline, **load):
    """Reports CPU for each `unit` and its ratio to that of `baseline` (a server that runs too). Gives the median CPU in us."""
    turns = []
    for _ in range(bench.turns):
        base = run(bench, baseline, **load)
        turns.append((run(bench, server, **load), base))
    ours = median(figures.cpu_us for figures, _ in turns)
    base = median(base.cpu_us for _, base in turns)
    last = turns[-1][0]
    add = bench.results.add
    add(scenario, f"server CPU a {unit}", ours, "us", base)
    add(scenario, f"server CPU a {unit} / {baseline.mode}", median(figures.cpu_us / base.cpu_us for figures, base in turns), "x", base, goal)
    add(scenario, f"{unit.replace('very', 'verie')}s a second", median(figures.received_per_s for figures, _ in turns), "1/s", median(base.received_per_s for _, base in turns))
    report_latency(bench, scenario, last)
    add(scenario, "server memory (RSS)", last.server_rss_bytes / 2**20, "MiB")
    report_machine(bench, scenario, last)
    return ours


def report_latency(bench, scenario, figures, goal=None, what="from send to receipt", disk_p99_ms=None):
    """disk_p99_ms: of bare commits on this disk, as the baseline of p99."""
    bench.results.add(scenario, f"p50 {what}", figures.p50_us / 1e3, "ms")
    bench.results.add(scenario, f"p99 {what}", figures.p99_us / 1e3, "ms", disk_p99_ms, goal)
    bench.results.add(scenario, f"p99.9 {what}", figures.p999_us / 1e3, "ms")


def report_machine(bench, scenario, figures):
    """What may spoil a figure: a generator that is at its end, others on the machine."""
    bench.results.add(scenario, "generator's share of a core", figures.generator_share, "core")
    bench.results.add(scenario, "others' share of a core", figures.others_share, "core")
    bench.results.add(scenario, "CPU pressure (some)", figures.stalled_share, "of time")
