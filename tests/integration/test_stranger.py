# SPDX-License-Identifier: Apache-2.0
"""P9: to somebody who is not a member, what is there and what is not look alike, byte for byte; and nobody gets anything before Welcome.

The opcodes are read from proto/chat.proto: one without a row here fails. A row makes the same request of two kinds of target, one that exists and belongs to
others and one that does not exist. The answers, tags and the guessed id itself apart, must be the same bytes; and to show that they would differ if the server
told more, somebody who may is asked too."""
import asyncio
import os

import pytest

from chatd import Chatd
from second_client import Client
from wire import NUMBERS, Closed, Connection, body_of, client_message, direct_id, login, pb

OPCODES = [field.name for field in pb.ClientMessage.DESCRIPTOR.oneofs_by_name["body"].fields]
EVENT_TYPES = range(0, 13)  # none, the eleven of docs/protocol.md, one that no server knows yet


class World:
    """A conversation of ann and bob, of both kinds, and a stranger."""

    def __init__(self, url):
        self.url = url

    async def make(self, folder):
        self.ann = Client(folder / "ann.db", self.url, b"dev:ann")
        await self.ann.connect()
        self.group = await self.ann.create(b"team", b"bob")
        self.direct = direct_id(b"ann", b"bob")
        sent = [await self.ann.say(self.group, b"a secret word"), await self.ann.say_to(b"bob", b"another secret")]
        await self.ann.until(lambda: all(self.ann.state(m) == "committed" for m in sent) and self.ann.in_step())
        self.device = self.ann.welcome.device_id
        self.session = self.ann.welcome.device_session
        self.stranger, self.welcome = await login(self.url, b"dev:eve")
        self.member, _ = await login(self.url, b"dev:ann")  # asked the same, to see what a member is told

    async def close(self):
        for each in (self.ann, self.stranger, self.member):
            await each.close()


def invented(real):
    """An id of the same kind that does not exist."""
    return real[:1] + os.urandom(15)


# --- requests: (world, id) → body of ClientMessage -------------------------------------------------------------------------


def by_conversation(name, message, **fields):
    return lambda world, target: {name: message(conversation_id=target, **fields)}


def payload_of(kind):
    content = {1: pb.MessageContent(body=b"hi"), 2: pb.CreateContent(kind=2), 3: pb.MembersAddContent(users=[b"eve"]), 4: pb.MemberRemoveContent(user=b"bob"),
               6: pb.RoleContent(user=b"bob", role=2), 7: pb.OwnerContent(user=b"bob"), 8: pb.TitleContent(title=b"mine"),
               9: pb.SettingsContent(history_from_start=1), 11: pb.DeviceRetiredContent(device_id=os.urandom(16))}.get(kind)
    return content.SerializeToString() if content else b""


def send(number, kind, retry, discard, peer):
    """Each row has a number of its own, since a retry that is refused uses its number up."""
    return lambda world, target: {"send": pb.Send(conversation_id=target, client_id=b"\x01" * 16, client_seq=number, retry=retry, discard=discard, type=kind,
                                                  payload=payload_of(kind), peer=peer)}


# --- rows ------------------------------------------------------------------------------------------------------------------

GROUP, DIRECT, DEVICE = (lambda w: w.group), (lambda w: w.direct), (lambda w: w.device)


class Row:
    """`target` gives the id that exists. `differs`: a member is answered otherwise. `expected`: what the stranger is told."""

    def __init__(self, name, request, target=GROUP, differs=True, expected=None):
        self.name, self.request, self.target, self.differs, self.expected = name, request, target, differs, expected


def send_rows():
    """Every type, as a first try, as a retry and as a void; into a group, and into the direct conversation of two others."""
    rows, number = [], 0
    for kind in EVENT_TYPES:
        for retry, discard in ((0, 0), (1, 0), (1, 1)):
            for target, peer in ((GROUP, b""), (DIRECT, b"bob")):
                number += 1
                rows.append(Row(f"type {kind}, retry {retry}, discard {discard}, to {peer or b'the group'}", send(number, kind, retry, discard, peer), target,
                                differs=kind == 1 and not retry))
    return rows


