# SPDX-License-Identifier: Apache-2.0
"""Bytes that no client would send, at each level: TCP, HTTP, WebSocket, frames, protobuf, requests. Each kind gets what the table "Bad input" of docs/protocol.md says,
and while it goes on others are served: before and after each test two people chat through the same chatd, which must then end in order (and without a sanitizer's
finding)."""
import asyncio
import contextlib
import os
import random
import socket
import struct

import pytest

from chatd import Chatd
from raw_websocket import BINARY, CLOSE, CONTINUATION, PING, TEXT, RawSocket, upgrade, websocket_frame
from second_client import Client
from wire import ERRORS, NUMBERS, SUBPROTOCOL, Closed, Connection, body_of, client_message, direct_id, frame, group_id, login, pb, varint

HELLO_S = 2


@pytest.fixture(scope="module")
def chatd():
    with Chatd(f"--hello={HELLO_S}s", "--heartbeat=1s", "--idle=3s", "--devices-max=1000") as running:
        yield running


@contextlib.asynccontextmanager
async def others_are_served(chatd, folder):
    async def chat(n):
        sent = await ann.say_to(b"witness-bob", b"%d" % n)
        await ann.until(lambda: ann.state(sent) == "committed")

    ann = Client(folder / "witness.db", chatd.url, b"dev:witness-ann")
    await ann.connect()
    await chat(1)
    yield
    await ann.connect()  # its own session may have ended by the test's silence
    await chat(2)
    await ann.close()
    assert chatd.running()


def run(chatd, folder, test):
    async def whole():
        async with others_are_served(chatd, folder):
            await test()

    asyncio.run(whole())


# --- TCP and HTTP ------------------------------------------------------------------------------------------------------------

LONG = "x" * 100_000
NOT_HTTP = {
    "nothing": b"",
    "zeros": bytes(5000),
    "random": random.Random(1).randbytes(5000),
    "TLS": bytes.fromhex("16030100c8010000c40303") + random.Random(2).randbytes(200),
    "a line without end": b"GET /" + LONG.encode(),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no method": b"\r\n\r\n\r\n\r\n",
    "a request that is cut": upgrade()[:40],
}
REFUSED_HTTP = {
    "no upgrade": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "another path": upgrade("/elsewhere"),
    "a longer path": upgrade("/chat/room"),
    "a dotted path": upgrade("/../../etc/passwd"),
    "another subprotocol": upgrade(subprotocol="chat.v2"),
    "no subprotocol": upgrade(subprotocol=None),
    "POST": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
    "no key": upgrade(Sec_WebSocket_Key=None),
}


def test_what_is_not_http_is_ended(chatd, tmp_path):
    async def answer(data):
        async with await RawSocket.open(chatd.port) as raw:
            await raw.put(data)
            return await raw.rest()

    async def test():
        got = await asyncio.gather(*map(answer, NOT_HTTP.values()))  # at once: some end only by their deadline
        assert not {what: data for what, data in zip(NOT_HTTP, got) if b" 101 " in data}

    run(chatd, tmp_path, test)


@pytest.mark.parametrize("what", REFUSED_HTTP)
def test_http_that_is_no_upgrade_of_ours_is_refused(chatd, tmp_path, what):
    async def test():
        async with await RawSocket.open(chatd.port) as raw:
            await raw.put(REFUSED_HTTP[what])
            got = await raw.rest()
            assert b" 101 " not in got
            assert got == b"" or got.split(b" ")[1][:1] == b"4", got[:100]

    run(chatd, tmp_path, test)


@pytest.mark.parametrize("path", ["/", "/chat", "/chat?a=b"])
def test_our_paths_are_upgraded(chatd, path):
    """Else the test above could not fail."""
    async def test():
        async with await RawSocket.open(chatd.port) as raw:
            await raw.put(upgrade(path, subprotocol=f"other, {SUBPROTOCOL}"))
            status, headers = await raw.head()
            assert status == 101 and b"chat.v1" in headers and b"permessage-deflate" not in headers

    asyncio.run(test())


def test_a_request_byte_by_byte_runs_out_of_time(chatd, tmp_path):
    """Slow loris: 200 of them do not keep others out, and all are ended though each byte comes in time."""
    async def drip(raw):
        request = upgrade().replace(b"\r\n\r\n", b"\r\nX-More: " + b"x" * 1500)
        for byte in request:
            if raw.reader.at_eof():
                return
            await raw.put(bytes([byte]))
            await asyncio.sleep(0.1)
        raise AssertionError("a request may take minutes")

    async def test():
        raws = await open_many(200, lambda: RawSocket.open(chatd.port))
        drips = [asyncio.create_task(drip(raw)) for raw in raws]
        connection, _ = await login(chatd.url, b"dev:meanwhile")
        await connection.close()
        await asyncio.gather(*(raw.rest(600) for raw in raws), *drips)

    run(chatd, tmp_path, test)


