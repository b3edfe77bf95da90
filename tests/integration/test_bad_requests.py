# SPDX-License-Identifier: Apache-2.0
"""Requests that are messages but cannot be done: each gets the error that docs/protocol.md names ("Bad input", "Who may what"), the session lives on (after Hello
it ends), and nothing is half done. Sends are made twice, as a first try (the gateway refuses) and as a retry (the gateway makes a void of it, the sequencer refuses)."""
import asyncio
import contextlib

import pytest

from chatd import Chatd
from wire import ERRORS, Closed, Connection, body_of, client_message, direct_id, frame, group_id, login, pb, uuid7

MESSAGE, CREATE, ADD, REMOVE, LEAVE, ROLE, OWNER, TITLE, SETTINGS, TO_CHANNEL, RETIRED = range(1, 12)
WHERE = direct_id(b"ann", b"bob")
NOWHERE = direct_id(b"nobody", b"no one")
NOT_UTF8 = b"caf\xe9"
LONG_USER = b"u" * 65
QUIET_S = 2


@pytest.fixture(scope="module")
def chatd():
    with Chatd("--devices-max=1000") as running:
        yield running


def error_of(message):
    name, body = body_of(message)
    return ERRORS[body.code] if name == "error" else name


# --- requests ----------------------------------------------------------------------------------------------------------------

REQUESTS = {
    "a session number that is not this one's": ("INVALID", dict(confirm_session=pb.ConfirmSession(device_session=99))),
    "a token of nothing": ("AUTH", dict(renew_token=pb.RenewToken())),
    "a token of 8 KiB and a byte": ("TOO_LARGE", dict(renew_token=pb.RenewToken(token=b"t" * 8193))),
    "range, an id of 15 bytes": ("PROTOCOL", dict(range=pb.Range(conversation_id=NOWHERE[:15], limit=1))),
    "range, no id": ("PROTOCOL", dict(range=pb.Range(limit=1))),
    "range, no limit": ("INVALID", dict(range=pb.Range(conversation_id=NOWHERE))),
    "range, a limit of 201": ("INVALID", dict(range=pb.Range(conversation_id=NOWHERE, limit=201))),
    "range, an unknown id": ("NOT_FOUND", dict(range=pb.Range(conversation_id=NOWHERE, limit=1))),
    "receipt, an id of 17 bytes": ("PROTOCOL", dict(receipt=pb.Receipt(conversation_id=NOWHERE + b"x", read=1))),
    "receipt, an unknown id": ("NOT_FOUND", dict(receipt=pb.Receipt(conversation_id=NOWHERE, read=1))),
    "201 receipts": ("TOO_LARGE", dict(get_receipts=pb.GetReceipts(conversation_ids=[NOWHERE] * 201))),
    "receipts, an id of 1 byte": ("PROTOCOL", dict(get_receipts=pb.GetReceipts(conversation_ids=[NOWHERE, b"x"]))),
    "members, no limit": ("INVALID", dict(get_members=pb.GetMembers(conversation_id=NOWHERE))),
    "members, a limit of 257": ("INVALID", dict(get_members=pb.GetMembers(conversation_id=NOWHERE, limit=257))),
    "members, after 65 bytes": ("TOO_LARGE", dict(get_members=pb.GetMembers(conversation_id=NOWHERE, limit=1, after=LONG_USER))),
    "members, after no UTF-8": ("INVALID", dict(get_members=pb.GetMembers(conversation_id=NOWHERE, limit=1, after=NOT_UTF8))),
    "members, after a control character": ("INVALID", dict(get_members=pb.GetMembers(conversation_id=NOWHERE, limit=1, after=b"a\n"))),
    "search for nothing": ("INVALID", dict(search=pb.Search(limit=1))),
    "search for 257 bytes": ("TOO_LARGE", dict(search=pb.Search(query=b"q" * 257, limit=1))),
    "search for no UTF-8": ("INVALID", dict(search=pb.Search(query=NOT_UTF8, limit=1))),
    "search, no limit": ("INVALID", dict(search=pb.Search(query=b"q"))),
    "search, a limit of 201": ("INVALID", dict(search=pb.Search(query=b"q", limit=201))),
    "search, an id of 3 bytes": ("PROTOCOL", dict(search=pb.Search(query=b"q", limit=1, conversation_id=b"abc"))),
    "watch, no id": ("PROTOCOL", dict(watch=pb.Watch())),
    "watch, an unknown id": ("NOT_FOUND", dict(watch=pb.Watch(conversation_id=NOWHERE))),
    "typing, no id": ("PROTOCOL", dict(set_typing=pb.SetTyping(typing=1))),
    "typing, an unknown id": ("NOT_FOUND", dict(set_typing=pb.SetTyping(conversation_id=NOWHERE, typing=1))),
    "revoke, an id of 3 bytes": ("PROTOCOL", dict(revoke_device=pb.RevokeDevice(device_id=b"abc"))),
    "revoke, an unknown id": ("NOT_FOUND", dict(revoke_device=pb.RevokeDevice(device_id=b"\x01" * 16))),
}
RAW = {  # behind "tag: 9"
    "a body that is not known": ("UNSUPPORTED", b"\xfa\x06\x00"),
    "no body": ("UNSUPPORTED", b""),
    "a body that is no message": ("PROTOCOL", b"\x42\x01\xff"),
    "a field of another wire type": ("PROTOCOL", b"\x42\x04\x0a\x80\x80\x80"),
}