ROWS = {
    "hello": [],         # test_hello_with_the_device_of_another
    "confirm_session": [Row("confirm", lambda w, target: {"confirm_session": pb.ConfirmSession(device_session=int.from_bytes(target[:4], "big") + 1000)},
                            DEVICE, differs=False, expected="INVALID")],
    "renew_token": [],   # test_a_token_of_another_user
    "heartbeat": [],     # names nothing: test_what_names_nothing_shows_nothing
    "send": send_rows(),
    "sync": [],          # names nothing
    "range": [Row("range", by_conversation("range", pb.Range, limit=200), expected="NOT_FOUND"),
              Row("newest", by_conversation("range", pb.Range, limit=200, newest_first=1), DIRECT, expected="NOT_FOUND")],
    "receipt": [Row("receipt", by_conversation("receipt", pb.Receipt, delivered=1, read=1), expected="NOT_FOUND"),
                Row("direct", by_conversation("receipt", pb.Receipt, delivered=1, read=1), DIRECT, expected="NOT_FOUND")],
    "get_receipts": [Row("receipts", lambda w, target: {"get_receipts": pb.GetReceipts(conversation_ids=[target])})],
    "get_members": [Row("members", by_conversation("get_members", pb.GetMembers, limit=256), expected="NOT_FOUND"),
                    Row("direct", by_conversation("get_members", pb.GetMembers, limit=256), DIRECT, expected="NOT_FOUND")],
    "search": [Row("search", by_conversation("search", pb.Search, query=b"secret", limit=10), differs=False)],
    "watch": [Row("watch", by_conversation("watch", pb.Watch), expected="NOT_FOUND"),
              Row("stop", by_conversation("watch", pb.Watch, stop=1), differs=False)],
    "set_typing": [Row("start", by_conversation("set_typing", pb.SetTyping, typing=1), expected="NOT_FOUND"),
                   Row("stop", by_conversation("set_typing", pb.SetTyping), DIRECT, expected="NOT_FOUND")],
    "list_devices": [],  # names nothing
    "revoke_device": [Row("revoke", lambda w, target: {"revoke_device": pb.RevokeDevice(device_id=target)}, DEVICE, differs=False, expected="NOT_FOUND")],
}


def test_every_opcode_has_rows():
    assert sorted(OPCODES) == sorted(ROWS)


# --- asking ------------------------------------------------------------------------------------------------------------------


def ends(message, tag):
    name, body = body_of(message)
    if message.tag == tag and name != "answer":
        return True
    return name == "verdict" or name == "live" or name == "answer" and body.code != pb.AnswerCode.ACCEPTED


async def answers(connection, body, target):
    """All that comes back, up to what ends the request, with the tag and the id taken out."""
    tag = connection.next_tag()
    await connection.put(client_message(tag, **body))
    got = []
    while True:
        message = await connection.read()
        done = ends(message, tag)
        message.tag = 0
        got.append(message.SerializeToString().replace(target, b"_" * len(target)))
        if done:
            return got


def error_of(data):
    name, body = body_of(pb.ServerMessage.FromString(data))
    return body.code if name == "error" else body.error if name in ("answer", "verdict") else None


@pytest.fixture
def world(server, tmp_path):
    return lambda: World(server.url), tmp_path


async def make(world):
    new, folder = world
    made = new()
    await made.make(folder)
    return made


@pytest.mark.parametrize("opcode", [opcode for opcode in OPCODES if ROWS.get(opcode)])
def test_what_exists_and_what_does_not_look_alike(world, opcode):
    async def run():
        w = await make(world)
        for row in ROWS[opcode]:
            real = row.target(w)
            of_real = await answers(w.stranger, row.request(w, real), real)
            for _ in range(2):
                guess = invented(real)
                of_guess = await answers(w.stranger, row.request(w, guess), guess)
                assert of_real == of_guess, f"{row.name}: the stranger can tell"
            assert b"secret" not in b"".join(of_real), row.name
            if row.expected:
                assert error_of(of_real[-1]) == NUMBERS[row.expected], row.name
            if opcode == "send":
                assert error_of(of_real[-1]), f"{row.name}: not refused"
        # Nothing came of it.
        range_reply = await w.member.ask(range=pb.Range(conversation_id=w.group, limit=200))
        assert [e.sender for e in range_reply.range_reply.events] == [b"ann", b"ann"]
        members = await w.member.ask(get_members=pb.GetMembers(conversation_id=w.group, limit=256))
        assert [m.user for m in members.members_reply.members] == [b"ann", b"bob"]
        devices = await w.member.ask(list_devices=pb.ListDevices())
        assert not any(d.revoked for d in devices.devices_reply.devices)
        await w.close()

    asyncio.run(run())


