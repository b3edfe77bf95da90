# SPDX-License-Identifier: Apache-2.0
"""Each command of `chat` through a real chatd: what it does, its JSON, its exit codes."""

import base64
import re
import sqlite3
import stat
import subprocess
import time
import uuid

import pytest
from chatd import ROOT
from cli import Person, eventually, live

HEX = re.compile(r"^[0-9a-f]{32}$")
NUMBER = re.compile(r"^(0|[1-9][0-9]*)$")


@pytest.fixture
def people(server, tmp_path):
    def make(*names):
        return [Person(name, server, tmp_path) for name in names]

    return make


# ------------------------------------------------------------------------------------------------ login, logout


def test_login_keeps_the_token_from_everybody_else(server, tmp_path):
    (tmp_path / "token").write_text("dev:alice\n")
    by_file, by_stdin = (Person("alice", server, tmp_path, login=False, profile=name) for name in ("one", "two"))
    shown = by_file("login", server.url, "--token-file", str(tmp_path / "token"))
    assert shown.text.startswith("alice at ") and "dev:alice" not in shown.text + shown.err
    by_stdin("login", server.url, "--token-file", "-", stdin=b"dev:alice\n")
    for person in by_file, by_stdin:
        assert stat.S_IMODE((person.home / "account").stat().st_mode) == 0o600
        assert stat.S_IMODE(person.home.stat().st_mode) == 0o700
        assert person.rows("whoami")[0]["user"] == "alice"
    devices = {person.rows("whoami")[0]["device"] for person in (by_file, by_stdin)}
    assert len(devices) == 2, "two profiles are two devices"


def test_a_profile_belongs_to_one_user(server, people):
    (alice,) = people("alice")
    assert "this profile is alice's" in alice("login", server.url, "dev:bob", code=4).err
    assert alice.rows("whoami")[0]["user"] == "alice", "a login that failed changes nothing"


def test_logout_gives_the_devices_back(people):
    alice, bob = people("alice", "bob")
    alice("send", "bob", "hello")
    second = Person("alice", None, alice.folder, login=False, profile="second")
    second("login", alice("whoami").text.split()[2].rstrip(","), "dev:alice")
    assert len([d for d in second.rows("devices") if not d["revoked"]]) == 2
    alice("logout")
    assert not alice.home.exists()
    assert len([d for d in second.rows("devices") if not d["revoked"]]) == 1
    alice("whoami", code=4)
    alice("logout", code=4)


# ------------------------------------------------------------------------------------------------ send, listen


def test_a_message_arrives_and_its_ticks_come_back(people):
    alice, bob = people("alice", "bob")
    with bob.start("listen", "--json", "--count", "1") as listening:
        listening.wait_for(live)
        sent = alice.rows("send", "bob", "hello  böb\ttab", "--wait", "delivered")
        row = listening.wait_for(lambda row: row["object"] == "message")
        assert listening.wait() == 0, listening.errors
    assert (row["sender"], row["body"], row["own"], row["type"]) == ("alice", "hello  böb\ttab", False, "message")
    for key in "seq", "msg_no", "message_id", "created_ms":
        assert NUMBER.match(row[key]), "64-bit numbers are strings"
    for key in "conversation", "client_id", "device":
        assert HEX.match(row[key])
    assert uuid.UUID(row["client_id"]).version == 7
    assert sent == [{"object": "sent", "line": "1", "conversation": row["conversation"], "client_id": row["client_id"], "seq": row["seq"], "stage": "committed"}]
    assert "tick" not in row, "not one's own"
    assert alice.rows("history", "bob")[0]["tick"] == "delivered"
    assert alice("history", "bob").text.endswith("  ✓✓\n")

    assert [c["unread"] for c in bob.rows("conversations")] == ["1"]
    bob("read", "alice")
    assert [c["unread"] for c in bob.rows("conversations")] == ["0"]
    assert eventually(lambda: {m["user"]: m["read"] for m in bob.rows("presence", "alice")}["bob"], row["seq"]) == row["seq"]
    assert alice.rows("history", "bob")[0]["tick"] == "read", "the first look shows the ticks of now"
    assert "✓✓ read" in alice("history", "bob").text


def test_waiting_for_read_ends_when_it_is_read(people):
    alice, bob = people("alice", "bob")
    alice("send", "bob", "one")
    with alice.start("send", "bob", "two", "--wait", "read", "--json") as sending:
        sending.wait_for(lambda row: row["object"] == "sent")
        time.sleep(0.5)
        assert sending.process.poll() is None, "nobody has read it"
        bob("read", "alice")
        assert sending.wait() == 0, sending.errors


