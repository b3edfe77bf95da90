# SPDX-License-Identifier: Apache-2.0
"""People chat through a real chatd whose directory is on real Redis servers: what they say and see, what stands in Redis, and what is left of it when Redis is away (P7)."""

import re
import signal
import time

import pytest
from chatd import Chatd
from cli import DEADLINE_S, Person

FORMS = ["single", "shards", "cluster"]
HEARTBEAT_S = 1


def chatd(redis, **more):
    return Chatd(f"--directory={redis.url}", f"--heartbeat={HEARTBEAT_S}s", "--idle=30s", metrics=True, **more)


def figures(server):
    lines = [line for line in server.get("/metrics")[1].splitlines() if not line.startswith("#")]
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines}


def wait_for(what, condition):
    until = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < until, what
        time.sleep(0.1)


def arrives(listening, text):
    return listening.wait_for(lambda row: row["object"] == "message" and row.get("body") == text)


def is_live(listening):
    return listening.wait_for(lambda row: row["object"] == "state" and row["state"] == "live")


def keys_of(redis, pattern):
    """{key: server} of all of them."""
    return {key: number for number in range(redis.count) for key in redis.cli(number, "KEYS", pattern).split()}


@pytest.mark.parametrize("redis", FORMS, indirect=True)
def test_people_chat_and_redis_has_where_they_are(redis, tmp_path):
    with chatd(redis) as server:
        alice, bob = Person("alice", server, tmp_path), Person("bob", server, tmp_path)
        with bob.start("listen", "--json") as listening:
            is_live(listening)
            alice("send", "bob", "hello", "--wait", "delivered")
            arrives(listening, "hello")
            [member] = [row for row in alice.rows("presence", "bob") if row["user"] == "bob"]
            assert member["online"] and abs(int(member["seen_ms"]) - time.time() * 1000) < DEADLINE_S * 1000

            at = keys_of(redis, "*")
            assert {"presence:{bob}", "conn:{bob}", "pos:{bob}"} <= at.keys()
            number = at["conn:{bob}"]
            assert at["presence:{bob}"] == at["pos:{bob}"] == number
            assert 0 < int(redis.cli(number, "TTL", "presence:{bob}")) <= 30
            assert 30 < int(redis.cli(number, "TTL", "conn:{bob}")) <= 300
            assert int(redis.cli(number, "TTL", "pos:{bob}")) > 24 * 3600
            [route] = redis.cli(number, "HVALS", "conn:{bob}").splitlines()
            assert re.fullmatch(r"\d+ \d{13} [0-9a-f]+-0", route)
            assert int(redis.cli(number, "HGET", "pos:{bob}", "pos")) > 0
            found = figures(server)
            assert found['chat_directory_servers{state="connected"}'] == found['chat_directory_servers{state="known"}'] == redis.count
            assert found['chat_directory_steps_total{result="done"}'] > 5
            assert found['chat_directory_steps_total{result="failed"}'] == 0
        wait_for("bob leaves", lambda: "presence:{bob}" not in keys_of(redis, "presence:*"))


@pytest.mark.parametrize("redis", FORMS, indirect=True)
def test_who_comes_and_goes_is_told(redis, tmp_path):
    with chatd(redis) as server:
        alice, bob = Person("alice", server, tmp_path), Person("bob", server, tmp_path)
        alice("send", "bob", "hello", "--wait", "committed")
        with alice.start("listen", "bob", "--json") as listening:
            is_live(listening)
            with bob.start("listen", "--json") as other:
                is_live(other)
                listening.wait_for(lambda row: row["object"] == "presence" and row["user"] == "bob" and row["online"])
            listening.wait_for(lambda row: row["object"] == "presence" and row["user"] == "bob" and not row["online"])


@pytest.mark.parametrize("redis", FORMS, indirect=True)
def test_nothing_is_lost_with_redis(redis, tmp_path):
    """Killed, emptied, standing still: each message arrives, at the latest by a heartbeat, and live again when Redis is back. (Ticks are hints: they come when it is back.)"""
    with chatd(redis) as server:
        alice, bob = Person("alice", server, tmp_path), Person("bob", server, tmp_path)
        with bob.start("listen", "--json") as listening:
            is_live(listening)
            alice("send", "bob", "before", "--wait", "delivered")

            for number in range(redis.count):
                redis.kill(number)
            alice("send", "bob", "without")
            arrives(listening, "without")
            Person("carol", server, tmp_path)("send", "bob", "a new login")
            arrives(listening, "a new login")
            for number in range(redis.count):
                redis.start(number)
            wait_for("all are connected again", lambda: figures(server)['chat_directory_servers{state="connected"}'] >= redis.count)
            wait_for("bob's route is back", lambda: "conn:{bob}" in keys_of(redis, "conn:*"))
            live = figures(server)["chat_live_events_total"]
            alice("send", "bob", "again", "--wait", "delivered")
            wait_for("live again", lambda: figures(server)["chat_live_events_total"] > live)

            for number in range(redis.count):
                redis.cli(number, "FLUSHALL")
            alice("send", "bob", "emptied")
            arrives(listening, "emptied")
            wait_for("bob's route is back", lambda: "conn:{bob}" in keys_of(redis, "conn:*"))

            for number in range(redis.count):
                redis.signal(number, signal.SIGSTOP)
            alice("send", "bob", "standing")
            arrives(listening, "standing")
            for number in range(redis.count):
                redis.signal(number, signal.SIGCONT)
            alice("send", "bob", "after", "--wait", "delivered")
            arrives(listening, "after")
            assert len([row for row in listening.rows if row["object"] == "message"]) == 7


def test_it_starts_without_redis_and_finds_it_later(redis, tmp_path):
    redis.kill(0)
    with chatd(redis) as server:
        assert f"not reached yet: {redis.addresses[0]}" in server.log()
        alice, bob = Person("alice", server, tmp_path), Person("bob", server, tmp_path)
        with bob.start("listen", "--json") as listening:
            is_live(listening)
            alice("send", "bob", "early")
            arrives(listening, "early")
            redis.start(0)
            wait_for("bob is there", lambda: "conn:{bob}" in keys_of(redis, "*"))


def test_a_wrong_password_is_told_and_not_shown(redis):
    redis.cli(0, "CONFIG", "SET", "requirepass", "right")
    wrong = Chatd(f"--directory=redis://:hidden-word@{redis.addresses[0]}")
    with pytest.raises(RuntimeError) as refused:
        wrong.start()
    wrong.remove()
    assert "exit code 2" in str(refused.value)
    assert f"{redis.addresses[0]}: it does not accept the password of the url" in str(refused.value)
    assert "hidden-word" not in str(refused.value)
