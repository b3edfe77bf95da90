# SPDX-License-Identifier: Apache-2.0
"""A server inside this process, with hooks in Python, and clients that chat through it."""

import re

import pytest
from libchat import ChatError, Client, Error, EventType, Role, Tick, native
from libchat.server import Server
from people import bodies, done, eventually, timeline, until, until_live, until_message, until_type


def serve(tmp_path, **options):
    return Server(listen="127.0.0.1:0", metrics="", data=tmp_path / "data", drain="0ms", **{"dev_mode": True, **options})


def person(server, token, **options):
    return Client(f"ws://127.0.0.1:{server.port()}", token, **options)


def test_every_function_of_the_header_is_used():
    header = (native.SOURCE_INCLUDE / "chat" / "server.h").read_text()
    functions = set(re.findall(r"^CHAT_API .*?(chat_(?:server|ticket)_\w+)\(", header, re.MULTILINE))
    assert len(functions) > 15
    used = set(re.findall(r"lib\.(chat_\w+)", (native.PACKAGE / "server.py").read_text()))
    assert functions - used == set()


def test_clients_chat_through_it(tmp_path):
    with serve(tmp_path) as server, person(server, "dev:ann") as ann, person(server, "dev:ben") as ben:
        until_live(ann)
        conversation = done(ann.send_direct("ben", "inside")).conversation_id
        assert until_message(ben, "inside").sender == "ann"
        stored = done(server.history(conversation))
        assert [(event.seq, event.sender, event.body) for event in stored.stored] == [(1, "ann", b"inside")] and stored.head == 1
        assert "chat" in done(server.statistics()).text


def test_the_system_writes_and_rules(tmp_path):
    with serve(tmp_path) as server, person(server, "dev:cat") as cat:
        until_live(cat)
        group = done(server.create("cat", "House", ["dog"])).conversation_id
        until_type(cat, 2)
        done(server.send("system", "welcome", conversation_id=group, as_system=True, kind="notice", meta=b"m"))
        got = until_message(cat, "welcome")
        assert (got.sender, got.kind, got.meta) == ("system", "notice", b"m")
        done(server.add(group, "eel", Role.ADMIN))
        until_type(cat, 3)
        done(server.remove(group, "dog"))
        until_type(cat, 4)
        assert {member.user for member in done(cat.members(group)).members} == {"cat", "eel"}
        done(server.send("dog", "psst", peer="cat"))
        until_message(cat, "psst")
        assert done(server.disconnect("cat")).count == 1
        until_live(cat)
        done(server.revoke("cat", done(cat.whoami()).device_id))
        until(cat, lambda event: event.status == Error.REVOKED)


def test_hooks_decide(tmp_path):
    told = []

    def authenticate(ticket, login):
        if login.token == b"open sesame":
            ticket.answer_user("ali")
        else:
            ticket.answer(Error.AUTH)

    def before_log(ticket, incoming):
        ticket.answer(Error.DENIED if b"spam" in incoming.body else 0)

    def after_store(ticket, stored):
        told.append((stored.sender, stored.seq, stored.body))
        ticket.answer()

    hooks = {"authenticate": authenticate, "before_log": before_log, "after_store": after_store, "may": lambda ticket, asked: ticket.answer()}
    with serve(tmp_path, dev_mode=False, hooks=hooks) as server:
        with person(server, "guess") as stranger:
            until(stranger, lambda event: event.status == Error.AUTH)
        with person(server, "open sesame") as ali:
            until_live(ali)
            spam = done(ali.send_direct("ali", "spam")).client_id
            refused = until(ali, lambda event: event.type == EventType.OUTBOX and event.message.tick == Tick.REFUSED)
            assert refused.message.client_id == spam and refused.status == Error.DENIED
            conversation = done(ali.send_direct("ali", "ham")).conversation_id
            until_message(ali, "ham")
            # What is refused stays in the timeline, so that the person may try again.
            assert "ham" in bodies(timeline(ali, conversation))
            eventually(lambda: told, bool)
            assert told[0][0] == "ali" and told[0][2] == b"ham"


def test_a_hook_that_raises_denies_and_is_told(tmp_path):
    errors = []

    def authenticate(_ticket, _login):
        raise RuntimeError("a defect")

    with serve(tmp_path, dev_mode=False, hooks={"authenticate": authenticate}, on_error=errors.append) as server, person(server, "any") as anybody:
        eventually(lambda: errors, bool)
        assert str(errors[0]) == "a defect"
        until(anybody, lambda event: event.type == EventType.STATE and event.status < 0)


def test_options_and_start_say_what_is_wrong(tmp_path):
    with pytest.raises(ChatError, match="no-such-option"):
        Server(no_such_option=1)
    config = tmp_path / "chatd.conf"
    config.write_text("dev-mode = true\n")
    server = Server(listen="127.0.0.1:0", metrics="", data=tmp_path / "data")
    with pytest.raises(ChatError) as nobody:
        server.start()  # no way to authenticate
    assert nobody.value.code == Error.INVALID
    assert server.set_args(["--dev-mode", "rest"]) == ["rest"]
    server.set_environment({"CHATD_THREADS": "1", "OTHER": "x"})
    with pytest.raises(ChatError, match="threads"):
        server.set_environment({"CHATD_THREADS": "many"})
    server.set_file(config)
    server.start()
    server.reload()
    assert server.fileno() >= 0 and "listen" in Server.options()
    server.stop(30)
    server.close()
