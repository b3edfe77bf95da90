# SPDX-License-Identifier: Apache-2.0
"""A full disk, a real one: chatd's data is on a small file system of its own, in a mount namespace."""

import os
import pathlib
import subprocess

import pytest
from chatd import Chatd
from person import Person

NAMESPACE = ["unshare", "--map-root-user", "--mount"]
MOUNT = 'mkdir -p "$0" && mount -t tmpfs -o size=200m disk "$0" && exec "$@"'


class ChatdOnSmallDisk(Chatd):
    """--core-dumps, because a process that forbids them hides its file system from others."""

    def command(self):
        return [*NAMESPACE, "sh", "-c", MOUNT, str(self.data), *super().command(), "--core-dumps"]

    def disk(self):
        return pathlib.Path(f"/proc/{self.pid}/root{self.data}")


def fill(path):
    """With a file that takes all that is left."""
    with open(path / "filler", "wb") as filler:
        for size in (1 << 20, 1 << 12):
            try:
                while True:
                    os.write(filler.fileno(), bytes(size))
            except OSError:
                pass


def test_a_full_disk_loses_nothing_and_heals(tmp_path):
    if subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("no mount namespace may be made here")
    with ChatdOnSmallDisk(metrics=True) as server:
        alice = Person(server, tmp_path, "alice")
        alice("send", "bob", "-", "--wait", "committed", stdin="1\n2\n")
        fill(server.disk())
        body = "x" * 60000  # more than what is mapped already
        lines = [f"{n} {body}" for n in range(40)]
        stuck = subprocess.run(
            [*alice.command("send", "bob", "-", "--wait", "committed"), "--timeout", "5"],
            input="\n".join(lines) + "\n",
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert stuck.returncode == 5, stuck.stderr  # it waits, and nobody says that it has failed
        assert server.running() and alice.history("bob")[:2] == ["1", "2"]
        (server.disk() / "filler").unlink()
        alice("send", "bob", "after", "--wait", "committed")
        assert alice.history("bob") == ["1", "2", *lines, "after"]
        assert "\nchat_faults 0\n" in server.get("/metrics")[1]
