# SPDX-License-Identifier: Apache-2.0
"""What people say stays out of the log and out of core dumps. (Tokens: test_tokens.py.)"""

import json
import re
import resource

import pytest
from chatd import Chatd
from cli import Person

BODY = "zebra crossing at midnight"
TITLE = "surprise party for carol"


def test_the_log_is_json_without_bodies_and_titles(tmp_path):
    with Chatd("--log-level=debug") as server:
        alice, bob = Person("alice", server, tmp_path), Person("bob", server, tmp_path)
        alice("group", "create", TITLE, "bob")
        alice("send", TITLE, BODY, "--wait", "committed")
        assert bob.said(TITLE) == [("alice", BODY)]
        bob("search", "zebra", "--server")
        server.kill()
        server.start()
        server.stop()
        log = server.log()
    for line in log.splitlines():
        assert {"ts", "level", "msg"} <= json.loads(line).keys()
    assert "server started" in log and "server stopped" in log
    assert BODY not in log and "zebra" not in log and TITLE not in log


def core_limit(server):
    with open(f"/proc/{server.pid}/limits", encoding="ascii") as limits:
        return re.search(r"Max core file size\s+(\S+)\s+(\S+)", limits.read()).groups()


def test_no_core_is_dumped_unless_asked():
    with Chatd() as server:
        assert core_limit(server) == ("0", "0")
    ours = tuple("unlimited" if value == resource.RLIM_INFINITY else str(value) for value in resource.getrlimit(resource.RLIMIT_CORE))
    with Chatd("--core-dumps") as server:
        assert core_limit(server) == ours
    if ours == ("0", "0"):
        pytest.skip("core dumps are forbidden here anyway: that --core-dumps allows them was not seen")