def test_read_up_to_a_seq(people):
    alice, bob = people("alice", "bob")
    alice("send", "bob", "-", stdin=b"a\nb\nc\n")
    bob("history", "alice")
    bob("read", "alice", "2")
    assert bob.rows("conversations")[0]["unread"] == "1"
    bob("read", "alice", "1")
    assert bob.rows("conversations")[0]["read"] == "2", "forward only"
    bob("read", "alice", "x", code=2)


def test_a_pipe_is_one_message_a_line(people):
    alice, bob = people("alice", "bob")
    alice("group", "create", "team", "bob")
    lines = [f"line {i} ✓" for i in range(600)]
    text = "\n".join([lines[0], "", *lines[1:]])  # an empty line, and no newline at the end
    done = alice("send", "team", "-", "--json", "--wait", "committed", stdin=text.encode())
    assert [row["line"] for row in done.rows] == ["1"] + [str(i) for i in range(3, 602)]
    assert len({row["client_id"] for row in done.rows}) == 600
    assert bob.said("team") == [("alice", line) for line in lines]
    assert [row["body"] for row in bob.rows("history", "team", "--limit", "3")] == lines[-3:]


def test_whole_is_one_message(people):
    alice, bob = people("alice", "bob")
    alice("send", "bob", "-", "--whole", stdin=b"two\nlines\n")
    assert bob.said("alice") == [("alice", "two\nlines\n")]
    assert "two\\nlines\\n" in bob("history", "alice").text, "a message is one line"


def test_what_is_too_long_is_named_and_the_rest_is_sent(people):
    alice, bob = people("alice", "bob")
    most = b"x" * 65536
    done = alice("send", "bob", "-", code=1, stdin=most + b"\n" + most + b"y\nshort\n")
    assert "line 2 is longer than 65536 bytes" in done.err
    assert [len(text) for _, text in bob.said("alice")] == [65536, 5]


def test_bytes_that_are_not_text_are_base64(people):
    alice, bob = people("alice", "bob")
    body = b"\xff\x00\xfe raw"
    alice("send", "bob", "-", "--kind", "app/raw", stdin=body)
    (row,) = bob.rows("history", "alice")
    assert base64.b64decode(row["body_base64"]) == body and "body" not in row
    assert row["kind"] == "app/raw"
    assert "(app/raw) \\xff\\x00\\xfe raw" in bob("history", "alice").text


@pytest.mark.parametrize("evil", ["\x1b[2J\x1b]0;owned\x07", "a\rb", "a\x08\x7f", "\x9b31m", "abc\u202edef", "x\u2028y", "\u2066z"])
def test_what_others_write_cannot_drive_the_terminal(people, evil):
    alice, bob = people("alice", "bob")
    alice("send", "bob", "-", "--whole", stdin=evil.encode())
    alice("group", "create", evil, "bob")
    shown = bob("history", "alice").text + bob("conversations").text + bob("search", "*nothing*", code=0).text
    unsafe = [c for c in shown if (ord(c) < 0x20 and c != "\n") or 0x7F <= ord(c) <= 0x9F or c in "\u202e\u2028\u2066"]
    assert unsafe == []
    assert len(bob("history", "alice").text.splitlines()) == 1
    assert bob.said("alice") == [("alice", evil)], "--json gives it as it is"


def test_send_beside_listen_of_the_same_profile(people):
    alice, bob = people("alice", "bob")
    with alice.start("listen", "--json") as listening:
        listening.wait_for(live)
        alice("send", "bob", "from beside", "--wait", "committed")
        own = listening.wait_for(lambda row: row["object"] == "message")
        assert own["own"] is True and own["body"] == "from beside"
        assert sorted(path.name for path in alice.home.glob("*.db")) == ["0.db", "1.db"]
        assert listening.end() == 0
    alice("send", "bob", "again")
    assert sorted(path.name for path in alice.home.glob("*.db")) == ["0.db", "1.db"], "slots are used again"
    assert len({row["device"] for row in alice.rows("history", "bob")}) == 2
    assert bob.said("alice") == [("alice", "from beside"), ("alice", "again")]