def test_requests(chatd):
    async def run():
        connection, _ = await login(chatd.url, b"dev:ann")
        got = {what: error_of(await connection.ask(**body)) for what, (_, body) in REQUESTS.items()}
        assert got == {what: error for what, (error, _) in REQUESTS.items()}
        for what, (error, data) in RAW.items():
            await connection.put(b"\x08\x63" + data)
            assert error_of(await connection.reply(0x63)) == error, what
        assert error_of(await connection.ask(sync=pb.Sync())) == "sync_reply"
        await connection.close()

    asyncio.run(run())


def test_a_seventeenth_watch(chatd):
    async def run():
        sender = await Sender.login(chatd.url, b"dev:watcher")
        wheres = [direct_id(b"watcher", b"peer-%d" % n) for n in range(17)]
        for n, where in enumerate(wheres):
            assert await sender.send(where, MESSAGE, pb.MessageContent(body=b"hi"), peer=b"peer-%d" % n) == "COMMITTED"
        for where in wheres[:16]:
            assert error_of(await sender.connection.ask(watch=pb.Watch(conversation_id=where))) == "presence"
        assert error_of(await sender.connection.ask(watch=pb.Watch(conversation_id=wheres[16]))) == "LIMIT"
        assert error_of(await sender.connection.ask(watch=pb.Watch(conversation_id=wheres[0], stop=1))) == "ok"
        assert error_of(await sender.connection.ask(watch=pb.Watch(conversation_id=wheres[16]))) == "presence"
        await sender.connection.close()

    asyncio.run(run())


def test_of_several_bodies_the_last_one_counts(chatd):
    async def run():
        connection, _ = await login(chatd.url, b"dev:ann")
        await connection.put(client_message(7, list_devices=pb.ListDevices()).SerializeToString() + pb.ClientMessage(sync=pb.Sync()).SerializeToString())
        assert error_of(await connection.reply(7)) == "sync_reply"
        await connection.close()

    asyncio.run(run())


def test_more_requests_than_may_be_under_way(chatd):
    """64 are; each of the others gets Error(AGAIN) with a time, and none is forgotten."""
    async def run():
        connection, _ = await login(chatd.url, b"dev:ann")
        tags = range(1000, 1500)
        await connection.put(*[client_message(tag, search=pb.Search(query=b"word", limit=1)) for tag in tags])
        replies = {}
        while len(replies) < len(tags):
            message = await connection.read()
            assert message.tag in tags and message.tag not in replies
            replies[message.tag] = message
        refused = [m for m in replies.values() if error_of(m) == "AGAIN"]
        assert len(refused) <= len(tags) - 64 and all(m.error.retry_after_ms > 0 for m in refused)
        assert {error_of(m) for m in replies.values()} == {"search_reply", "AGAIN"}
        await connection.close()

    asyncio.run(run())


