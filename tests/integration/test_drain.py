# SPDX-License-Identifier: Apache-2.0
"""SIGTERM in the middle of things: chatd works off what it has, clients come back to the next one, nothing is lost, nothing is there twice."""

import asyncio
import signal
import subprocess
import time

from chatd import Chatd
from cli import DEADLINE_S, Person
from wire import login

LINES = 300


def lines(begin, end):
    return b"".join(b"line %d\n" % n for n in range(begin, end))


def test_an_end_in_the_middle_of_sending_loses_nothing(server, tmp_path):
    alice, bob = Person("alice", server, tmp_path), Person("bob", server, tmp_path)
    with bob.start("listen", "--json", "--count", str(LINES)) as listening:
        with alice.start("send", "bob", "-", "--wait", "committed", stdin=subprocess.PIPE) as sending:
            sending.process.stdin.write(lines(0, LINES // 2))
            sending.process.stdin.flush()
            listening.wait_for(lambda row: row["object"] == "message")  # so it is in the middle
            assert server.stop() == 0, server.log()
            sending.process.stdin.write(lines(LINES // 2, LINES))  # into the outbox, while nobody is there
            sending.process.stdin.close()
            server.start()
            assert sending.wait() == 0, sending.errors
        assert listening.wait() == 0, listening.errors
    wanted = [("alice", f"line {n}") for n in range(LINES)]
    assert alice.said("bob") == bob.said("alice") == wanted
    late = Person("bob", server, tmp_path, profile="late")  # a device that was not there
    assert late.said("alice") == wanted


def leaving(server, then):
    """then() while the server waits for a client that does not go: it is told to, is given some seconds, and reads nothing."""

    async def run():
        connection, _ = await login(server.url, b"dev:rude")
        server.signal(signal.SIGTERM)
        until = time.monotonic() + DEADLINE_S
        while server.get("/healthz")[0] != 503:  # and nothing is awaited
            assert time.monotonic() < until
        result = then()
        connection.socket.transport.abort()
        return result

    return asyncio.run(run())


def test_a_server_that_leaves_is_not_healthy():
    """A balancer must not send it new clients while it sends its own away."""
    with Chatd(metrics=True) as server:
        assert server.get("/healthz") == (200, "ok\n")
        assert leaving(server, lambda: server.wait(DEADLINE_S)) == 0  # who does not go is cut off


def test_a_second_signal_ends_at_once(tmp_path):
    """By which nothing is lost."""
    with Chatd(metrics=True) as server:
        alice = Person("alice", server, tmp_path)
        alice("send", "bob", "accepted")

        def again():
            server.signal(signal.SIGTERM)
            return server.wait(DEADLINE_S)

        assert leaving(server, again) == -signal.SIGTERM
        server.start()
        assert alice.said("bob") == [("alice", "accepted")]