# --- silence -----------------------------------------------------------------------------------------------------------------


async def open_many(count, make):
    return [made for _ in range(0, count, 50) for made in await asyncio.gather(*(make() for _ in range(50)))]


def test_a_thousand_that_say_nothing_are_sent_away(chatd, tmp_path):
    """With a WebSocket and no Hello: Goodbye(TIMEOUT). Meanwhile somebody logs in and is answered."""
    async def quiet():
        raw = await RawSocket.open(chatd.port)
        await raw.handshake()
        return raw

    async def test():
        raws = await open_many(1000, quiet)
        connection, _ = await login(chatd.url, b"dev:meanwhile")
        assert body_of(await connection.ask(sync=pb.Sync()))[0] == "sync_reply"
        await connection.close()
        for got in await asyncio.gather(*(raw.messages() for raw in raws)):
            assert [(name, body.code) for name, body in map(body_of, got)] == [("goodbye", NUMBERS["TIMEOUT"])]
        for raw in raws:
            raw.writer.transport.abort()

    run(chatd, tmp_path, test)


def test_connections_without_a_byte_are_ended_and_keep_nobody_out(chatd, tmp_path):
    """Somebody logs in while they all stand: tried a few times, since on a slow machine their time may be up before."""
    async def attempt():
        raws = await open_many(1500, lambda: RawSocket.open(chatd.port))
        ends = [asyncio.create_task(raw.rest()) for raw in raws]
        connection, _ = await login(chatd.url, b"dev:meanwhile")
        all_stood = not any(end.done() for end in ends)
        await connection.close()
        for got in await asyncio.gather(*ends):
            assert b" 101 " not in got
        return all_stood

    async def test():
        for _ in range(3):
            if await attempt():
                return
        raise AssertionError("nobody came in before they were gone")

    run(chatd, tmp_path, test)


def test_a_session_that_falls_silent_is_ended(chatd, tmp_path):
    """Half open: the peer is gone without a word; nothing but pings of WebSocket, which do not count."""
    async def test():
        async with await RawSocket.open(chatd.port) as raw:
            await raw.handshake()
            await raw.put_messages(client_message(1, hello=pb.Hello(version=1, token=b"dev:silent")))

            async def ping():
                while not raw.reader.at_eof():
                    await raw.put(websocket_frame(PING, b"still here"))
                    await asyncio.sleep(0.3)

            pings = asyncio.create_task(ping())
            got = [(name, getattr(body, "code", 0)) for name, body in map(body_of, await raw.messages())]
            assert got == [("welcome", 0), ("goodbye", NUMBERS["TIMEOUT"])]
            pings.cancel()

    run(chatd, tmp_path, test)


def test_one_that_resets_at_once(chatd, tmp_path):
    async def test():
        for data in [b"", upgrade()[:30], upgrade()] * 30:
            raw = socket.create_connection(("127.0.0.1", chatd.port))
            raw.sendall(data)
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            raw.close()  # RST

    run(chatd, tmp_path, test)


def test_more_connections_of_one_address_than_allowed():
    """They are closed before anything is read; who has one keeps it, and others come in."""
    async def test():
        kept = await Connection.open(limited.url)
        for _ in range(10):
            async with await RawSocket.open(limited.port) as raw:
                await raw.put(upgrade())
                assert await raw.rest() == b""
        assert body_of(await kept.hello(b"dev:kept"))[0] == "welcome"
        other, _ = await login(limited.url, b"dev:other", local_addr=("127.0.0.2", 0))
        await other.close()
        await kept.close()

    with Chatd("--limit-address-rate=1", "--limit-address-burst=1", limits=True) as limited:
        asyncio.run(test())


def test_more_connections_than_the_server_has_room_for():
    """Closed likewise; when one has left there is room again."""
    async def test():
        first, second = [await login(full.url, user) for user in (b"dev:ann", b"dev:bob")]
        async with await RawSocket.open(full.port) as raw:
            await raw.put(upgrade())
            assert await raw.rest() == b""
        await second[0].close()
        third, _ = await login(full.url, b"dev:carol")
        assert body_of(await first[0].ask(heartbeat=pb.Heartbeat()))[0] == "heartbeat_reply"
        await first[0].close()
        await third.close()

    with Chatd("--sessions-max=2") as full:
        asyncio.run(test())


# --- WebSocket ---------------------------------------------------------------------------------------------------------------

BEAT = frame(client_message(7, heartbeat=pb.Heartbeat()))
SYNC = frame(client_message(8, sync=pb.Sync()))