def test_more_sends_than_may_wait(chatd):
    """Each Send of a session gets exactly one Answer, whatever it is; those ACCEPTED come in order."""
    async def run():
        connection, welcome = await login(chatd.url, b"dev:ann")
        where, count = direct_id(b"ann", b"many"), 300
        sends = [pb.Send(conversation_id=where, client_id=uuid7(), client_seq=n, type=MESSAGE, peer=b"many", payload=message(body=b"%d" % n).SerializeToString())
                 for n in range(1, count + 1)]
        await connection.put(*[client_message(0, send=send) for send in sends])
        answers = []
        while len(answers) < count:
            name, body = body_of(await connection.read())
            answers += [body] if name == "answer" else []
        assert sorted(a.client_seq for a in answers) == list(range(1, count + 1))
        accepted = [a.client_seq for a in answers if a.code == pb.AnswerCode.ACCEPTED]
        later = [a for a in answers if a.code == pb.AnswerCode.RETRY]
        assert len(accepted) + len(later) == count and accepted == sorted(accepted) and len(accepted) >= welcome.limits.in_flight_max
        assert later and all(a.retry_after_ms > 0 for a in later)
        await connection.close()

    asyncio.run(run())


def test_revoking(chatd):
    """Another device, and then one's own: Ok, and its session ends. Neither logs in again."""
    async def run():
        asking, welcome = await login(chatd.url, b"dev:rae")
        other, other_welcome = await login(chatd.url, b"dev:rae")
        assert error_of(await asking.ask(revoke_device=pb.RevokeDevice(device_id=other_welcome.device_id))) == "ok"
        await ends_with(other, "REVOKED")
        assert error_of(await asking.ask(revoke_device=pb.RevokeDevice(device_id=welcome.device_id))) == "ok"
        await ends_with(asking, "REVOKED")
        for shut_out in (welcome, other_welcome):
            async with await Connection.open(chatd.url) as again:
                reply = await again.hello(b"dev:rae", device_id=shut_out.device_id, device_session=shut_out.device_session)
                assert error_of(reply) == "REVOKED"

    asyncio.run(run())


async def ends_with(connection, code):
    """Goodbye is all that comes."""
    assert error_of(await connection.read()) == "goodbye" and ERRORS[connection.goodbye.code] == code
    with pytest.raises(Closed):
        await connection.read()


# --- Hello -------------------------------------------------------------------------------------------------------------------

HELLOS = {
    "no version": ("VERSION", dict(version=0, token=b"dev:ann")),
    "version 2": ("VERSION", dict(version=2, token=b"dev:ann")),
    "no token": ("AUTH", dict(version=1)),
    "another token": ("AUTH", dict(version=1, token=b"ann")),
    "a token with no user": ("AUTH", dict(version=1, token=b"dev:")),
    "a user of 65 bytes": ("AUTH", dict(version=1, token=b"dev:" + LONG_USER)),
    "a user that is no UTF-8": ("AUTH", dict(version=1, token=b"dev:" + NOT_UTF8)),
    "a token of 8 KiB and a byte": ("TOO_LARGE", dict(version=1, token=b"dev:" + b"t" * 8189)),
    "a device of 15 bytes": ("PROTOCOL", dict(version=1, token=b"dev:ann", device_id=b"d" * 15)),
    "an unknown device": ("AUTH", dict(version=1, token=b"dev:ann", device_id=b"d" * 16, device_session=1)),
    "a device of zeros": ("AUTH", dict(version=1, token=b"dev:ann", device_id=bytes(16), device_session=1)),
    "a client name of 65 bytes": ("TOO_LARGE", dict(version=1, token=b"dev:ann", client=b"c" * 65)),
    "a client name that is no UTF-8": ("INVALID", dict(version=1, token=b"dev:ann", client=NOT_UTF8)),
}


@pytest.mark.parametrize("what", HELLOS)
def test_hello(chatd, what):
    error, fields = HELLOS[what]

    async def run():
        async with await Connection.open(chatd.url) as connection:
            assert error_of(await connection.ask(hello=pb.Hello(**fields))) == error
            with pytest.raises(Closed):
                await connection.read()

    asyncio.run(run())


# --- Sends -------------------------------------------------------------------------------------------------------------------


