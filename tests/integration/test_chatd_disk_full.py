# SPDX-License-Identifier: Apache-2.0
"""A full disk, a real one: chatd's data is on a small file system of its own, in a mount namespace."""

import os
import pathlib
import signal
import subprocess
import time

import pytest
from chatd import Chatd
from cli import Person, eventually

NAMESPACE = ["unshare", "--map-root-user", "--mount"]
MOUNT = 'mkdir -p "$0" && mount -t tmpfs -o size=200m disk "$0" && exec "$@"'


BODY = "x" * 60000
MORE = 10  # lines at a time: in the end more than what the store has mapped already


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


def figure(server, name):
    return float(server.get("/metrics")[1].split(f"\n{name} ", 1)[1].split("\n", 1)[0])


def stored(server):
    return figure(server, "chat_events_committed_total")


def told(server, message, backend):
    """How often it has said so."""
    return sum(f'"msg":"{message}' in line and f'"backend":"{backend}"' in line for line in server.log().splitlines())


def say(sending, lines):
    sending.process.stdin.write("".join(line + "\n" for line in lines).encode())
    sending.process.stdin.flush()


def say_until_it_stands(sending, server):
    """What messages bring is written late: they are stored, in memory, until writing has failed once. What was said."""
    lines = []
    while True:
        lines += [f"{len(lines) + n} {BODY}" for n in range(MORE)]
        say(sending, lines[-MORE:])
        time.sleep(1)
        before = stored(server)
        time.sleep(1)
        if stored(server) == before < figure(server, "chat_log_position"):
            return lines


@pytest.fixture
def server():
    if subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("no mount namespace may be made here")
    with ChatdOnSmallDisk(metrics=True) as running:
        yield running


def test_a_full_disk_loses_nothing_and_heals(server, tmp_path):
    alice = Person("alice", server, tmp_path)
    with alice.start("send", "bob", "-", "--wait", "committed", stdin=subprocess.PIPE) as sending:
        say(sending, ["1", "2"])
        assert eventually(lambda: stored(server), 2) == 2
        fill(server.disk())
        lines = say_until_it_stands(sending, server)
        assert eventually(lambda: server.get("/healthz"), (503, "CHAT_E_FULL")) == (503, "CHAT_E_FULL")
        time.sleep(3)  # it tries again and again, and says it once
        assert server.running() and stored(server) < 2 + len(lines)
        assert told(server, "no space left", "store") == 1 and told(server, "there is space again", "store") == 0
        (server.disk() / "filler").unlink()
        sending.process.stdin.close()
        assert sending.wait() == 0, sending.errors
    assert [text for _, text in alice.said("bob")] == ["1", "2", *lines]
    assert figure(server, "chat_faults") == 0
    assert eventually(lambda: server.get("/healthz")[0], 200) == 200
    assert told(server, "no space left", "store") == told(server, "there is space again", "store") == 1


def test_a_stop_waits_for_what_cannot_be_stored_and_a_second_signal_does_not(server, tmp_path):
    """Meanwhile it is not healthy, so that a balancer sends nobody new."""
    alice = Person("alice", server, tmp_path)
    with alice.start("send", "bob", "-", "--wait", "committed", stdin=subprocess.PIPE) as sending:
        say(sending, ["1"])
        assert eventually(lambda: stored(server), 1) == 1
        fill(server.disk())
        say_until_it_stands(sending, server)
        server.signal(signal.SIGTERM)
        assert eventually(lambda: server.get("/healthz"), (503, "CHAT_E_CLOSED")) == (503, "CHAT_E_CLOSED")
        time.sleep(1)
        assert server.running()
        server.signal(signal.SIGTERM)
        assert server.wait(60) == -signal.SIGTERM
