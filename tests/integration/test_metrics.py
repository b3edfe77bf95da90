# SPDX-License-Identifier: Apache-2.0
"""The listener for metrics: each figure is right where a test can know it, and none is always nought. (Health: test_epoch.py, test_chatd_disk_full.py.)"""

import re
import time

import pytest
from chatd import Chatd
from cli import DEADLINE_S, Person

MESSAGES = 25

# What stays 0 where nothing goes wrong; the tests of the gateway, of limits and of retention raise them.
TROUBLE = {
    'chat_sends_total{answer="gap"}',
    'chat_sends_total{answer="unknown"}',
    'chat_sends_total{answer="retry"}',
    'chat_sends_total{answer="refused"}',
    'chat_verdicts_total{verdict="refused"}',
    'chat_verdicts_total{verdict="dup"}',
    'chat_verdicts_total{verdict="gap"}',
    "chat_limited_total",
    "chat_slow_readers_total",
    "chat_out_held_bytes",
    "chat_faults",
    "chat_pruned_total",
}


def figures(server):
    """{series: value} of the page, read as Prometheus reads it."""
    status, text = server.get("/metrics")
    assert status == 200
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r'[a-z_]+(\{[a-z_]+="[^"]*"\})? -?[0-9.]+', line) for line in lines)
    found = {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines}
    assert len(found) == len(lines)
    return found


def await_figures(server, right):
    until = time.monotonic() + DEADLINE_S
    while True:
        found = figures(server)
        if right(found) or time.monotonic() > until:
            return found
        time.sleep(0.1)


@pytest.fixture(scope="module")
def busy(tmp_path_factory):
    """A server on which two people have chatted, and one is still there; with its figures then."""
    folder = tmp_path_factory.mktemp("people")
    with Chatd(metrics=True) as server:
        alice, bob = Person("alice", server, folder), Person("bob", server, folder)
        with bob.start("listen", "--json") as listening:
            alice("send", "bob", "-", "--wait", "delivered", stdin=b"".join(b"line %d\n" % n for n in range(MESSAGES)))
            Person("stranger", server, folder, login=False)("login", server.url, "nobody's token", code=4)
            peak = await_figures(server, lambda f: f["chat_sessions"] == 1)
            assert listening.process.poll() is None
        yield server, peak


def test_what_is_counted_is_what_happened(busy):
    _, found = busy
    assert found["chat_sessions"] == 1
    assert found["chat_sessions_total"] >= 3
    assert found['chat_sends_total{answer="accepted"}'] == MESSAGES
    assert found["chat_events_committed_total"] == found['chat_verdicts_total{verdict="committed"}'] == MESSAGES
    assert found["chat_commit_seconds_count"] == MESSAGES
    assert found["chat_log_position"] == found["chat_store_position"] == MESSAGES
    assert 1 <= found["chat_log_append_seconds_count"] <= MESSAGES
    assert found["chat_log_append_seconds_sum"] > 0
    assert found["chat_auth_failures_total"] == 1
    assert found["chat_live_events_total"] >= MESSAGES
    assert found["chat_deliveries_total"] >= 1
    assert found["chat_bytes_in_total"] > MESSAGES * len("line 0")
    assert found["chat_frames_in_total"] > 0 and found["chat_frames_out_total"] > 0


def test_a_histogram_rises_to_its_count(busy):
    _, found = busy
    for name in ("chat_log_append_seconds", "chat_commit_seconds"):
        buckets = [value for series, value in found.items() if series.startswith(name + "_bucket")]
        assert len(buckets) == 17 and buckets == sorted(buckets)
        assert found[name + '_bucket{le="+Inf"}'] == found[name + "_count"]


def test_no_figure_is_always_nought(busy):
    _, found = busy
    assert set(found) >= TROUBLE
    waiting = {series for series in found if series.startswith("chat_ops_waiting")}
    assert len(waiting) == 5
    idle = {series for series, value in found.items() if value == 0} - TROUBLE - waiting
    assert {series for series in idle if "_bucket" not in series} == set()


def test_what_waits_is_done_in_the_end(busy):
    server, _ = busy
    found = await_figures(server, lambda f: all(value == 0 for series, value in f.items() if series.startswith("chat_ops_waiting")))
    assert {series: value for series, value in found.items() if series.startswith("chat_ops_waiting") and value} == {}


def test_positions_are_known_after_a_restart(tmp_path):
    with Chatd(metrics=True) as server:
        Person("alice", server, tmp_path)("send", "bob", "-", "--wait", "committed", stdin=b"1\n2\n3\n")
        server.stop()
        server.start()
        found = await_figures(server, lambda f: f["chat_log_position"] == f["chat_store_position"] == 3)
        assert (found["chat_log_position"], found["chat_store_position"]) == (3, 3)