def test_slots_are_bounded(people):
    (alice,) = people("alice")
    listening = [alice.start("listen", "--json") for _ in range(8)]
    try:
        for one in listening:
            one.wait_for(live)
        assert "as many as there may be" in alice("conversations", "--timeout", "1", code=1).err
        assert listening[3].end() == 0
        alice("conversations")
    finally:
        for one in listening:
            one.end()


def test_listen_to_some_only(people):
    alice, bob, carol = people("alice", "bob", "carol")
    alice("send", "bob", "before")
    with bob.start("listen", "--json", "--count", "1", "@alice") as listening:
        listening.wait_for(live)
        carol("send", "bob", "from carol")
        alice("send", "bob", "from alice")
        assert listening.wait() == 0
        assert [row["body"] for row in listening.rows if row["object"] == "message"] == ["from alice"]


def test_listen_tells_who_comes_and_goes(people):
    alice, bob = people("alice", "bob")
    alice("send", "bob", "hello")
    with alice.start("listen", "--json", "bob") as listening:
        listening.wait_for(live)
        listening.wait_for(lambda row: row["object"] == "presence" and row["user"] == "bob" and not row["online"])
        with bob.start("listen", "--json") as other:
            other.wait_for(live)
            listening.wait_for(lambda row: row["object"] == "presence" and row["user"] == "bob" and row["online"])


def test_listen_goes_on_over_a_restart_of_the_server(server, people):
    alice, bob = people("alice", "bob")
    with bob.start("listen", "--json", "--count", "2") as listening:
        listening.wait_for(live)
        alice("send", "bob", "before")
        listening.wait_for(lambda row: row["object"] == "message")
        server.kill()
        server.start()
        alice("send", "bob", "after")
        assert listening.wait() == 0
        assert [row["body"] for row in listening.rows if row["object"] == "message"] == ["before", "after"]


# ------------------------------------------------------------------------------------------------ history, search, verify


def test_pages_of_history(people):
    alice, bob = people("alice", "bob")
    alice("send", "bob", "-", "--wait", "committed", stdin=b"".join(b"%d\n" % i for i in range(1, 451)))

    def seqs(*args):
        return [int(row["seq"]) for row in bob.rows("history", "alice", *args)]

    assert seqs() == list(range(431, 451))
    assert seqs("--limit", "5", "--before", "100") == list(range(95, 100))
    assert seqs("--limit", "5", "--after", "100") == list(range(101, 106))
    assert seqs("--limit", "300") == list(range(151, 451))
    assert seqs("--limit", "300", "--before", "351") == list(range(51, 351))
    assert seqs("--limit", "300", "--after", "100") == list(range(101, 401))
    assert seqs("--all") == list(range(1, 451))
    assert [int(row["body"]) for row in bob.rows("history", "alice", "--all", "--offline")] == list(range(1, 451)), "all of it is here now"
    assert seqs("--before", "3") == [1, 2]
    assert seqs("--after", "450") == []
    bob("history", "alice", "--before", "3", "--after", "1", code=2)


def test_search_here_and_at_the_server(people):
    alice, bob = people("alice", "bob")
    alice("group", "create", "team", "bob")
    for name, text in ("bob", "Über den Wolken"), ("team", "uber alles langsam"), ("team", "nothing of that"):
        alice("send", name, text, "--wait", "committed")

    def found(wanted, *args):
        return eventually(lambda: sorted(row["body"] for row in alice.rows("search", *args)), wanted) == wanted

    both = ["uber alles langsam", "Über den Wolken"]
    assert found(both, "über")
    assert found(both, "uber", "--server")
    assert found(["Über den Wolken"], "wolk*")
    assert found(["uber alles langsam"], "langsam alles", "--in", "team")
    assert found(["nothing of that"], "that", "--server", "--in", "#team")
    assert alice.rows("search", "uber nowhere") == []
    assert len(alice.rows("search", "uber", "--limit", "1")) == 1
    alice("search", "", code=2)


def test_verify_repairs_what_was_lost_here(people):
    alice, bob = people("alice", "bob")
    alice("send", "bob", "-", "--wait", "committed", stdin=b"".join(b"%d\n" % i for i in range(300)))
    assert len(bob.said("alice")) == 300
    database = sqlite3.connect(bob.home / "0.db")
    with database:
        assert database.execute("DELETE FROM row WHERE seq IN (7, 100, 299)").rowcount == 3
    database.close()
    assert len(bob.said("alice", "--offline")) == 297
    (row,) = bob.rows("verify", "alice")
    assert (row["object"], row["compared"], row["repaired"]) == ("verified", "300", "3")
    assert [int(text) for _, text in bob.said("alice", "--offline")] == list(range(300))
    assert bob("verify", "alice").text == "300 compared, 0 repaired\n"