def as_fragments(payload, size, between=b""):
    parts = [payload[i:i + size] for i in range(0, len(payload), size)] or [b""]
    return b"".join(websocket_frame(BINARY if i == 0 else CONTINUATION, part, fin=i == len(parts) - 1) + between for i, part in enumerate(parts))


# What comes, and the code of the Goodbye that must come back; None: the WebSocket itself is broken and is closed without one.
BROKEN = {
    "text": (websocket_frame(TEXT, b"hello"), "PROTOCOL"),
    "text in fragments": (websocket_frame(TEXT, b"hel", fin=False) + websocket_frame(CONTINUATION, b"lo"), "PROTOCOL"),
    "text, empty": (websocket_frame(TEXT, b""), "PROTOCOL"),
    "not masked": (websocket_frame(BINARY, BEAT, masked=False), None),
    "a longer length than needed": (websocket_frame(BINARY, BEAT)[:1] + b"\xfe\0\x01" + bytes(5), None),
    "reserved opcode": (websocket_frame(3, BEAT), None),
    "reserved control opcode": (websocket_frame(11, b""), None),
    "reserved bits": (websocket_frame(BINARY, BEAT, rsv=4), None),
    "continues nothing": (websocket_frame(CONTINUATION, BEAT), None),
    "ping of 200 bytes": (websocket_frame(PING, bytes(200)), None),
    "ping in fragments": (websocket_frame(PING, b"x", fin=False), None),
    "length of 2^63": (websocket_frame(BINARY, b"x" * 100, length=1 << 63), None),
    "1 MiB and a byte": (websocket_frame(BINARY, bytes((1 << 20) + 1)), "TOO_LARGE"),
    "1 MiB and a byte, in fragments": (as_fragments(bytes((1 << 20) + 1), 4096), "TOO_LARGE"),
    "2^40 bytes announced": (websocket_frame(BINARY, bytes(2 << 20), length=1 << 40), "TOO_LARGE"),
    "close with a text that is none": (websocket_frame(CLOSE, b"\x03\xe8\xff\xfe"), None),
    "close with half a code": (websocket_frame(CLOSE, b"\x03"), None),
}


@pytest.mark.parametrize("what", BROKEN)
def test_broken_websocket_frames_end_the_session(chatd, tmp_path, what):
    data, code = BROKEN[what]

    async def test():
        for logged_in in (False, True):
            async with await RawSocket.open(chatd.port) as raw:
                await raw.handshake()
                if logged_in:
                    await raw.put_messages(client_message(1, hello=pb.Hello(version=1, token=b"dev:mallory")))
                    assert body_of((await raw.messages(1))[0])[0] == "welcome"
                await raw.put(data)
                got = [(name, ERRORS[body.code]) for name, body in map(body_of, await raw.messages())]
                assert got == ([("goodbye", code)] if code else []), got

    run(chatd, tmp_path, test)


def test_fragments_are_put_together(chatd, tmp_path):
    """Also with pings between them, and byte by byte."""
    async def test():
        async with await RawSocket.open(chatd.port) as raw:
            await raw.handshake()
            await raw.put(as_fragments(frame(client_message(1, hello=pb.Hello(version=1, token=b"dev:fragments"))), 1, websocket_frame(PING, b"p")))
            assert body_of((await raw.messages(1))[0])[0] == "welcome"
            await raw.put(websocket_frame(BINARY, b"", fin=False) + websocket_frame(CONTINUATION, SYNC) + websocket_frame(BINARY, b""))
            for byte in websocket_frame(BINARY, SYNC):
                await raw.put(bytes([byte]))
            assert [body_of(m)[0] for m in await raw.messages(2)] == ["sync_reply"] * 2

    run(chatd, tmp_path, test)


def test_a_frame_of_1_mib_is_taken(chatd, tmp_path):
    """The longest one that the limits allow, of unknown fields."""
    async def test():
        connection, _ = await login(chatd.url, b"dev:large")
        head = client_message(9, heartbeat=pb.Heartbeat()).SerializeToString()
        padding = (1 << 20) - len(head) - 3 - 5
        message = head + b"\xfa\x07" + varint(padding) + bytes(padding)  # field 127
        data = frame(message)
        assert len(data) <= 1 << 20 < len(data) + 8
        await connection.socket.send(data)
        assert body_of(await connection.reply(9))[0] == "heartbeat_reply"
        await connection.close()

    run(chatd, tmp_path, test)


# --- frames and protobuf -----------------------------------------------------------------------------------------------------

