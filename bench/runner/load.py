# SPDX-License-Identifier: Apache-2.0
"""A run of the load generator (bench/load.c): options in, figures out."""

import json
import subprocess
from types import SimpleNamespace

GRACE_S = 240  # beyond warm-up and window: to connect, to enter rooms


def command(bench, server, **options):
    options = {"port": server.port, "protocol": server.protocol, **options}
    arguments = [f"--{name.replace('_', '-')}" if value is True else f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    return [bench.program("bench/load"), *arguments, *(f"--watch={pid}" for pid in server.pids)]


class Figures(SimpleNamespace):
    """The generator's line of JSON, and what follows from it."""

    @property
    def cpu_us(self):
        """Of the server, for each body that was received."""
        return self.server_cpu_s / self.received * 1e6

    @property
    def received_per_s(self):
        return self.received / self.seconds

    @property
    def others_share(self):
        """Of a core: what neither server nor generator used."""
        return max(0.0, (self.machine_busy_s - self.server_cpu_s - self.client_cpu_s) / self.seconds)

    @property
    def stalled_share(self):
        """Of the time: somebody waited for a CPU."""
        return self.cpu_stalled_s / self.seconds

    @property
    def generator_share(self):
        """Of a core: near 1 the generator is what limits."""
        return self.client_cpu_s / self.seconds


def run(bench, server, **options):
    """Figures of one load. RuntimeError: it did not run as meant."""
    options = {"warm": bench.warm_s, "seconds": bench.steady_s, **options}
    done = subprocess.run(command(bench, server, **options), capture_output=True, text=True, timeout=GRACE_S + float(options["seconds"]))
    if done.returncode != 0:
        raise RuntimeError(f"{done.stderr.strip()}\n{server.log()}".strip())
    figures = Figures(**json.loads(done.stdout))
    if not figures.received:
        raise RuntimeError(f"nothing came in {figures.seconds:.1f} s")
    return figures