@pytest.mark.parametrize("opcode", [opcode for opcode in OPCODES if any(row.differs for row in ROWS.get(opcode, []))])
def test_a_member_is_answered_otherwise(world, opcode):
    """Else the test above could not fail."""
    async def run():
        w = await make(world)
        for row in ROWS[opcode]:
            if row.differs:
                real = row.target(w)
                of_stranger = await answers(w.stranger, row.request(w, real), real)
                of_member = await answers(w.member, row.request(w, real), real)
                assert of_stranger != of_member and error_of(of_member[-1]) is None, row.name
        await w.close()

    asyncio.run(run())


# --- what names nothing of others, and logins ----------------------------------------------------------------------------------


def test_what_names_nothing_shows_nothing(world):
    async def run():
        w = await make(world)
        reply = await w.stranger.ask(sync=pb.Sync())
        assert reply.sync_reply == pb.SyncReply(position=reply.sync_reply.position)
        member = await w.member.ask(sync=pb.Sync())
        assert {h.conversation_id for h in member.sync_reply.heads} == {w.group, w.direct}
        devices = (await w.stranger.ask(list_devices=pb.ListDevices())).devices_reply.devices
        assert [d.device_id for d in devices] == [w.welcome.device_id]
        assert body_of(await w.stranger.ask(heartbeat=pb.Heartbeat()))[0] == "heartbeat_reply"
        await w.close()

    asyncio.run(run())


async def refused_hello(url, token, **fields):
    async with await Connection.open(url) as connection:
        reply = await connection.hello(token, **fields)
        reply.tag = 0
        with pytest.raises(Closed):
            await connection.read()
        return reply.SerializeToString()


def test_hello_with_the_device_of_another(world):
    async def run():
        w = await make(world)
        taken = await refused_hello(w.url, b"dev:eve", device_id=w.device, device_session=w.session)
        invented_one = await refused_hello(w.url, b"dev:eve", device_id=os.urandom(16), device_session=w.session)
        assert taken == invented_one and error_of(taken) == NUMBERS["AUTH"]
        again, _ = await login(w.url, b"dev:ann", device_id=w.device, device_session=w.session)  # its owner may
        await again.close()
        await w.close()

    asyncio.run(run())


def test_a_token_of_another_user(world):
    async def run():
        w = await make(world)
        replies = []
        for user in (b"dev:ann", b"dev:nobody", b"dev:eve"):
            reply = await w.stranger.ask(renew_token=pb.RenewToken(token=user))
            reply.tag = 0
            replies.append(reply.SerializeToString())
        assert replies[0] == replies[1] and error_of(replies[0]) == NUMBERS["AUTH"]
        assert replies[2] == pb.ServerMessage(ok=pb.Ok()).SerializeToString()
        await w.close()

    asyncio.run(run())


@pytest.mark.parametrize("opcode", [opcode for opcode in OPCODES if opcode != "hello"] + ["nothing", "unknown"])
def test_nothing_before_welcome(world, opcode):
    """Deny by default: one word, and the end."""
    async def run():
        w = await make(world)
        fields = {field.name: field for field in pb.ClientMessage.DESCRIPTOR.fields}
        message = pb.ClientMessage(tag=7)
        if opcode in fields:
            getattr(message, opcode).SetInParent()
        data = message.SerializeToString() + (b"\xfa\x06\x00" if opcode == "unknown" else b"")  # field 111
        for before in ([], [client_message(1, hello=pb.Hello(version=1, token=b"dev:eve"))]):  # also behind a Hello that is not answered yet
            async with await Connection.open(w.url) as connection:
                await connection.put(*before, data)
                name, body = body_of(await connection.read())
                assert (name, body.code) == ("goodbye", NUMBERS["PROTOCOL"])
                with pytest.raises(Closed):
                    await connection.read()
        await w.close()

    asyncio.run(run())


def test_a_stranger_cannot_use_up_what_a_conversation_may_take(tmp_path):
    """Its limit is for the members: a stranger is refused before it counts, and sees none of it."""
    async def run(url):
        w = World(url)
        await w.make(tmp_path)
        for number in range(1, 21):
            got = await answers(w.stranger, send(number, 1, 0, 0, b"")(w, w.group), w.group)
            assert error_of(got[-1]) == NUMBERS["NOT_FOUND"]
        sent = await w.ann.say(w.group, b"still free")
        reply = await w.ann.connection.read()
        while reply.WhichOneof("body") != "answer":
            reply = await w.ann.connection.read()
        assert (reply.answer.client_id, reply.answer.code) == (sent, pb.AnswerCode.ACCEPTED)
        await w.close()

    with Chatd("--limit-address-rate=0", "--limit-conversation-rate=1", "--limit-conversation-burst=10", limits=True) as running:
        asyncio.run(run(running.url))
