# SPDX-License-Identifier: Apache-2.0
"""A real chatd for tests: a process of its own on a free port of 127.0.0.1, its data in a temporary folder.

    with Chatd() as server:              # --dev-mode: the token "dev:alice" is alice
        ... server.url ...
        server.kill()                    # kill -9
        server.start()                   # on the same data and the same port

    Chatd("--jwt-key=hs256:k:/path", dev_mode=False, metrics=True)

Used as a context manager it is stopped in order at the end, and the test fails where chatd did not end with 0 (a sanitizer's finding, work cut off).
From other folders below tests/: `from integration.chatd import Chatd` (scripts/test.sh puts tests/ on PYTHONPATH).
The programs are those of $CHAT_BUILD (else build/dev). Every wait has a deadline, generous because machines are shared.
"""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import urllib.error
import urllib.request

import canaries

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("CHAT_BUILD", ROOT / "build" / "dev"))

START_S = 60
STOP_S = 90

# A test is one address and types for everybody: the limits that are for strangers do not fit. Give your own to test them.
UNLIMITED = ("--limit-address-rate=0", "--limit-user-rate=0", "--limit-conversation-rate=0")


def program(name):
    """Path of a program that the build has made."""
    path = BUILD / "bin" / name
    if not path.exists():
        raise FileNotFoundError(f"{path} is not built")
    return str(path)


def free_port():
    """A port that was free a moment ago, for what cannot be started with port 0."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Chatd:
    def __init__(self, *options, dev_mode=True, metrics=False, folder=None, limits=False, env=None):
        """options: chatd's, as on its command line; they win over those made here. folder: kept by the caller, else made and removed here."""
        self.owns_folder = folder is None
        self.folder = pathlib.Path(folder or tempfile.mkdtemp(prefix="chatd-"))
        self.data = self.folder / "data"
        self.log_path = self.folder / "chatd.log"
        self.options = options
        self.dev_mode = dev_mode
        self.limits = limits
        self.env = {**os.environ, **(env or {})}
        self.metrics_port = free_port() if metrics else None
        self.port = 0  # any; once known it stays, so that clients find a restarted server
        self.process = None

    def command(self):
        metrics = f"127.0.0.1:{self.metrics_port}" if self.metrics_port else ""
        return [
            program("chatd"),
            f"--listen=127.0.0.1:{self.port}",
            f"--metrics={metrics}",
            f"--data={self.data}",
            "--drain=0ms",  # nobody needs to be spread here
            *(["--dev-mode"] if self.dev_mode else []),
            *([] if self.limits else UNLIMITED),
            *self.options,
        ]

    def start(self):
        """Returns when chatd listens; RuntimeError with its log where it does not."""
        assert self.process is None, "it runs"
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.command(), stdout=subprocess.PIPE, stderr=log, stdin=subprocess.DEVNULL, env=self.env)
        listening = threading.Event()
        self.reader = threading.Thread(target=self._read_output, args=(self.process.stdout, listening), daemon=True)
        self.reader.start()
        if not listening.wait(START_S) or not self.port:
            code = self.kill()
            raise RuntimeError(f"chatd did not start (exit code {code}):\n{self.log()}")
        return self

    def _read_output(self, output, listening):
        # To the end, so that chatd never waits for a reader.
        for line in output:
            if b"listening at port " in line:
                self.port = int(line.rsplit(b" ", 1)[1])
                listening.set()
        output.close()
        listening.set()

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self):
        """SIGTERM; its exit code."""
        if self.metrics_port and canaries.wanted() and self.running():
            self.get("/metrics")
        self.signal(signal.SIGTERM)
        return self.wait(STOP_S)

    def kill(self):
        """kill -9; its exit code, which is that of the end before, where it had ended by itself."""
        self.process.kill()
        return self.wait(STOP_S)

    def wait(self, timeout_s):
        """Until it has ended by itself; its exit code. One that does not end is killed: TimeoutExpired."""
        process, self.process = self.process, None
        try:
            return process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        finally:
            self.reader.join(STOP_S)
            canaries.said("chatd-log", self.log())

    def running(self):
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self):
        return self.process.pid

    @property
    def url(self):
        return f"ws://127.0.0.1:{self.port}"

    def log(self):
        """What chatd has written to stderr, over all its starts."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def get(self, path):
        """(status, text) of a page of the listener for metrics."""
        url = f"http://127.0.0.1:{self.metrics_port}{path}"
        try:
            with urllib.request.urlopen(url, timeout=START_S) as answer:
                status, text = answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read().decode()
        canaries.said("chatd-page", text)
        return status, text

    def remove(self):
        if self.owns_folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.remove()
            raise

    def __exit__(self, kind, _error, _trace):
        try:
            code = self.stop() if self.process else 0
            if code != 0 and kind is None:
                raise AssertionError(f"chatd ended with {code}:\n{self.log()}")
        finally:
            self.remove()