# ------------------------------------------------------------------------------------------------ groups


def members(person, name):
    return {row["user"]: row["role"] for row in person.rows("group", "info", name) if row["object"] == "member"}


def test_a_group_from_begin_to_end(people):
    alice, bob, carol = people("alice", "bob", "carol")
    (made,) = alice.rows("group", "create", "team", "bob")
    assert made["object"] == "created" and HEX.match(made["conversation"])
    alice("send", "team", "for bob alone")
    alice("group", "add", "team", "carol", "--role", "admin")
    assert members(bob, "team") == {"alice": "owner", "bob": "member", "carol": "admin"}
    carol("group", "rename", "team", "crew")
    alice("send", "crew", "for all")
    assert carol.said("crew") == [("alice", "for all")], "from joining on"
    assert bob.said("crew") == [("alice", "for bob alone"), ("alice", "for all")]

    alice("group", "role", "crew", "bob", "admin")
    alice("group", "role", "crew", "carol", "member")
    alice("group", "owner", "crew", "bob")
    assert members(alice, "crew") == {"alice": "admin", "bob": "owner", "carol": "member"}
    bob("group", "remove", "crew", "carol")
    alice("group", "leave", "crew")
    assert members(bob, "crew") == {"bob": "owner"}
    bob("send", "crew", "alone")
    assert "CHAT_E_NOT_FOUND" in carol("send", "crew", "may I?", code=1).err, "not a user who would be called crew"
    assert [row["body"] for row in carol.rows("history", made["conversation"]) if row["type"] == "message"] == ["for all"]
    types = [row["type"] for row in bob.rows("history", "crew", "--all") if row["type"] != "message"]
    assert types == ["create", "members_add", "title", "role", "role", "owner", "member_remove", "leave"]


def test_new_members_may_read_from_the_start(people):
    alice, bob, carol = people("alice", "bob", "carol")
    alice("group", "create", "open", "--from-start")
    alice("send", "open", "early")
    alice("group", "add", "open", "bob")
    assert bob.said("open") == [("alice", "early")]
    alice("group", "from-start", "open", "off")
    alice("group", "add", "open", "carol")
    assert carol.said("open") == []
    alice("group", "from-start", "open", "perhaps", code=2)


def test_a_group_becomes_a_channel(people):
    alice, bob = people("alice", "bob")
    alice("group", "create", "news", "bob")
    alice("group", "channel", "news")
    alice("group", "create", "wide", "--channel")
    assert {c["title"]: c["kind"] for c in alice.rows("conversations")} == {"news": "channel", "wide": "channel"}
    alice("send", "news", "read all about it")
    assert bob.said("news") == [("alice", "read all about it")]


# ------------------------------------------------------------------------------------------------ names


def test_what_conversations_are_called(people):
    alice, bob, carol = people("alice", "bob", "carol")
    bob("group", "create", "carol", "alice")  # a group that is called like a user
    alice("send", "@carol", "for her alone")
    alice("send", "#carol", "for the group")
    done = alice("send", "carol", "for whom?", code=1)
    assert "more than one" in done.err and len(re.findall(r"[0-9a-f]{32}", done.err)) == 2
    for line in done.err.splitlines()[1:]:
        alice("send", line.split()[1], f"by id to the {line.split()[2]}")
    assert carol.said("alice") == [("alice", "for her alone"), ("alice", "by id to the user")]
    assert bob.said("carol") == [("alice", "for the group"), ("alice", "by id to the group")]
    for name in "#nobody", "0" * 32:
        assert "no such conversation" in alice("send", name, "x", code=1).err
    assert "no such conversation" in alice("history", "nobody", code=1).err
    alice("send", "x" * 65, "too long for a user", code=2)


# ------------------------------------------------------------------------------------------------ presence, devices


def test_presence(people):
    alice, bob, carol = people("alice", "bob", "carol")
    alice("group", "create", "team", "bob", "carol")
    with bob.start("listen", "--json") as listening:
        listening.wait_for(live)
        online = {row["user"]: row["online"] for row in alice.rows("presence", "team")}
        assert online == {"alice": True, "bob": True, "carol": False}
        assert re.search(r"^online +member .* bob$", alice("presence", "team").text, re.M)