class Sender:
    """Sends one message at a time and says how it ended: COMMITTED, or the error of the answer or verdict."""

    def __init__(self, connection, welcome):
        self.connection, self.welcome, self.numbers = connection, welcome, {}

    @classmethod
    async def login(cls, url, token):
        return cls(*await login(url, token))

    def number(self, where):
        self.numbers[where] = self.numbers.get(where, 0) + 1
        return self.numbers[where]

    async def send(self, where, kind, content, retry=0, **fields):
        payload = content if isinstance(content, bytes) else content.SerializeToString()
        send = pb.Send(**{**dict(conversation_id=where, client_id=uuid7(), client_seq=self.number(where), retry=retry, type=kind, payload=payload), **fields})
        tag = self.connection.next_tag()
        await self.connection.put(client_message(tag, send=send))
        while True:
            try:
                message = await self.connection.read(QUIET_S)
            except asyncio.TimeoutError:  # a channel's events are not pushed to a session that has not synced since
                await self.connection.put(client_message(0, range=pb.Range(conversation_id=where, limit=1, newest_first=1)))
                continue
            name, body = body_of(message)
            if name in ("live", "range_reply") and any(e.client_id == send.client_id and e.conversation_id == send.conversation_id for e in body.events):
                return "COMMITTED"
            if message.tag == tag:
                return f"Error({ERRORS[body.code]})"
            if name in ("answer", "verdict") and body.client_id == send.client_id and body.error:
                return ERRORS[body.error]


def message(**fields):
    return pb.MessageContent(**fields)


# content, other fields of the Send, the error
SENDS = {
    "no id of a conversation": (MESSAGE, message(), dict(conversation_id=b""), "Error(PROTOCOL)"),
    "an id of 15 bytes": (MESSAGE, message(), dict(conversation_id=WHERE[:15]), "Error(PROTOCOL)"),
    "no client_id": (MESSAGE, message(), dict(client_id=b""), "Error(PROTOCOL)"),
    "a client_id of zeros": (MESSAGE, message(), dict(client_id=bytes(16)), "Error(INVALID)"),
    "no number": (MESSAGE, message(), dict(client_seq=0), "Error(INVALID)"),
    "prev that is not lower": (MESSAGE, message(), dict(prev=1 << 40), "INVALID"),
    "no payload that is a message": (MESSAGE, b"\x0a\x7f", {}, "PROTOCOL"),
    "a body of 64 KiB and a byte": (MESSAGE, message(body=bytes(65537)), {}, "TOO_LARGE"),
    "meta of 4 KiB and a byte": (MESSAGE, message(meta=bytes(4097)), {}, "TOO_LARGE"),
    "a kind of 65 bytes": (MESSAGE, message(kind=b"k" * 65), {}, "TOO_LARGE"),
    "a kind that is no UTF-8": (MESSAGE, message(kind=NOT_UTF8), {}, "INVALID"),
    "a payload of 100 KiB": (MESSAGE, bytes(100 * 1024), {}, "TOO_LARGE"),
    "type 0": (0, b"", {}, "UNSUPPORTED"),
    "type 99": (99, b"anything", {}, "UNSUPPORTED"),
    "no peer": (MESSAGE, message(), dict(peer=b""), "INVALID"),
    "another peer": (MESSAGE, message(), dict(peer=b"cy"), "INVALID"),
    "a peer of 65 bytes": (MESSAGE, message(), dict(peer=LONG_USER), "TOO_LARGE"),
    "a peer with a control character": (MESSAGE, message(), dict(peer=b"b\x7f"), "INVALID"),
    "a direct conversation of others": (MESSAGE, message(), dict(conversation_id=direct_id(b"cy", b"dee"), peer=b"cy", client_seq=1000), "INVALID"),
    "a title for two": (TITLE, pb.TitleContent(title=b"we"), {}, "INVALID"),
    "leaving a direct conversation": (LEAVE, pb.LeaveContent(), {}, "INVALID"),
    "a group whose id is another's": (CREATE, pb.CreateContent(kind=2), dict(conversation_id=group_id(b"ann", b"x" * 16), peer=b"", client_seq=1000), "INVALID"),
    "retiring oneself": (RETIRED, "own", {}, "INVALID"),
    "retiring 3 bytes": (RETIRED, pb.DeviceRetiredContent(device_id=b"abc"), {}, "PROTOCOL"),
}
CREATES = {
    "of kind 1": (pb.CreateContent(kind=1), "INVALID"),
    "of kind 4": (pb.CreateContent(kind=4), "INVALID"),
    "with a title of 257 bytes": (pb.CreateContent(kind=2, title=b"t" * 257), "TOO_LARGE"),
    "with a title that is no UTF-8": (pb.CreateContent(kind=2, title=NOT_UTF8), "INVALID"),
    "of 257": (pb.CreateContent(kind=2, members=[b"m-%d" % n for n in range(256)]), "TOO_LARGE"),
    "with a member of nothing": (pb.CreateContent(kind=2, members=[b""]), "INVALID"),
    "with a member of 65 bytes": (pb.CreateContent(kind=2, members=[LONG_USER]), "TOO_LARGE"),
    "with a peer": (pb.CreateContent(kind=2), "INVALID"),
}


