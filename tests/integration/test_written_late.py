# SPDX-License-Identifier: Apache-2.0
"""The store writes late (docs/decisions/0008): what a kill -9 takes from it is there again before clients are."""

import sqlite3
import subprocess

from chatd import Chatd
from cli import Person

LINES = [f"line {n}" for n in range(200)]


def figure(server, name):
    return int(server.get("/metrics")[1].split(f"\n{name} ", 1)[1].split("\n", 1)[0])


def in_tables(server):
    with sqlite3.connect(f"file:{server.data}/store?mode=ro", uri=True) as tables:
        return tables.execute("SELECT position & 0xffffffffffff FROM consumed").fetchone()[0]


def test_after_a_kill_the_store_is_whole_before_clients_come_in(tmp_path):
    with Chatd(metrics=True) as server:
        alice = Person("alice", server, tmp_path)
        with alice.start("send", "bob", "-", "--wait", "committed", stdin=subprocess.PIPE) as sending:
            sending.process.stdin.write("".join(line + "\n" for line in LINES).encode())
            sending.process.stdin.close()
            assert sending.wait() == 0, sending.errors
        server.kill()
        assert in_tables(server) < len(LINES)  # else nothing was late
        server.start()
        assert figure(server, "chat_store_position") >= len(LINES)
        bob = Person("bob", server, tmp_path)
        assert [text for _, text in bob.said("alice")] == LINES
