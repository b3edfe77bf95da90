# SPDX-License-Identifier: Apache-2.0
"""The command-line client for tests: people with profiles in a temporary folder.

    alice = Person("alice", server, folder)     # logs in
    alice("send", "bob", "hello")                # a Done; fails the test where the exit code is another than `code` (0)
    alice.rows("history", "bob")                 # with --json: the objects
    with alice.start("listen", "--json") as listening: ...
"""

import json
import os
import signal
import subprocess
import threading
import time

import canaries
from chatd import program

DEADLINE_S = 120  # of a command that ends by itself
LANGUAGE = {"LC_ALL": "C.UTF-8", "TZ": "UTC"}


class Done:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    @property
    def text(self):
        return self.out.decode()

    @property
    def rows(self):
        return [json.loads(line) for line in self.out.splitlines()]


class Person:
    def __init__(self, name, server, folder, login=True, profile=None):
        self.name, self.folder, self.profile = name, folder, profile or name
        if login:
            self("login", server.url, f"dev:{name}")

    @property
    def home(self):
        return self.folder / self.profile

    def command(self, *args):
        return [program("chat"), "--home", str(self.folder), "--profile", self.profile, *args]

    @staticmethod
    def remember(args):
        """The token of a login, the words of a message; what the program says about them on stderr, or of its own accord, is no place for either."""
        if args[:1] == ("login",) and len(args) > 2 and not str(args[2]).startswith("-"):
            canaries.sent("token", str(args[2]).encode())
        if args[:1] == ("send",) and len(args) > 2:
            canaries.sent("body", str(args[2]).encode())

    def __call__(self, *args, code=0, stdin=b""):
        self.remember(args)
        done = subprocess.run(self.command(*args), input=stdin, capture_output=True, timeout=DEADLINE_S, env={**os.environ, **LANGUAGE})
        canaries.said("chat-stderr", done.stderr)
        result = Done(done.returncode, done.stdout, done.stderr.decode(errors="replace"))
        assert done.returncode == code, f"{args}: exit code {done.returncode}, not {code}\n{done.stdout!r}\n{result.err}"
        return result

    def rows(self, *args, **more):
        return self(*args, "--json", **more).rows

    def said(self, name, *args):
        """(sender, text) of the messages of a conversation, oldest first."""
        return [(row["sender"], row["body"]) for row in self.rows("history", name, "--all", *args) if row["type"] == "message"]

    def start(self, *args, **more):
        return Running(self.command(*args), **more)


class Running:
    """A command that runs beside the test; its lines are read as they come."""

    def __init__(self, command, stdin=subprocess.DEVNULL):
        self.process = subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **LANGUAGE})
        self.lines = []
        self.changed = threading.Condition()
        self.ended = False
        self.errors = b""
        self.readers = [threading.Thread(target=self._read_out, daemon=True), threading.Thread(target=self._read_err, daemon=True)]
        for reader in self.readers:
            reader.start()

    def _read_out(self):
        for line in self.process.stdout:
            with self.changed:
                self.lines.append(line)
                self.changed.notify_all()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def _read_err(self):
        self.errors = self.process.stderr.read()
        canaries.said("chat-stderr", self.errors)

    @property
    def rows(self):
        return [json.loads(line) for line in self.lines]

    def wait_for(self, what):
        """The first line's object for which what(object) is true."""
        with self.changed:
            found = self.changed.wait_for(lambda: next((row for row in self.rows if what(row)), None) or self.ended, DEADLINE_S)
        if not found or found is True:
            raise AssertionError(f"it did not come: {self.lines}\n{self.errors.decode(errors='replace')}")
        return found

    def wait_for_lines(self, count):
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.lines) >= count or self.ended, DEADLINE_S), self.lines
        assert len(self.lines) >= count, (self.lines, self.errors)

    def wait(self):
        code = self.process.wait(DEADLINE_S)
        for reader in self.readers:
            reader.join(DEADLINE_S)
        return code

    def end(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.end()
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            if self.process.stdin:
                self.process.stdin.close()
            self.process.stdout.close()
            self.process.stderr.close()


def eventually(get, wanted):
    """For what takes a moment: receipts are collected, the index of search lags. get() is asked until it gives `wanted`; what it gave last."""
    deadline = time.monotonic() + DEADLINE_S
    while (got := get()) != wanted and time.monotonic() < deadline:
        time.sleep(0.1)
    return got


def live(row):
    return row["object"] == "state" and row["state"] == "live"
