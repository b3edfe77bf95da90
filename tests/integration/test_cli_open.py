# SPDX-License-Identifier: Apache-2.0
"""Chatting: `chat open` in a pipe and in a terminal."""

import os
import pty
import re
import select
import signal
import time

import pytest
from chatd import program
from cli import DEADLINE_S, LANGUAGE, Person, eventually


@pytest.fixture
def pair(server, tmp_path):
    return [Person(name, server, tmp_path) for name in ("alice", "bob")]


class Terminal:
    """A command whose terminal is ours."""

    def __init__(self, person, *args):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(LANGUAGE, TERM="xterm")
            os.execv(program("chat"), person.command(*args))
        self.shown = ""

    def type(self, text):
        os.write(self.fd, text.encode())

    def wait_for(self, pattern):
        """Until it is shown; what came up to there is taken away."""
        deadline = time.monotonic() + DEADLINE_S
        while not (found := re.search(pattern, self.shown)):
            assert time.monotonic() < deadline and self._read(deadline), f"{pattern!r} was not shown: {self.shown!r}"
        self.shown = self.shown[found.end() :]
        return found

    def _read(self, deadline):
        if not select.select([self.fd], [], [], max(0, deadline - time.monotonic()))[0]:
            return False
        try:
            data = os.read(self.fd, 65536)
        except OSError:  # its end of it is closed
            return False
        self.shown += data.decode(errors="replace")
        return bool(data)

    def end(self):
        """Its exit code, when it ends by itself."""
        deadline = time.monotonic() + DEADLINE_S
        while self._read(deadline):
            pass
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass
        os.close(self.fd)


def test_a_person_chats_in_a_terminal(pair):
    alice, bob = pair
    with Terminal(alice, "open", "bob") as terminal:
        terminal.wait_for("bob> ")
        terminal.type("hellö bob\r")
        terminal.wait_for("1 .*<.*alice.*> hellö bob  .*✓")
        assert bob.said("alice") == [("alice", "hellö bob")]

        terminal.type("half a li")
        terminal.wait_for("half a li")
        bob("send", "alice", "in between \x1b[2J")
        shown = terminal.wait_for(r"<.*bob.*> in between \\x1b\[2J\r\n(.*)bob> half a li")
        assert "\x1b[2J" not in shown.group(0), "what others write is escaped; the line that is being typed comes back whole"
        terminal.type("ne\r")
        terminal.wait_for("3 .*> half a line  .*✓")
        assert bob.said("alice")[-1] == ("alice", "half a line")
        assert eventually(lambda: bob.rows("history", "alice")[1]["tick"], "read") == "read", "it was on the screen"
        bob("read", "alice")
        terminal.wait_for("✓✓ read by bob up to 3")

        terminal.type("/who\r")
        terminal.wait_for("online .*alice\r\n")
        terminal.type("/list\r")
        terminal.wait_for("direct .*bob")
        terminal.type("/search half\r")
        terminal.wait_for("half a line")
        terminal.type("/nonsense\r")
        terminal.wait_for("no such command")
        terminal.type("//slash\r")
        terminal.wait_for("> /slash  .*✓")
        terminal.type("/quit\r")
        assert terminal.end() == 0
    assert bob.said("alice")[-1] == ("alice", "/slash")


def test_without_a_command_one_chooses(pair):
    alice, bob = pair
    bob("send", "alice", "hello")
    with Terminal(alice) as terminal:
        terminal.wait_for("direct .*1 unread .*bob")
        terminal.type("to whom?\r")
        terminal.wait_for("/open NAME first")
        terminal.type("/open bob\r")
        terminal.wait_for("> hello")
        terminal.wait_for("bob> ")
        terminal.type("here\r")
        terminal.wait_for("> here  .*✓")
        terminal.type("\x04")
        assert terminal.end() == 0
    assert bob.said("alice") == [("bob", "hello"), ("alice", "here")]


def test_the_terminal_is_as_before_after_a_signal(pair):
    alice, bob = pair
    with Terminal(alice, "open", "bob") as terminal:
        terminal.wait_for("bob> ")
        terminal.type("\x03")  # ^C
        assert terminal.end() == 0


def test_open_in_a_pipe(pair):
    alice, bob = pair
    shown = alice("open", "bob", stdin="one\n//two\nthree".encode()).text
    assert bob.said("alice") == [("alice", "one"), ("alice", "/two"), ("alice", "three")]
    assert "\x1b" not in shown and re.search(r"<alice> three  ✓", shown)


def test_nothing_without_a_terminal_is_wrong_usage(pair):
    alice, _ = pair
    assert "usage: chat" in alice(code=2).err


def test_progress_is_shown_on_a_terminal_only(pair):
    alice, bob = pair
    text = b"".join(b"%d\n" % i for i in range(700))
    assert alice("send", "bob", "-", stdin=text).err == ""
    with Terminal(bob, "history", "alice", "--all") as terminal:
        terminal.wait_for(r"back to \d+")
        assert terminal.end() == 0
