# SPDX-License-Identifier: Apache-2.0
"""The helper that every other test stands on, and chatd as a process: start, kill -9, start again on the same data, the listener for metrics."""

import signal
import socket

import pytest
from chatd import Chatd


def connects(server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=30):
        return True


def test_starts_stops_and_starts_again_at_the_same_port(server):
    port = server.port
    assert connects(server)
    assert server.stop() == 0
    assert not server.running()
    with pytest.raises(OSError):
        connects(server)
    server.start()
    assert server.port == port and connects(server)


def test_a_killed_one_starts_again_on_its_data(server):
    assert server.kill() == -signal.SIGKILL
    assert any(server.data.iterdir())
    server.start()
    assert connects(server)


def test_one_that_cannot_start_says_why():
    broken = Chatd("--no-such-option=1")
    with pytest.raises(RuntimeError, match="no-such-option"), broken:
        pass
    assert not broken.folder.exists()


def test_metrics_have_a_listener_of_their_own():
    with Chatd(metrics=True) as server:
        assert server.metrics_port != server.port
        assert server.get("/healthz")[0] == 200
        status, text = server.get("/metrics")
        assert status == 200 and "chat" in text
        assert server.get("/nothing")[0] == 404
