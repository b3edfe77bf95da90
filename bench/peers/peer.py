# SPDX-License-Identifier: Apache-2.0
"""What every peer is: a server that a user might run instead of ours, installed by name, started in a folder of its own on loopback, stopped by its process ids.

    peer = Centrifugo(bench)
    peer.install()                                  # Missing: says why it cannot be had here
    with peer as server: run(bench, server, ...)    # as with the servers of runner/server.py
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILT = ROOT / "build" / "peers"  # what is built once and used again
START_S = 60


class Missing(Exception):
    """This peer cannot be run here, for the reason given."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def is_open(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def install(*packages: str) -> None:
    """Debian packages, by name."""
    done = subprocess.run([ROOT / "scripts" / "setup.sh", *packages], capture_output=True, text=True)
    if done.returncode != 0:
        raise Missing(f"{' '.join(packages)} cannot be installed: {done.stderr.strip().splitlines()[-1:]}")


def go_program(module: str, version: str, package: str, name: str, *flags: str) -> Path:
    """The program `package` of a Go module, built once from the module proxy."""
    program = BUILT / f"{name}-{version}"
    if program.exists():
        return program
    if not shutil.which("go"):
        raise Missing("no go on this machine")
    scratch = BUILT / f"{name}-{version}.module"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    for command in (["go", "mod", "init", "peer"], ["go", "mod", "edit", f"-require={module}@{version}"], ["go", "build", *flags, "-o", program, package]):
        done = subprocess.run(command, cwd=scratch, env={**os.environ, "GOFLAGS": "-mod=mod"}, capture_output=True, text=True)
        if done.returncode != 0:
            raise Missing(f"{name} {version} cannot be built: {done.stderr.strip().splitlines()[-1:]}")
    shutil.rmtree(scratch)
    return program


class Peer:
    name: str
    protocol: str  # the load's name for what it speaks
    durability: str
    port: int
    tls = False
    load_options: dict = {}  # of the load generator: what its protocol needs

    def __init__(self, bench):
        self.bench = bench
        self.processes: list[subprocess.Popen] = []

    def install(self) -> None:
        raise NotImplementedError

    def start(self) -> None:
        raise NotImplementedError

    def __enter__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="peer-", dir=self.bench.folder))
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def pids(self) -> list[int]:
        """Of the server and its database; their descendants count as well."""
        return [process.pid for process in self.processes]

    def log(self) -> str:
        """The end of each of its logs."""
        texts = [path.read_text(errors="replace")[-1000:] for path in sorted(self.folder.glob("*.log"))]
        return "\n".join(text for text in texts if text.strip())

    def run(self, *command, **options) -> None:
        """A command that ends by itself; its output is in the folder."""
        with open(self.folder / "set-up.log", "a") as log:
            status = subprocess.run(command, stdout=log, stderr=log, **options).returncode
        if status != 0:
            raise RuntimeError(f"{self.name}: {command[0]} ended with {status}:\n{self.log()}")

    def spawn(self, name: str, *command, quiet: bool = False, **options) -> subprocess.Popen:
        """A process of this peer in a session of its own, so that all of it can be stopped. `quiet`: it logs every packet."""
        log = subprocess.DEVNULL if quiet else open(self.folder / f"{name}.log", "w")
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, **options)
        self.processes.append(process)
        return process

    def await_true(self, condition, what: str) -> None:
        until = time.monotonic() + START_S
        while not condition():
            ended = [process for process in self.processes if process.poll() is not None]
            if ended:
                raise RuntimeError(f"{self.name}: {ended[0].args[0]} ended with {ended[0].returncode}:\n{self.log()}")
            if time.monotonic() > until:
                raise RuntimeError(f"{self.name} never {what}:\n{self.log()}")
            time.sleep(0.1)

    def await_port(self, port: int) -> None:
        self.await_true(lambda: is_open(port), f"listens at {port}")

    def stop(self) -> None:
        """The last one started first: a server before its database."""
        for process in reversed(self.processes):
            if process.poll() is None:
                process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                pass
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self.processes.clear()
