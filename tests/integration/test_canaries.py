# SPDX-License-Identifier: Apache-2.0
"""That what must not be read is found where it stands (canaries.py), and that a chatd which talks as much as it can, and clients that fail in many ways, show none of it."""
import asyncio
import base64
import contextlib
import os
import signal
import subprocess
import sys
import time

import pytest

import canaries
from chatd import BUILD, ROOT, Chatd
from cli import Person
from jwt import Key, token
from wire import Closed, Connection, body_of, client_message, direct_id, frame, group_id, login, pb, uuid7

CANARY = b"canary-7f3a"
SECRET = os.urandom(32)


# --- the finder -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("planted", [
    CANARY, CANARY.hex().encode(), CANARY.hex().upper().encode(), *(base64.b64encode(b"x" * n + CANARY + b"yz") for n in range(3)),
], ids=["plain", "hex", "HEX", "base64", "base64, one before", "base64, two before"])
def test_a_canary_is_found(planted):
    assert canaries.found([("body", CANARY)], b"level=info msg=" + planted + b" end") == [("body", CANARY)]


def test_bytes_in_base64url_are_found():
    assert canaries.found([("key", SECRET)], b"{" + base64.urlsafe_b64encode(SECRET) + b"}") == [("key", SECRET)]


def test_a_signature_alone_gives_a_token_away():
    jwt = b"e30.e30." + base64.urlsafe_b64encode(SECRET).rstrip(b"=")
    assert canaries.found([("token", jwt)], b"bad signature " + jwt[8:]) == [("token", jwt)]


def test_nothing_is_found_where_nothing_is():
    assert canaries.found([("body", CANARY), ("key", SECRET)], b"level=info canary 7f3a " + os.urandom(10000)) == []


def run_check(folder):
    return subprocess.run([sys.executable, str(ROOT / "tests/canaries.py"), str(folder)], capture_output=True, text=True)


def test_the_check_fails_where_a_program_says_it(tmp_path):
    env = {**os.environ, "CHAT_CANARIES": str(tmp_path), "PYTHONPATH": str(ROOT / "tests")}

    def tell(code):
        subprocess.run([sys.executable, "-c", "import canaries; " + code], env=env, check=True)

    assert run_check(tmp_path).returncode == 1  # where nothing was looked at nothing was shown
    tell("canaries.sent('token', b'dev:zoe')")
    tell("canaries.said('chatd-log', 'user=zoe came in')")
    assert run_check(tmp_path).returncode == 0
    tell("canaries.said('chatd-log', 'token=dev:zoe came in')")
    done = run_check(tmp_path)
    assert done.returncode == 1 and "shows a token" in done.stdout, done.stdout


# --- a chatd that says all that it can -------------------------------------------------------------------------------------------------


def content(kind):
    return {1: pb.MessageContent(body=CANARY + b" body", meta=CANARY + b" meta", kind=b"text"), 2: pb.CreateContent(kind=2, title=CANARY + b" title", members=[b"bob"]),
            8: pb.TitleContent(title=CANARY + b" other title")}[kind].SerializeToString()


async def everything(url, keys):
    """Requests that are granted, refused and damaged, all of them with the canary wherever a client may put one."""
    good = token(keys[0], sub="ann", note=CANARY.decode())
    connection, _ = await login(url, good)
    created = pb.Send(client_id=uuid7(), client_seq=1, type=2, payload=content(2))
    created.conversation_id = group_id(b"ann", created.client_id)
    messages = [client_message(0, send=created)]
    for number, kind in ((2, 1), (3, 8), (3, 8)):
        messages.append(client_message(0, send=pb.Send(conversation_id=created.conversation_id, client_id=uuid7(), client_seq=number, prev=number - 1, type=kind, payload=content(kind))))
    messages.append(client_message(0, send=pb.Send(conversation_id=os.urandom(16), client_id=uuid7(), client_seq=1, retry=1, type=1, payload=content(1))))
    messages.append(client_message(0, send=pb.Send(conversation_id=direct_id(b"ann", b"bob"), client_id=uuid7(), client_seq=1, type=1, peer=b"bob", payload=content(1)[:-3])))
    await connection.put(*messages)
    for ask in (dict(search=pb.Search(query=CANARY, limit=10)), dict(search=pb.Search(query=CANARY * 100, limit=10)), dict(renew_token=pb.RenewToken(token=good + b"x")),
                dict(range=pb.Range(conversation_id=created.conversation_id, limit=10)), dict(get_members=pb.GetMembers(conversation_id=created.conversation_id, limit=1))):
        await connection.ask(**ask)
    for bad in (good[:-4], good + b"A", token(keys[1], header={"kid": "another"}), token(keys[0], exp=1), token(keys[0], header={"alg": "none"}), CANARY * 10, good.replace(b".", b" ")):
        async with await Connection.open(url) as other:
            assert body_of(await other.hello(bad))[0] == "error"
    for damaged in (frame(client_message(1, hello=pb.Hello(version=1, token=good)))[:-9], CANARY * 50):
        async with await Connection.open(url) as other:
            await other.socket.send(damaged)
            with contextlib.suppress(Closed):
                await other.read()
    return connection


