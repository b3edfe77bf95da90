# SPDX-License-Identifier: Apache-2.0
"""A log that contradicts the store: chatd stands still and says so, until an operator raises the log's epoch."""

import shutil
import time

import pytest
from chatd import Chatd
from cli import DEADLINE_S, Person


def await_health(server, wanted):
    until = time.monotonic() + DEADLINE_S
    while (found := server.get("/healthz")[0]) != wanted and time.monotonic() < until:
        time.sleep(0.1)
    assert found == wanted, server.log()


def texts(person, name):
    return [text for _, text in person.said(name)]


@pytest.fixture
def without_log(tmp_path):
    """A server, stopped, whose store knows of two messages and whose log is gone; and who sent them."""
    with Chatd(metrics=True) as server:
        alice = Person("alice", server, tmp_path)
        alice("send", "bob", "-", "--wait", "committed", stdin=b"one\ntwo\n")
        server.stop()
        shutil.rmtree(server.data / "log")
        yield server, alice


def test_a_lost_log_is_not_taken_for_a_new_one(without_log):
    server, _ = without_log
    server.start()
    await_health(server, 503)
    assert "stands still" in server.log() and "CHAT_E_GONE" in server.log()
    assert "\nchat_faults 1\n" in server.get("/metrics")[1]
    server.kill()


def test_a_raised_epoch_goes_on_with_what_the_store_has(without_log):
    server, alice = without_log
    epoch_0 = server.options
    server.options = ("--log-epoch=1", *epoch_0)
    server.start()
    alice("send", "bob", "three", "--wait", "committed")
    await_health(server, 200)
    assert texts(alice, "bob") == ["one", "two", "three"]
    assert server.stop() == 0
    server.options = epoch_0  # it is never lowered
    server.start()
    assert server.wait(DEADLINE_S) == 2 and "log-epoch is below" in server.log()
    server.options = ("--log-epoch=1", *epoch_0)
    server.start()
    alice("send", "bob", "four", "--wait", "committed")


def test_an_epoch_raised_after_the_fact_works_too(without_log):
    """Someone has started it without, and a message was accepted which no sequencer has judged."""
    server, alice = without_log
    server.start()
    alice("send", "bob", "accepted", "--wait", "sent")
    await_health(server, 503)
    server.kill()
    server.options = ("--log-epoch=1", *server.options)
    server.start()
    alice("send", "bob", "after", "--wait", "committed")
    await_health(server, 200)
    assert texts(alice, "bob") == ["one", "two", "accepted", "after"]


@pytest.fixture
def with_another_log(tmp_path):
    """A server, stopped, whose log was swapped for a longer one, of another server that the same people have used; who sent what the store has; and where the right log is."""
    with Chatd() as other:
        elsewhere = Person("alice", other, tmp_path, profile="alice-elsewhere")
        for text in ("foreign one", "foreign two", "foreign three", "foreign four"):  # each by itself, so that none hangs on the one before and each could be judged here
            elsewhere("send", "bob", text, "--wait", "committed")
        other.stop()
        with Chatd(metrics=True) as server:
            alice = Person("alice", server, tmp_path)
            alice("send", "bob", "-", "--wait", "committed", stdin=b"one\ntwo\n")
            server.stop()
            right = server.data / "log-put-aside"
            (server.data / "log").rename(right)
            shutil.copytree(other.data / "log", server.data / "log")
            yield server, alice, right


def test_a_swapped_log_is_not_taken_for_the_right_one(with_another_log):
    server, alice, right = with_another_log
    for _ in range(2):  # a restart alone changes nothing
        server.start()
        await_health(server, 503)
        assert "CHAT_E_GONE" in server.log() and "Its log is another one" in server.log()
        assert texts(alice, "bob") == ["one", "two"]
        server.kill()
    shutil.rmtree(server.data / "log")
    right.rename(server.data / "log")
    server.start()
    alice("send", "bob", "three", "--wait", "committed")
    await_health(server, 200)
    assert texts(alice, "bob") == ["one", "two", "three"]


def test_a_raised_epoch_goes_on_in_a_swapped_log(with_another_log):
    """What the other log has from before is not taken for this server's; what was accepted into it meanwhile is sent again."""
    server, alice, _ = with_another_log
    server.start()
    alice("send", "bob", "accepted", "--wait", "sent")
    await_health(server, 503)
    server.kill()
    server.options = ("--log-epoch=1", *server.options)
    server.start()
    alice("send", "bob", "after", "--wait", "committed")
    await_health(server, 200)
    assert texts(alice, "bob") == ["one", "two", "accepted", "after"]
    assert server.stop() == 0
    server.start()  # it is the right one from now on
    alice("send", "bob", "later", "--wait", "committed")
    await_health(server, 200)
    fresh = Person("bob", server, alice.folder)
    assert texts(fresh, "alice") == ["one", "two", "accepted", "after", "later"]
