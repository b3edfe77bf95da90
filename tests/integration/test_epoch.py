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
