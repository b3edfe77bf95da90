# SPDX-License-Identifier: Apache-2.0
"""Tokens, keys and bodies: keys are read again at SIGHUP, and nothing secret is in the log or in a core dump."""

import base64
import hashlib
import hmac
import json
import re
import resource
import signal
import time

import pytest
from chatd import Chatd
from person import PATIENCE_S, Person

BODY = "zebra crossing at midnight"
TITLE = "surprise party for carol"


def jwt(secret, user, kid="k", **claims):
    def part(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    header = {"alg": "HS256", "typ": "JWT", "kid": kid}
    body = {"sub": user, "exp": int(time.time()) + 3600, **claims}
    signed = part(json.dumps(header).encode()) + b"." + part(json.dumps(body).encode())
    return (signed + b"." + part(hmac.digest(secret, signed, hashlib.sha256))).decode()


OLD, NEW = b"o" * 40, b"n" * 40


def lets_in(server, folder, token):
    """Whether a new device with that token is let in; what it has is its folder's."""
    stranger = Person.__new__(Person)
    stranger.home = folder
    done = stranger.try_to("login", server.url, token)
    assert done.returncode in (0, 4), done.stderr
    return done.returncode == 0


def await_log(server, text, count=1):
    until = time.monotonic() + PATIENCE_S
    while server.log().count(text) < count:
        assert time.monotonic() < until, server.log()
        time.sleep(0.05)


@pytest.fixture
def keyed(tmp_path):
    key = tmp_path / "key"
    key.write_bytes(OLD)
    with Chatd(f"--jwt-key=hs256:k:{key}", "--log-level=debug", dev_mode=False) as server:
        yield server, key


def test_keys_are_read_again_at_sighup(keyed, tmp_path):
    server, key = keyed
    with_old, with_new = jwt(OLD, "alice"), jwt(NEW, "alice")
    assert lets_in(server, tmp_path / "1", with_old) and not lets_in(server, tmp_path / "2", with_new)
    key.write_bytes(NEW)
    assert lets_in(server, tmp_path / "3", with_old)  # not before it is told
    server.signal(signal.SIGHUP)
    await_log(server, "read again")
    assert lets_in(server, tmp_path / "4", with_new) and not lets_in(server, tmp_path / "5", with_old)


def test_keys_that_are_not_good_leave_the_old_ones(keyed, tmp_path):
    server, key = keyed
    key.write_bytes(b"short")
    server.signal(signal.SIGHUP)
    await_log(server, "the old ones stay")
    assert str(key) in server.log() and server.running()
    assert lets_in(server, tmp_path / "1", jwt(OLD, "alice"))


def test_the_log_is_json_without_bodies_and_tokens(keyed, tmp_path):
    server, _ = keyed
    tokens = {name: jwt(OLD, name) for name in ("alice", "bob")}
    alice, bob = (Person(server, tmp_path, name, token) for name, token in tokens.items())
    alice("group", "create", TITLE, "bob")
    alice("send", TITLE, BODY, "--wait", "committed")
    assert BODY in bob("history", TITLE)
    wrong = jwt(NEW, "mallory")
    assert not lets_in(server, tmp_path / "wrong", wrong)
    expired = jwt(OLD, "late", exp=int(time.time()) - 3600)
    assert not lets_in(server, tmp_path / "late", expired)
    server.kill()
    server.start()
    server.stop()
    log = server.log()
    for line in log.splitlines():
        assert {"ts", "level", "msg"} <= json.loads(line).keys()
    assert "server started" in log and "server stopped" in log
    for secret in [BODY, TITLE, OLD.decode(), wrong, expired, *tokens.values()]:
        assert secret not in log
        assert secret.rsplit(".", 1)[-1] not in log  # a token's signature


def core_limit(server):
    with open(f"/proc/{server.pid}/limits", encoding="ascii") as limits:
        return re.search(r"Max core file size\s+(\S+)\s+(\S+)", limits.read()).groups()


def test_no_core_is_dumped_unless_asked(tmp_path):
    with Chatd() as server:
        assert core_limit(server) == ("0", "0")
    ours = tuple("unlimited" if value == resource.RLIM_INFINITY else str(value) for value in resource.getrlimit(resource.RLIMIT_CORE))
    with Chatd("--core-dumps") as server:
        assert core_limit(server) == ours
    if ours == ("0", "0"):
        pytest.skip("core dumps are forbidden here anyway: that --core-dumps allows them was not seen")
