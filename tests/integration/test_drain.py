# SPDX-License-Identifier: Apache-2.0
"""SIGTERM in the middle of things: chatd works off what it has, clients come back to the next one, nothing is lost, nothing is there twice."""

import subprocess

from cli import Person, live

LINES = 300


def lines(begin, end):
    return b"".join(b"line %d\n" % n for n in range(begin, end))


def test_an_end_in_the_middle_of_sending_loses_nothing(server, tmp_path):
    alice, bob = Person("alice", server, tmp_path), Person("bob", server, tmp_path)
    with bob.start("listen", "--json", "--count", str(LINES)) as listening:
        listening.wait_for(live)  # or the first may be history by then
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
