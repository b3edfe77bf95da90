# SPDX-License-Identifier: Apache-2.0
"""The examples do what they say. tests/install runs this too, on examples that were built against an installed copy: $CHAT_EXAMPLES is their folder."""

import contextlib
import os
import pathlib
import signal
import subprocess

from chatd import BUILD, Chatd
from cli import DEADLINE_S, Person

EXAMPLES = pathlib.Path(os.environ.get("CHAT_EXAMPLES", BUILD / "examples"))


def example(name, *args):
    return subprocess.run([EXAMPLES / name, *args], capture_output=True, text=True, timeout=DEADLINE_S, check=False)


@contextlib.contextmanager
def own_server(folder):
    """embed_server as a process; its URL. It must end in order."""
    with subprocess.Popen([EXAMPLES / "embed_server", folder], stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process.stdout.readline().split()[-1]
            process.send_signal(signal.SIGTERM)
            assert process.wait(DEADLINE_S) == 0
        finally:
            process.kill()


def test_hello_sends_and_receives():
    with Chatd() as server:
        alice = example("hello", server.url, "dev:alice", "bob", "good morning")
        assert (alice.returncode, alice.stdout) == (0, "alice: good morning\n")
        bob = example("hello", server.url, "dev:bob", "alice", "and to you")
        assert bob.returncode == 0 and bob.stdout.splitlines()[-1] == "bob: and to you"
        again = example("hello", server.url, "dev:alice", "bob", "third")
        assert again.returncode == 0


def test_hello_says_that_it_was_not_let_in():
    with Chatd() as server:
        assert example("hello", server.url, "not a token", "bob", "x").returncode == 1
    assert example("hello", "too", "few").returncode == 2


def test_a_server_of_ones_own_knows_its_users_and_refuses_spam(tmp_path):
    with own_server(tmp_path / "data") as url:
        hello = example("hello", url, "alice:wonderland", "bob", "good morning")
        assert (hello.returncode, hello.stdout) == (0, "alice: good morning\n")
        assert example("hello", url, "alice:wrong", "bob", "x").returncode == 1
        bob = Person("bob", None, tmp_path, login=False)
        bob("login", url, "bob:builder")
        assert bob.said("alice") == [("alice", "good morning")]
        assert bob("send", "alice", "buy spam now", "--wait", "committed", code=1).err
        bob("send", "alice", "thanks", "--wait", "committed")
        assert "spam" not in example("hello", url, "alice:wonderland", "bob", "bye").stdout


def test_a_server_of_ones_own_says_what_is_wrong(tmp_path):
    assert example("embed_server").returncode == 2
    (tmp_path / "file").write_text("in the way")
    broken = example("embed_server", tmp_path / "file" / "data")
    assert broken.returncode == 1 and "data" in broken.stderr


def test_a_backend_of_ones_own_is_used():
    done = example("custom_backend")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].endswith("records went through our log") and not done.stdout.splitlines()[-1].startswith("0 ")
