# SPDX-License-Identifier: Apache-2.0
"""`chat send` killed with -9 in the middle, chatd killed in the middle, and what waits in an outbox: nothing lost, nothing twice (P1, P2)."""

import signal
import subprocess

import pytest
from cli import Person

LINES = [f"line {i}" for i in range(1, 1501)]
TEXT = "".join(line + "\n" for line in LINES).encode()


@pytest.fixture
def pair(server, tmp_path):
    alice, bob = (Person(name, server, tmp_path) for name in ("alice", "bob"))
    alice("group", "create", "team", "bob")
    return alice, bob


def sending(person, *args):
    """`chat send team - --json`, which has been given all lines."""
    running = person.start("send", "team", "-", "--json", *args, stdin=subprocess.PIPE)
    running.process.stdin.write(TEXT)
    running.process.stdin.close()
    return running


def kill_after(running, count):
    with running:
        running.wait_for_lines(count)
        assert running.end(signal.SIGKILL) == -signal.SIGKILL, "it was killed while it was sending"
    return {int(row["line"]) for row in running.rows if row["stage"] in ("sent", "committed")}


def texts(person):
    return [text for _, text in person.said("team")]


@pytest.mark.parametrize("count", [1, 200, 900])
def test_a_killed_send_goes_on_under_its_id(pair, count):
    alice, bob = pair
    kill_after(sending(alice, "--id", "input-1"), count)
    done = alice("send", "team", "-", "--id", "input-1", "--wait", "committed", stdin=TEXT)
    assert done.err == ""
    assert texts(bob) == LINES
    alice("send", "team", "-", "--id", "input-1", stdin=TEXT)
    assert texts(bob) == LINES, "a third time changes nothing"


def test_killed_again_and_again(pair):
    alice, bob = pair
    for count in (150, 300, 450, 600, 750):
        kill_after(sending(alice, "--id", "x"), count)
    alice("send", "team", "-", "--id", "x", "--wait", "committed", stdin=TEXT)
    assert texts(bob) == LINES


def test_what_was_said_to_be_sent_is_there_and_the_outbox_follows(pair):
    alice, bob = pair
    said = kill_after(sending(alice), 300)
    alice("conversations")  # any command takes the slot whose outbox was left behind
    alice("send", "team", "the next one", "--wait", "committed")
    got = texts(bob)
    assert got[-1] == "the next one"
    assert got[:-1] == LINES[: len(got) - 1], "in order, without a hole, nothing twice"
    assert len(got) - 1 >= max(said) >= 300
    assert [c["pending"] for c in alice.rows("conversations")] == ["0"]


def test_the_outbox_of_another_slot_is_not_forgotten(server, pair):
    """What a command beside a listen has left behind goes out although the first slot is free again."""
    alice, bob = pair
    with alice.start("listen", "--json") as listening:
        listening.wait_for_lines(1)
        assert "other commands" in alice("--offline", "conversations", "--timeout", "1", code=1).err, "a new slot knows nothing yet"
        alice("conversations")
        alice("--offline", "send", "team", "left behind")
        assert listening.end() == 0
    assert texts(bob) == []
    alice("send", "team", "the next one", "--wait", "committed")
    assert texts(bob) == ["left behind", "the next one"]


def test_an_id_belongs_to_one_conversation(pair):
    alice, bob = pair
    alice("send", "team", "hello", "--id", "greeting")
    alice("send", "team", "hello", "--id", "greeting")
    assert texts(bob) == ["hello"]
    assert "another conversation" in alice("send", "@bob", "hello", "--id", "greeting", code=2).err
    assert "CHAT_E_CONFLICT" in alice("send", "team", "another text", "--id", "greeting", code=1).err
    assert texts(bob) == ["hello"]


def test_an_id_stays_with_its_device(pair):
    """Its messages are numbered there; from another device they would be others."""
    alice, bob = pair
    alice("send", "team", "hello", "--id", "greeting")
    with alice.start("listen", "--json") as listening:
        listening.wait_for_lines(1)
        assert "in use by another command" in alice("send", "team", "hello", "--id", "greeting", "--timeout", "1", code=1).err
    alice("send", "team", "hello", "--id", "greeting")
    assert texts(bob) == ["hello"]


def test_send_goes_on_over_a_killed_server(server, pair):
    alice, bob = pair
    with sending(alice, "--wait", "committed") as running:
        running.wait_for_lines(100)
        server.kill()
        server.start()
        assert running.wait() == 0, running.errors
    assert texts(bob) == LINES


def test_the_server_stays_away_in_the_middle(server, pair):
    alice, bob = pair
    with sending(alice, "--timeout", "2") as running:
        running.wait_for_lines(100)
        server.kill()
        assert running.wait() == 3, running.errors
        assert b"stay in the outbox" in running.errors
        said = {int(row["line"]) for row in running.rows}
    server.start()
    alice("send", "team", "the next one", "--wait", "committed")
    got = texts(bob)
    assert got[-1] == "the next one" and got[:-1] == LINES[: len(got) - 1]
    assert len(got) - 1 >= max(said)


def test_what_is_written_offline_goes_out_later(pair):
    alice, bob = pair
    alice("--offline", "send", "team", "-", stdin=b"one\ntwo\n")
    pending = alice.rows("history", "team", "--offline")
    assert [(row["body"], row["tick"], "seq" in row) for row in pending if row["type"] == "message"] == [("one", "pending", False), ("two", "pending", False)]
    assert alice("history", "team", "--offline").text.endswith("  …\n")
    assert texts(bob) == []
    alice("send", "team", "three", "--wait", "committed")
    assert texts(bob) == ["one", "two", "three"]


def test_what_waits_is_listed_and_goes_out_with_any_command(pair):
    alice, bob = pair
    alice("--offline", "send", "team", "-", stdin=b"one\ntwo\n")
    rows = alice.rows("outbox")
    assert [(row["body"], row["tick"]) for row in rows] == [("one", "pending"), ("two", "pending")]
    assert [line.split()[0] for line in alice("outbox").text.splitlines()] == [row["client_id"] for row in rows]
    alice("outbox", "discard", "nonsense", code=2)
    alice("outbox", "discard", "0" * 32, code=1)
    alice("conversations")
    assert alice.rows("outbox") == []
    assert texts(bob) == ["one", "two"]


def test_what_was_not_sent_is_taken_back(pair):
    alice, bob = pair
    alice("--offline", "send", "team", "-", stdin=b"one\ntwo\nthree\n")
    alice("outbox", "discard", alice.rows("outbox")[1]["client_id"])
    assert "two" not in [row["body"] for row in alice.rows("outbox")]
    alice("send", "team", "four", "--wait", "committed")
    assert texts(bob) == ["one", "three", "four"]


def test_what_was_refused_stays_until_it_is_taken_back(pair):
    alice, bob = pair
    bob("conversations")
    alice("group", "remove", "team", "bob")
    bob("--offline", "send", "team", "am I still there?")  # bob does not know yet
    bob("conversations")
    (row,) = bob.rows("outbox")
    assert row["tick"] == "refused" and row["error"] in ("CHAT_E_NOT_FOUND", "CHAT_E_DENIED")
    bob("outbox", "discard", row["client_id"])
    assert bob.rows("outbox") == [] and texts(alice) == []


def test_a_signal_ends_a_send_in_order(pair):
    alice, bob = pair
    running = alice.start("send", "team", "-", "--json", stdin=subprocess.PIPE)
    with running:
        running.process.stdin.write(b"one\n")
        running.process.stdin.flush()
        running.wait_for_lines(1)
        assert running.end(signal.SIGINT) == 1
    assert texts(bob) == ["one"]