@pytest.mark.parametrize("retry", [0, 1])
def test_sends(chatd, retry):
    async def run():
        ann = await Sender.login(chatd.url, b"dev:ann")
        assert await ann.send(WHERE, MESSAGE, message(body=b"hello"), peer=b"bob") == "COMMITTED"
        got = {}
        for what, (kind, content, fields, _) in SENDS.items():
            content = pb.DeviceRetiredContent(device_id=ann.welcome.device_id) if content == "own" else content
            got[what] = await ann.send(WHERE, kind, content, retry, **{"peer": b"bob", **fields})
            if got[what].startswith("Error"):
                ann.numbers[WHERE] -= 1  # it cannot even be said of which number that was
        assert got == {what: row[3] for what, row in SENDS.items()}
        for what, (content, error) in CREATES.items():
            client_id = uuid7()
            got = await ann.send(group_id(b"ann", client_id), CREATE, content, retry, client_id=client_id, peer=b"bob" if what == "with a peer" else b"")
            assert got == error, what
        assert await ann.send(WHERE, MESSAGE, message(body=b"after all that"), peer=b"bob") == "COMMITTED"
        await ann.connection.close()

    asyncio.run(run())


# --- who may what ------------------------------------------------------------------------------------------------------------

JUDGED = [  # in this order: who, type, content, how it ends. The group: owen owns it, ada and al are admins, mia and max members.
    ("mia", TITLE, pb.TitleContent(title=b"mine"), "DENIED"),
    ("mia", SETTINGS, pb.SettingsContent(history_from_start=1), "DENIED"),
    ("mia", ADD, pb.MembersAddContent(users=[b"new"]), "DENIED"),
    ("mia", REMOVE, pb.MemberRemoveContent(user=b"max"), "DENIED"),
    ("mia", ROLE, pb.RoleContent(user=b"mia", role=2), "DENIED"),
    ("ada", ROLE, pb.RoleContent(user=b"mia", role=2), "DENIED"),
    ("ada", OWNER, pb.OwnerContent(user=b"ada"), "DENIED"),
    ("ada", TO_CHANNEL, pb.ToChannelContent(), "DENIED"),
    ("ada", ADD, pb.MembersAddContent(users=[b"new"], role=2), "DENIED"),
    ("ada", ADD, pb.MembersAddContent(users=[b"mia", b"max"]), "EXISTS"),
    ("ada", ADD, pb.MembersAddContent(), "INVALID"),
    ("ada", ADD, pb.MembersAddContent(users=[b"new"], role=3), "INVALID"),
    ("ada", REMOVE, pb.MemberRemoveContent(user=b"al"), "DENIED"),
    ("ada", REMOVE, pb.MemberRemoveContent(user=b"ada"), "DENIED"),
    ("ada", REMOVE, pb.MemberRemoveContent(user=b"owen"), "DENIED"),
    ("ada", REMOVE, pb.MemberRemoveContent(user=b"nobody"), "NOT_FOUND"),
    ("owen", ROLE, pb.RoleContent(user=b"owen", role=1), "DENIED"),
    ("owen", ROLE, pb.RoleContent(user=b"mia", role=3), "INVALID"),
    ("owen", ROLE, pb.RoleContent(user=b"nobody", role=1), "NOT_FOUND"),
    ("owen", OWNER, pb.OwnerContent(user=b"owen"), "INVALID"),
    ("owen", OWNER, pb.OwnerContent(user=b"nobody"), "NOT_FOUND"),
    ("owen", REMOVE, pb.MemberRemoveContent(user=b"owen"), "DENIED"),
    ("stranger", MESSAGE, message(body=b"hi"), "NOT_FOUND"),
    ("ada", TITLE, pb.TitleContent(title=b"ours"), "COMMITTED"),
    ("ada", ADD, pb.MembersAddContent(users=[b"new", b"mia"]), "COMMITTED"),
    ("ada", REMOVE, pb.MemberRemoveContent(user=b"new"), "COMMITTED"),
    ("owen", REMOVE, pb.MemberRemoveContent(user=b"al"), "COMMITTED"),
    ("al", MESSAGE, message(body=b"hi"), "NOT_FOUND"),
    ("owen", LEAVE, pb.LeaveContent(), "COMMITTED"),
    ("ada", TO_CHANNEL, pb.ToChannelContent(), "COMMITTED"),  # the admin who joined first owns it now
    ("ada", TO_CHANNEL, pb.ToChannelContent(), "EXISTS"),
    ("ada", LEAVE, pb.LeaveContent(), "DENIED"),  # a channel's owner hands over first
    ("ada", OWNER, pb.OwnerContent(user=b"mia"), "COMMITTED"),
    ("ada", LEAVE, pb.LeaveContent(), "COMMITTED"),
    ("mia", REMOVE, pb.MemberRemoveContent(user=b"max"), "COMMITTED"),
]