def test_a_revoked_device_is_shut_out(server, people):
    (alice,) = people("alice")
    other = Person("alice", server, alice.folder, profile="other")
    device = other.rows("whoami")[0]["device"]
    with other.start("listen", "--json") as listening:
        listening.wait_for(live)
        alice("devices", "revoke", device)
        assert listening.wait() == 4
    other("conversations", code=4)
    assert [row["revoked"] for row in alice.rows("devices") if row["device"] == device] == [True]
    alice("devices", "revoke", "nonsense", code=2)
    alice("devices", "revoke", "0" * 32, code=1)


# ------------------------------------------------------------------------------------------------ exit codes


@pytest.mark.parametrize(
    "args",
    [
        ["nonsense"],
        ["send"],
        ["send", "bob"],
        ["send", "bob", "x", "--wait", "forever"],
        ["send", "bob", "x", "--id", "../x"],
        ["listen", "--count", "0"],
        ["history", "bob", "--limit", "many"],
        ["history", "bob", "--count", "1"],
        ["group"],
        ["group", "create"],
        ["group", "role", "team", "bob", "king"],
        ["login", "ws://127.0.0.1:1"],
        ["login", "ws://127.0.0.1:1", "dev:a", "--token-file", "-"],
        ["conversations", "--timeout", "0"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_2(people, args):
    (alice,) = people("alice")
    alice("group", "create", "team", "bob")
    done = alice(*args, code=2)
    assert done.out == b"" and done.err


def test_not_logged_in_is_4(server, tmp_path):
    nobody = Person("nobody", server, tmp_path, login=False)
    assert "not logged in" in nobody("send", "bob", "x", code=4).err
    nobody("login", server.url, "wrong", code=4)
    nobody("conversations", code=4)


def test_refused_is_1(people):
    alice, bob = people("alice", "bob")
    alice("group", "create", "team", "bob")
    assert "CHAT_E_DENIED" in bob("group", "rename", "team", "mine", code=1).err
    assert "that is no group" in (alice("send", "bob", "x"), alice("group", "leave", "bob", code=1))[1].err


def test_unreachable_is_3(server, people):
    alice, bob = people("alice", "bob")
    alice("send", "bob", "hello")
    server.stop()
    assert "ws://127.0.0.1" in alice("send", "bob", "x", code=3).err
    alice("history", "bob", code=3)
    assert alice.said("bob", "--offline") == [("alice", "hello")]
    Person("carol", server, alice.folder, login=False)("login", server.url, "dev:carol", code=3)
    server.start()
    assert alice.said("bob") == [("alice", "hello")], "what failed was not sent later"


def test_late_is_5(people):
    alice, bob = people("alice", "bob")
    assert "0 of 1" in alice("listen", "--count", "1", "--timeout", "1", code=5).err
    alice("listen", "--timeout", "1", code=0)
    assert "not read in this time" in alice("send", "bob", "x", "--wait", "read", "--timeout", "1", code=5).err
    assert bob.said("alice") == [("alice", "x")]


def test_help_and_version(people):
    (alice,) = people("alice")
    text = alice("--help").text
    for name in "login", "send", "listen", "history", "search", "conversations", "group create", "read", "presence", "devices", "verify", "logout":
        assert re.search(rf"^  {name} ", text, re.M), name
        assert alice(*name.split(), "--help").text.startswith(f"usage: chat {name}")
    documented = (ROOT / "docs" / "cli.md").read_text()
    for option in re.findall(r"^  (--[a-z0-9-]+)", text, re.M):
        assert option in documented, option
    assert re.fullmatch(r"chat \d+\.\d+\.\d+\n", alice("--version").text)


def test_output_that_cannot_be_written_is_1(people):
    alice, bob = people("alice", "bob")
    alice("send", "bob", "-", stdin=b"".join(b"%d\n" % i for i in range(1000)))
    command = subprocess.list2cmdline(alice.command("history", "bob", "--all"))
    full = subprocess.run(["sh", "-c", f"{command} >/dev/full"], capture_output=True, timeout=120)
    assert full.returncode == 1 and b"standard output" in full.stderr
    head = subprocess.run(["sh", "-c", f"{command} | head -n 1"], capture_output=True, timeout=120)
    assert head.stderr == b"", "that head has seen enough is no error to speak of"
    assert head.stdout.count(b"\n") == 1