def test_logs_and_metrics_show_nothing(tmp_path):
    keys = [Key(alg, f"key-{alg.lower()}", tmp_path) for alg in ("HS256", "ES256")]
    options = [f"--jwt-key={','.join(key.option for key in keys)}", "--log-level=debug"]

    async def run(chatd):
        connection = await everything(chatd.url, keys)
        chatd.signal(signal.SIGHUP)  # keys are read again
        keys[0].path.write_bytes(CANARY)  # too short: refused
        chatd.signal(signal.SIGHUP)
        end = time.monotonic() + 60
        while "keys or certificates are not good" not in chatd.log():
            assert time.monotonic() < end, chatd.log()
            await asyncio.sleep(0.05)
        chatd.kill()
        chatd_again = Chatd(*options[1:], folder=tmp_path, metrics=True)  # reads the log; others may come in now
        chatd_again.start()
        page = chatd_again.get("/metrics")[1] + chatd_again.get("/healthz")[1]
        assert chatd_again.stop() == 0
        await connection.close()
        return chatd.log() + page

    secrets = [("body", CANARY), *(("key", key.secret) for key in keys if key.alg == "HS256")]
    with Chatd(*options, dev_mode=False, folder=tmp_path, metrics=True) as chatd:
        shown = asyncio.run(run(chatd)).encode()
    assert b"chat_auth_failures_total" in shown and b"level" in shown, shown[:1000]
    assert canaries.found(secrets, shown) == []
    for stored in (tmp_path / "data").rglob("*"):  # what was sent is there, where it belongs: else nothing was shown above
        if stored.is_file() and CANARY + b" body" in stored.read_bytes():
            break
    else:
        raise AssertionError("the body never came to the server")
    assert not list(tmp_path.rglob("core*"))


def test_the_command_line_client_shows_nothing(server, tmp_path):
    """In its error texts: a token that is refused, texts that are too long, targets that are not there, a server that is away."""
    secret = "dev:" + CANARY.decode()
    ann = Person("ann", server, tmp_path)
    shown = b""
    text = (CANARY * 7000).decode()
    for args in (["login", "ws://127.0.0.1:1", secret, "--timeout", "1"], ["login", server.url, "jwt." + secret, "--timeout", "1"], ["login", server.url, secret, "--no-such-option"],
                 ["send", "bob", text], ["send", "no such group", CANARY.decode()], ["send", "--no-such-option", "bob", CANARY.decode()]):
        done = subprocess.run(ann.command(*args), capture_output=True, timeout=120)
        assert done.returncode != 0 or args[0] == "send", args
        shown += done.stderr
    server.kill()
    done = subprocess.run(ann.command("send", "bob", CANARY.decode(), "--timeout", "1"), capture_output=True, timeout=120)
    shown += done.stderr
    server.start()
    assert shown.count(b"\n") >= 5, shown
    assert CANARY not in shown, shown


def test_the_binding_shows_nothing(server, tmp_path):
    sys.path.insert(0, str(ROOT / "bindings/python"))
    if not (ROOT / "build/release/lib/libchat-client.so").exists():
        pytest.skip("the release build is not there")
    from people import client, done, until_live
    from libchat import ChatError

    shown = []
    with client(server, CANARY.decode(), tmp_path / "a.db") as ann:
        until_live(ann)
        for wrong in (lambda: done(ann.send(os.urandom(16), CANARY * 10000)), lambda: done(ann.search(CANARY.decode() * 200)), lambda: done(ann.create(CANARY.decode() * 100))):
            try:
                wrong()
            except (ChatError, ValueError) as error:
                shown.append(f"{error} {error!r}")
    assert len(shown) == 3
    assert not any(CANARY.decode() in text for text in shown), shown