def test_who_may_what(chatd):
    async def run():
        async with contextlib.AsyncExitStack() as stack:
            people = {}
            for name in ("owen", "ada", "al", "mia", "max", "stranger"):
                people[name] = await Sender.login(chatd.url, f"dev:{name}".encode())
                stack.push_async_callback(people[name].connection.close)
            client_id = uuid7()
            where = group_id(b"owen", client_id)
            owen = people["owen"]
            assert await owen.send(where, CREATE, pb.CreateContent(kind=2, members=[b"ada", b"al", b"mia", b"max"]), client_id=client_id) == "COMMITTED"
            for admin in (b"ada", b"al"):
                assert await owen.send(where, ROLE, pb.RoleContent(user=admin, role=2)) == "COMMITTED"
            assert await owen.send(where, CREATE, pb.CreateContent(kind=2), client_id=client_id) == "EXISTS"
            for row, (who, kind, content, end) in enumerate(JUDGED):
                assert await people[who].send(where, kind, content) == end, f"row {row}: {who}, type {kind}, {content}"

    asyncio.run(run())


def test_a_group_of_256_takes_no_more(chatd):
    async def run():
        owen = await Sender.login(chatd.url, b"dev:owen")
        client_id = uuid7()
        where = group_id(b"owen", client_id)
        members = [b"m-%d" % n for n in range(255)]
        assert await owen.send(where, CREATE, pb.CreateContent(kind=2, members=members), client_id=client_id) == "COMMITTED"
        assert await owen.send(where, ADD, pb.MembersAddContent(users=[b"one more"])) == "LIMIT"
        assert await owen.send(where, TO_CHANNEL, pb.ToChannelContent()) == "COMMITTED"
        assert await owen.send(where, ADD, pb.MembersAddContent(users=[b"one more"])) == "COMMITTED"
        await owen.connection.close()

    asyncio.run(run())


def test_a_retired_device(chatd):
    """Later records of it are refused in that conversation."""
    async def run():
        old, new = [await Sender.login(chatd.url, b"dev:ann") for _ in range(2)]
        where = direct_id(b"ann", b"old times")
        assert await old.send(where, MESSAGE, message(body=b"hi"), peer=b"old times") == "COMMITTED"
        retired = pb.DeviceRetiredContent(device_id=old.welcome.device_id)
        assert await new.send(where, RETIRED, retired, peer=b"old times") == "COMMITTED"
        assert await old.send(where, MESSAGE, message(body=b"again"), peer=b"old times") == "REVOKED"
        assert await old.send(direct_id(b"ann", b"another"), MESSAGE, message(body=b"hi"), peer=b"another") == "COMMITTED"
        for sender in (old, new):
            await sender.connection.close()

    asyncio.run(run())
