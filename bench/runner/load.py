# SPDX-License-Identifier: Apache-2.0
"""A run of the load generator (bench/load.c): options in, figures out."""

import json
import select
import subprocess
from types import SimpleNamespace

GRACE_S = 240  # beyond warm-up and window: to connect, to enter rooms


def command(bench, server, **options):
    options = {"port": server.port, "protocol": server.protocol, **server.load_options, **({"tls": True} if server.tls else {}), **options}
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


class HeldLoad:
    """A load beside others: it connects, warms up, says that it is ready and goes on when it is told to.

        with HeldLoad(bench, server, workload="idle", clients=1000) as load:
            load.wait_ready()
            figures = load.finish()
    """

    def __init__(self, bench, server, **options):
        self.server = server
        options = {"warm": bench.warm_s, "seconds": bench.steady_s, "hold": True, **options}
        self.timeout_s = GRACE_S + float(options["seconds"])
        self.process = subprocess.Popen(command(bench, server, **options), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def wait_ready(self):
        """All are connected and in their rooms."""
        if not select.select([self.process.stdout], [], [], GRACE_S)[0] or self.process.stdout.readline() != "ready\n":
            self.fail()

    def go(self):
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def figures(self):
        out, error = self.process.communicate(timeout=self.timeout_s)
        if self.process.returncode != 0:
            raise RuntimeError(f"{error.strip()}\n{self.server.log()}".strip())
        return Figures(**json.loads(out))

    def finish(self):
        self.go()
        return self.figures()

    def fail(self):
        self.process.kill()
        raise RuntimeError(f"{self.process.communicate()[1].strip()}\n{self.server.log()}".strip() or "a load did not get ready")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


def run(bench, server, **options):
    """Figures of one load. RuntimeError: it did not run as meant."""
    with HeldLoad(bench, server, **options) as load:
        load.wait_ready()
        figures = load.finish()
    if not figures.received and options["workload"] in ("pairs", "group"):
        raise RuntimeError(f"nothing came in {figures.seconds:.1f} s")
    return figures
