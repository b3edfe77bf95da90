# SPDX-License-Identifier: Apache-2.0
"""Limits hold while somebody pushes against them, for the process and not for each of its threads; memory stays bounded; others are served.

Each address of 127.0.0.0/8 is one of its own here. Where a limit is counted the measured time is counted with it, so that a slow machine changes nothing."""
import asyncio
import os
import pathlib
import resource
import socket
import ssl
import time

import pytest

from certificates import Authority
from chatd import Chatd
from raw_websocket import BINARY, CONTINUATION, PING, PONG, RawSocket, upgrade, websocket_frame
from wire import DEADLINE_S, NUMBERS, Closed, Connection, body_of, client_message, frame, group_id, login, pb, uuid7, varint

THREADS = 4
MANY = 3000    # connections, above what one thread has places for handshakes
MIB = 1 << 20


def rss(chatd):
    """Bytes of the process that are in memory."""
    status = pathlib.Path(f"/proc/{chatd.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) * 1024


def cpu_s(chatd):
    fields = pathlib.Path(f"/proc/{chatd.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def address(number):
    return f"127.1.{number // 250}.{number % 250 + 1}"


# What AddressSanitizer keeps of freed memory, to find uses of it, is no growth of chatd's.
LEAN = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=4:thread_local_quarantine_size_kb=64"}


def limited(**rates):
    """chatd with limits for those named alone: a burst, and one a second."""
    options = [f"--threads={THREADS}"]
    for name in ("address", "user", "conversation"):
        burst = rates.get(name)
        options += [f"--limit-{name}-rate=60", f"--limit-{name}-burst={burst}"] if burst else [f"--limit-{name}-rate=0"]
    return Chatd(*options, limits=True)


class Counted:
    """How many a bucket of `burst`, which gains one a second, may have given by the end: that, and one at the edge."""

    def __init__(self, burst):
        self.burst, self.began = burst, time.monotonic()

    def check(self, given, tried):
        most = self.burst + int(time.monotonic() - self.began) + 1
        assert tried > 3 * self.burst, "this would show nothing"
        assert self.burst <= given <= most, f"{given} of {tried}, allowed are {self.burst} to {most}"


# --- token buckets, over four threads --------------------------------------------------------------------------------------------


async def is_let_in(chatd):
    async with await RawSocket.open(chatd.port) as raw:
        await raw.put(upgrade())
        try:
            return (await raw.head())[0] == 101
        except (asyncio.IncompleteReadError, ConnectionError):
            return False


def test_an_address():
    async def run(chatd):
        counted = Counted(20)
        given = sum(await asyncio.gather(*(is_let_in(chatd) for _ in range(200))))
        counted.check(given, 200)

    with limited(address=20) as chatd:
        asyncio.run(run(chatd))


async def logins(chatd, users):
    return [(await login(chatd.url, user))[0] for user in users]


async def close(connections):
    for connection in connections:
        await connection.close()


def test_a_user():
    """By twelve devices at once, whose connections the kernel has spread over the threads."""
    async def ask(connection):
        replies = [body_of(await connection.ask(list_devices=pb.ListDevices())) for _ in range(20)]
        assert {name for name, _ in replies} <= {"devices_reply", "error"}
        assert all(body.code == NUMBERS["AGAIN"] and body.retry_after_ms for name, body in replies if name == "error")
        return [name for name, _ in replies].count("devices_reply")

    async def run(chatd):
        devices = await logins(chatd, [b"dev:ann"] * 12)
        counted = Counted(40)
        given = sum(await asyncio.gather(*map(ask, devices)))
        counted.check(given, 12 * 20)
        other = await logins(chatd, [b"dev:bob"])  # has a bucket of its own
        assert body_of(await other[0].ask(list_devices=pb.ListDevices()))[0] == "devices_reply"
        await close(devices + other)

    with limited(user=40) as chatd:
        asyncio.run(run(chatd))


async def answer_to(connection, **send):
    await connection.put(client_message(0, send=pb.Send(client_id=uuid7(), **send)))
    while True:
        name, body = body_of(await connection.read())
        if name == "answer":
            return body


def test_a_conversation():
    """By twelve members."""
    users = [b"user-%d" % i for i in range(12)]

    async def push(connection, group):
        """A number that was not passed is sent again: 20 tries."""
        number = 1
        for _ in range(20):
            answer = await answer_to(connection, conversation_id=group, client_seq=number, prev=number - 1, retry=1,
                                     type=1, payload=pb.MessageContent(body=b"hello").SerializeToString())
            number += answer.code == pb.AnswerCode.ACCEPTED
            assert answer.code in (pb.AnswerCode.ACCEPTED, pb.AnswerCode.RETRY), answer
        return number - 1

    async def run(chatd):
        members = await logins(chatd, [b"dev:" + user for user in users])
        created = pb.Send(client_id=uuid7(), client_seq=1, type=2, payload=pb.CreateContent(kind=2, members=users[1:]).SerializeToString())
        created.conversation_id = group_id(users[0], created.client_id)
        counted = Counted(30)
        await members[0].put(client_message(1, send=created))
        while (await members[1].ask(get_members=pb.GetMembers(conversation_id=created.conversation_id, limit=1))).WhichOneof("body") == "error":
            await asyncio.sleep(0.02)
        given = sum(await asyncio.gather(*(push(member, created.conversation_id) for member in members[1:])))
        counted.check(given + 1, 11 * 20)
        await close(members)

    with limited(conversation=30) as chatd:
        asyncio.run(run(chatd))


# --- connections that come to nothing ------------------------------------------------------------------------------------------


def connect(chatd, number, data=b""):
    made = socket.socket()
    made.bind((address(number), 0))
    made.connect(("127.0.0.1", chatd.port))
    made.sendall(data)
    return made


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority")).certificate("good")


@pytest.mark.parametrize("data", [b"", bytes.fromhex("1603010200010001fc0303") + bytes(100)], ids=["silence", "half a ClientHello"])
def test_handshakes_from_many_addresses(certificate, data):
    """Their memory is bounded by the places for handshakes, and somebody honest gets in before they all have timed out."""
    context = ssl._create_unverified_context()

    async def honest(chatd):
        connection, _ = await login(f"wss://127.0.0.1:{chatd.port}", b"dev:honest", ssl=context)
        await connection.close()

    with Chatd(*certificate.options, env=LEAN) as chatd:
        asyncio.run(honest(chatd))
        before, flood = rss(chatd), []
        for number in range(MANY):
            flood.append(connect(chatd, number, data))
        asyncio.run(asyncio.wait_for(honest(chatd), DEADLINE_S))
        grown = rss(chatd) - before
        print(f"\n{MANY} that do not shake hands: {grown / MIB:.0f} MiB")
        assert grown < 2048 * 100 * 1024, f"{grown / MIB:.0f} MiB"  # 2,048 places of about 50 KB, and what AddressSanitizer puts around them
        for each in flood:
            each.close()
        asyncio.run(honest(chatd))


def test_no_descriptors_are_left():
    """What cannot be accepted waits and is not asked for in a circle; whoever is in is served; when some have left others get in."""
    async def run(chatd):
        inside, _ = await login(chatd.url, b"dev:inside")
        room = len(os.listdir(f"/proc/{chatd.pid}/fd")) + 20
        _, hard = resource.prlimit(chatd.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(chatd.pid, resource.RLIMIT_NOFILE, (room, hard))
        flood = [connect(chatd, number) for number in range(200)]
        await asyncio.sleep(0.5)
        assert len(os.listdir(f"/proc/{chatd.pid}/fd")) == room
        began_s = cpu_s(chatd)
        await asyncio.sleep(1)
        assert cpu_s(chatd) - began_s < 0.5  # a loop that spins takes all of it
        assert body_of(await inside.ask(heartbeat=pb.Heartbeat()))[0] == "heartbeat_reply"
        for each in flood:
            each.close()
        other, _ = await login(chatd.url, b"dev:other")
        await close([inside, other])
        resource.prlimit(chatd.pid, resource.RLIMIT_NOFILE, (hard, hard))

    with Chatd() as chatd:
        asyncio.run(run(chatd))


def test_bad_tokens_cost_an_address_its_connections():
    """Each bad Hello ends its connection, and connections are limited: so are the signatures that one address makes the server check."""
    async def try_in(chatd):
        try:
            async with await Connection.open(chatd.url) as connection:
                reply = await connection.hello(b"e30.e30." + b"A" * 8000)
                assert body_of(reply)[1].code == NUMBERS["AUTH"]
                with pytest.raises(Closed):
                    await connection.read()
                return True
        except (OSError, EOFError, Exception) as refused:  # websockets says it in several ways when the connection is closed before the upgrade
            if isinstance(refused, AssertionError):
                raise
            return False

    async def run(chatd):
        counted = Counted(20)
        tries = await asyncio.gather(*(try_in(chatd) for _ in range(150)))
        counted.check(sum(tries), 150)
        assert f"chat_auth_failures_total {sum(tries)}\n" in chatd.get("/metrics")[1]

    with Chatd(f"--threads={THREADS}", "--limit-address-rate=60", "--limit-address-burst=20", limits=True, metrics=True) as chatd:
        asyncio.run(run(chatd))


# --- a session that pushes ---------------------------------------------------------------------------------------------------------


async def raw_login(chatd, user):
    raw = await RawSocket.open(chatd.port)
    await raw.handshake()
    await raw.put_messages(client_message(1, hello=pb.Hello(version=1, token=b"dev:" + user)))
    await raw.messages(1)
    return raw


async def push_until(raw, data, seconds):
    """As fast as the server takes it; what it answers is not read. How many bytes it took."""
    end, taken = time.monotonic() + seconds, 0
    try:
        while time.monotonic() < end:
            raw.writer.write(data)
            await asyncio.wait_for(raw.writer.drain(), max(0.01, end - time.monotonic()))
            taken += len(data)
    except (asyncio.TimeoutError, ConnectionError):
        pass
    return taken


BEAT = frame(client_message(7, heartbeat=pb.Heartbeat()))
UNKNOWN = frame(b"\xfa\x06\x00")  # a body that nobody knows
WIDE = b"\x9a\x06" + varint(MIB - 16) + bytes(MIB - 16)  # one field that nobody knows


def full_of(message):
    return websocket_frame(BINARY, message * (MIB // 2 // len(message)))


# name: (what comes once, what comes again and again, whether the server ends it)
FLOODS = {
    "pings": (b"", websocket_frame(PING, b"p" * 125) * 500, True),
    "pongs": (b"", websocket_frame(PONG, b"p" * 125) * 500, True),
    "empty frames": (b"", websocket_frame(BINARY) * 5000, True),
    "a message in empty fragments": (websocket_frame(BINARY, fin=False), websocket_frame(CONTINUATION, fin=False) * 5000, True),
    "a message that grows by small fragments": (websocket_frame(BINARY, b"x", fin=False), websocket_frame(CONTINUATION, bytes(64), fin=False) * 1000, True),
    "heartbeats": (b"", full_of(BEAT), True),
    "requests that nobody knows": (b"", full_of(UNKNOWN), True),
    "frames of a MiB": (b"", websocket_frame(BINARY, frame(WIDE)), False),
}


@pytest.mark.parametrize("flood", FLOODS)
def test_a_session_that_pushes_and_does_not_read(flood):
    """Four of them for a second: memory stays bounded, and another user's heartbeats are answered meanwhile and after."""
    async def others(chatd, until):
        worst, connection = 0.0, (await login(chatd.url, b"dev:other"))[0]
        while time.monotonic() < until:
            began = time.monotonic()
            assert body_of(await connection.ask(heartbeat=pb.Heartbeat()))[0] == "heartbeat_reply"
            worst = max(worst, time.monotonic() - began)
            await asyncio.sleep(0.05)
        await connection.close()
        return worst

    first, again, is_ended = FLOODS[flood]

    async def run(chatd):
        pushing = [await raw_login(chatd, b"push-%d" % i) for i in range(4)]
        before, began_s = rss(chatd), cpu_s(chatd)
        for raw in pushing:
            await raw.put(first)
        worst, *taken = await asyncio.gather(others(chatd, time.monotonic() + 1.5), *(push_until(raw, again, 1) for raw in pushing))
        grown, cost_s = rss(chatd) - before, cpu_s(chatd) - began_s
        print(f"\n{flood}: {sum(taken) / MIB:.1f} MiB taken, {cost_s:.2f} s of CPU, {grown / MIB:.1f} MiB grown, another waited {worst * 1000:.0f} ms at most")
        # A message of 1 MiB comes in, 4 MiB may wait for a reader; buffers that grow are there twice for a moment, and an allocator keeps some.
        assert grown < 4 * 2 * 5 * MIB + 24 * MIB, f"{grown / MIB:.0f} MiB"
        assert worst < DEADLINE_S
        if is_ended:  # its last word is lost, where one pushes on; the tests of the gateway and test_garbage.py read it
            for raw in pushing:
                await raw.rest()
        for raw in pushing:
            raw.writer.transport.abort()
        connection, _ = await login(chatd.url, b"dev:after")
        await connection.close()

    with Chatd(env=LEAN) as chatd:
        asyncio.run(run(chatd))
