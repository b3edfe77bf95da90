# SPDX-License-Identifier: Apache-2.0
"""chatd ends in the middle of things, in order or by kill -9, and starts again: clients come back, nothing is lost, nothing is there twice."""

import contextlib
import signal
import time

import pytest
from chatd import Chatd
from person import PATIENCE_S, Person

LINES = 300


def lines(begin, end):
    return "".join(f"line {n}\n" for n in range(begin, end))


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_an_end_in_the_middle_of_sending_loses_nothing(tmp_path, end):
    with Chatd() as server:
        alice, bob = Person(server, tmp_path, "alice"), Person(server, tmp_path, "bob")
        with bob.starts("listen", "--json", "--count", str(LINES)) as listening:
            with alice.starts("send", "bob", "-", "--wait", "committed") as sending:
                sending.stdin.write(lines(0, LINES // 2))
                sending.stdin.flush()
                listening.stdout.readline()  # so it is in the middle
                code = server.stop() if end == "stop" else server.kill()
                assert code == (0 if end == "stop" else -signal.SIGKILL), server.log()
                sending.stdin.write(lines(LINES // 2, LINES))  # into the outbox, while nobody is there
                sending.stdin.flush()
                server.start()
                _, problem = sending.communicate(timeout=2 * PATIENCE_S)
                assert sending.returncode == 0, problem
            _, problem = listening.communicate(timeout=2 * PATIENCE_S)
            assert listening.returncode == 0, problem
        wanted = [f"line {n}" for n in range(LINES)]
        for person, other in ((alice, "bob"), (bob, "alice")):
            assert person.history(other) == wanted
        # And as a device sees it that was not there.
        late = Person(server, tmp_path / "late", "bob")
        assert late.history("alice") == wanted


def test_a_second_signal_ends_at_once(tmp_path):
    """Clients are sent away over up to 40 s, which an impatient operator does not wait for; and by that nothing is lost."""
    with Chatd("--drain=40s", metrics=True) as server:
        alice = Person(server, tmp_path, "alice")
        with contextlib.ExitStack() as stack:
            for _ in range(4):
                stack.enter_context(alice.starts("listen"))
            until = time.monotonic() + PATIENCE_S
            while "\nchat_sessions 4\n" not in server.get("/metrics")[1]:
                assert time.monotonic() < until
                time.sleep(0.1)
            alice("send", "bob", "accepted")
            server.signal(signal.SIGTERM)
            while server.get("/healthz")[0] != 503:
                assert time.monotonic() < until
            server.signal(signal.SIGTERM)
            assert server.wait(30) == -signal.SIGTERM
        server.start()
        assert alice.history("bob") == ["accepted"]
