# SPDX-License-Identifier: Apache-2.0
"""Somebody with the command-line client: a process for each command, the profile in a folder of the test.

    alice = Person(server, tmp_path, "alice")        # logs in, in development mode
    alice("send", "bob", "hello", "--wait", "committed")
    with alice.starts("listen", "--json", "--count", "3") as listening: ...
"""

import contextlib
import json
import subprocess

from chatd import program

PATIENCE_S = 120


class Person:
    def __init__(self, server, folder, name, token=None):
        self.name = name
        self.home = folder / name
        self("login", server.url, token or f"dev:{name}")

    def command(self, *words):
        return [program("chat"), "--home", str(self.home), "--timeout", str(PATIENCE_S), *words]

    def try_to(self, *words, stdin=None):
        """The finished process, whatever its exit code."""
        return subprocess.run(self.command(*words), input=stdin, capture_output=True, text=True, timeout=2 * PATIENCE_S, check=False)

    def __call__(self, *words, stdin=None):
        """What it printed; it must succeed."""
        done = self.try_to(*words, stdin=stdin)
        assert done.returncode == 0, f"{words}: exit code {done.returncode}: {done.stderr}"
        return done.stdout

    def history(self, name):
        """The bodies of all messages, oldest first."""
        events = [json.loads(line) for line in self("history", name, "--all", "--json").splitlines()]
        return [event["body"] for event in events if event["object"] == "message"]

    @contextlib.contextmanager
    def starts(self, *words):
        """The running process, with pipes; killed at the end where it still runs."""
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with subprocess.Popen(self.command(*words), text=True, **pipes) as process:
            try:
                yield process
            finally:
                process.kill()