HEARTBEAT = client_message(7, heartbeat=pb.Heartbeat()).SerializeToString()
NO_MESSAGES = {
    "a length alone": b"\x05",
    "a message that is cut": frame(HEARTBEAT)[:-1],
    "a length of 11 bytes": b"\xff" * 10 + b"\x01" + HEARTBEAT,
    "a length of 2^32": varint(1 << 32) + HEARTBEAT,
    "a length of 2^63": varint(1 << 63) + HEARTBEAT,
    "a length that never ends": b"\x80\x80\x80",
    "wire type 3 (group)": frame(b"\x0b\x0c"),
    "wire type 7": frame(b"\x0f"),
    "field 0": frame(b"\x00\x00"),
    "a field that is cut": frame(b"\x0a\x7f"),
    "a tag of 80 bits": frame(b"\x08" + b"\xff" * 10 + b"\x01"),
    "random": random.Random(3).randbytes(1000),
    "0xff": b"\xff" * 1000,
}


@pytest.mark.parametrize("what", NO_MESSAGES)
def test_what_is_no_message_ends_the_session(chatd, tmp_path, what):
    """What stood before it in the same frame is answered."""
    async def test():
        async with await RawSocket.open(chatd.port) as raw:
            await raw.handshake()
            await raw.put_messages(client_message(1, hello=pb.Hello(version=1, token=b"dev:mallory")))
            await raw.messages(1)
            await raw.put(websocket_frame(BINARY, frame(client_message(2, confirm_session=pb.ConfirmSession(device_session=77))) + NO_MESSAGES[what]))
            got = [(name, ERRORS[body.code]) for name, body in map(body_of, await raw.messages())]
            assert got == [("error", "INVALID"), ("goodbye", "PROTOCOL")]

    run(chatd, tmp_path, test)


def test_mutated_frames_harm_nobody(chatd, tmp_path):
    """2,000 valid messages with bytes changed, cut out, doubled; a session that ends by it is followed by another. The seed is printed where it fails."""
    seed = int(os.environ.get("CHAT_GARBAGE_SEED", "20260101"))

    async def test():
        dice = random.Random(seed)
        raw, reading, sessions = None, None, 0
        for _ in range(2000):
            user = b"mutator-%d" % (sessions // 500)  # a user has at most 1000 devices here
            data = mutated(dice, frame(*dice.sample(valid_messages(user), dice.randint(1, 3))))
            if not reading or reading.done():
                raw, sessions = await logged_in(chatd, user), sessions + 1
                reading = asyncio.create_task(raw.rest())
            await raw.put(websocket_frame(BINARY, data))
            await asyncio.sleep(0.001)
        raw.writer.transport.abort()
        await reading
        assert sessions > 100, "most of it was not read"

    print("seed", seed)
    run(chatd, tmp_path, test)


async def logged_in(chatd, user):
    raw = await RawSocket.open(chatd.port)
    await raw.handshake()
    await raw.put_messages(client_message(1, hello=pb.Hello(version=1, token=b"dev:" + user)))
    assert body_of((await raw.messages(1))[0])[0] == "welcome"
    return raw


def valid_messages(user):
    where, group = direct_id(user, b"bob"), group_id(user, bytes(16))
    return [client_message(1, send=pb.Send(conversation_id=where, client_id=b"\x07" * 16, client_seq=1, type=1, peer=b"bob",
                                           payload=pb.MessageContent(body=b"hello").SerializeToString())),
            client_message(2, send=pb.Send(conversation_id=group, client_id=bytes(16), client_seq=1, type=2,
                                           payload=pb.CreateContent(kind=2, members=[b"a", b"b"]).SerializeToString())),
            client_message(3, sync=pb.Sync(position=5)),
            client_message(4, range=pb.Range(conversation_id=where, high=9, limit=10)),
            client_message(5, receipt=pb.Receipt(conversation_id=where, delivered=3, read=2)),
            client_message(6, get_receipts=pb.GetReceipts(conversation_ids=[where, group])),
            client_message(7, get_members=pb.GetMembers(conversation_id=where, limit=10)),
            client_message(8, search=pb.Search(query=b"hello wor*", limit=10)),
            client_message(9, watch=pb.Watch(conversation_id=where)),
            client_message(10, set_typing=pb.SetTyping(conversation_id=where, typing=1)),
            client_message(11, list_devices=pb.ListDevices()),
            client_message(12, heartbeat=pb.Heartbeat()),
            client_message(13, renew_token=pb.RenewToken(token=b"dev:" + user))]


def mutated(dice, data):
    data = bytearray(data)
    for _ in range(dice.randint(1, 4)):
        at = dice.randrange(len(data))
        kind = dice.randrange(4)
        if kind == 0:
            data[at] = dice.randrange(256)
        elif kind == 1:
            del data[at:at + dice.randint(1, 8)]
        elif kind == 2:
            data[at:at] = data[at:at + dice.randint(1, 32)]
        else:
            data[at] ^= 1 << dice.randrange(8)
        if not data:
            return b"\x00"
    return bytes(data)
