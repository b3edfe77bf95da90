# SPDX-License-Identifier: Apache-2.0
"""docs/protocol.md suffices: a client that was written from it alone chats with chatd (second_client.py)."""
import asyncio
import contextlib
import sqlite3

import pytest

from chatd import Chatd
from second_client import ADD, MESSAGE, REMOVE, Client, Refused
from wire import NUMBERS, direct_id, pb


@pytest.fixture
def chatd():
    with Chatd("--heartbeat=1s", "--idle=10s") as running:
        yield running


def client(chatd, tmp_path, device):
    """ann; ann-2: another device of ann."""
    return Client(tmp_path / f"{device}.db", chatd.url, f"dev:{device.split('-')[0]}".encode())


@contextlib.asynccontextmanager
async def connected(chatd, tmp_path, *devices):
    clients = [client(chatd, tmp_path, device) for device in devices]
    try:
        for c in clients:
            await c.connect()
        yield clients
    finally:
        for c in clients:
            await c.close()


async def all_until(clients, condition):
    """Turns them one after the other until it holds."""
    for _ in range(2000):
        if condition():
            return
        for c in clients:
            await c.turn(0.03)
    raise AssertionError("not in time")


def committed(c, *client_ids):
    return lambda: all(c.state(client_id) == "committed" for client_id in client_ids)


def test_two_people_chat_and_see_the_ticks(chatd, tmp_path):
    async def run():
        async with connected(chatd, tmp_path, "ann", "bob") as (ann, bob):
            where = direct_id(b"ann", b"bob")
            sent = [await ann.say_to(b"bob", text) for text in (b"one", b"two", b"three")]
            await all_until([ann, bob], lambda: committed(ann, *sent)() and bob.cursor(where) == 3)
            assert bob.texts(where) == ann.texts(where) == [b"one", b"two", b"three"]
            assert [e.seq for e in bob.events(where)] == [e.msg_no for e in bob.events(where)] == [1, 2, 3]
            assert [(e.sender, e.client_seq, e.client_id) for e in bob.events(where)] == [(b"ann", n + 1, sent[n]) for n in range(3)]

            await bob.acknowledge(where)
            await all_until([ann, bob], lambda: ann.mark(where, b"bob") == (3, 0))
            await bob.acknowledge(where, read=True)
            await all_until([ann, bob], lambda: ann.mark(where, b"bob") == (3, 3))

    asyncio.run(run())


def test_what_came_while_offline_is_synced_and_nothing_twice(chatd, tmp_path):
    async def run():
        async with connected(chatd, tmp_path, "ann", "bob") as (ann, bob):
            where = direct_id(b"ann", b"bob")
            first = await ann.say_to(b"bob", b"before")
            await all_until([ann, bob], lambda: committed(ann, first)() and bob.cursor(where) == 1)
            await bob.drop()
            sent = [await ann.say_to(b"bob", b"%d" % n) for n in range(250)]  # more than a page
            await ann.until(committed(ann, *sent))
            await bob.connect()
            await bob.until(lambda: bob.cursor(where) == 251)
            assert bob.texts(where) == [b"before"] + [b"%d" % n for n in range(250)]
            await ann.ask_receipts(where)
            await bob.acknowledge(where)
            await all_until([ann, bob], lambda: ann.mark(where, b"bob")[0] == 251)

    asyncio.run(run())


def test_the_outbox_survives_the_connection_and_the_server(chatd, tmp_path):
    async def run():
        async with connected(chatd, tmp_path, "ann", "bob") as (ann, bob):
            where = direct_id(b"ann", b"bob")
            sent = [await ann.say_to(b"bob", b"%d" % n) for n in range(20)]
            await ann.drop()  # the answers are not read
            sent.append(ann.compose(where, MESSAGE, pb.MessageContent(body=b"offline"), peer=b"bob"))
            await ann.connect()
            sent.append(await ann.say_to(b"bob", b"again"))
            await ann.until(committed(ann, *sent))

            chatd.kill()
            sent.append(ann.compose(where, MESSAGE, pb.MessageContent(body=b"without a server"), peer=b"bob"))
            chatd.start()
            for c in (ann, bob):
                await c.connect()
            await all_until([ann, bob], lambda: committed(ann, *sent)() and bob.cursor(where) == 23)
            texts = [b"%d" % n for n in range(20)] + [b"offline", b"again", b"without a server"]
            assert bob.texts(where) == ann.texts(where) == texts

    asyncio.run(run())


def test_a_number_that_is_used_is_a_dup_and_the_message_takes_a_new_one(chatd, tmp_path):
    """C7, both ways: the message is there; it never was."""
    async def run():
        async with connected(chatd, tmp_path, "ann") as (ann,):
            where = direct_id(b"ann", b"bob")
            first = await ann.say_to(b"bob", b"one")
            await ann.until(committed(ann, first))
            # As if its end had not been committed: it is found by its client_id.
            ann.store.change(("UPDATE outbox SET state = 'sent' WHERE client_id = ?", first),
                             ("DELETE FROM event",), ("UPDATE conversation SET cursor = 0",))
            await ann.drop()
            await ann.connect()
            await ann.until(committed(ann, first))
            # A number that another message has used.
            ann.store.change(("UPDATE conversation SET next_seq = 1 WHERE id = ?", where))
            second = ann.compose(where, MESSAGE, pb.MessageContent(body=b"two"), peer=b"bob")
            ann.store.change(("UPDATE conversation SET next_seq = 2 WHERE id = ?", where))
            await ann._put_send(where, second)
            await ann.until(committed(ann, second))
            assert ann.texts(where) == [b"one", b"two"]
            assert [e.client_seq for e in ann.events(where)] == [1, 2]

    asyncio.run(run())


def test_discard_ends_by_the_verdict(chatd, tmp_path):
    """C8: what never went out is dropped; what did ends as CANCELED, or committed where it was."""
    async def run():
        async with connected(chatd, tmp_path, "ann") as (ann,):
            where = direct_id(b"ann", b"bob")
            kept = ann.compose(where, MESSAGE, pb.MessageContent(body=b"dropped"), peer=b"bob")
            assert await ann.discard(where, kept) and ann.state(kept) is None
            late = ann.compose(where, MESSAGE, pb.MessageContent(body=b"perhaps"), peer=b"bob")
            ann.store.change(("UPDATE outbox SET state = 'sent' WHERE client_id = ?", late))  # as if it had gone out in a session that was lost
            await ann.discard(where, late)
            await ann.until(lambda: ann.state(late) == "refused")
            assert ann.error(late) == "CANCELED"
            gone = await ann.say_to(b"bob", b"too late to discard")
            await ann.until(lambda: ann.state(gone) == "committed")
            ann.store.change(("UPDATE outbox SET state = 'sent' WHERE client_id = ?", gone))
            await ann.discard(where, gone)
            await ann.until(lambda: ann.state(gone) == "committed")
            assert ann.texts(where) == [b"too late to discard"]

    asyncio.run(run())


def test_a_group_and_its_intervals(chatd, tmp_path):
    """Who is added reads from its joining, who is removed up to and with its removal, who is added again has both intervals."""
    async def run():
        async with connected(chatd, tmp_path, "ann", "bob", "cy") as everybody:
            ann, bob, cy = everybody
            team = await ann.create(b"team", b"bob")                              # 1
            await ann.say(team, b"before cy")                                     # 2
            await ann.post(team, ADD, pb.MembersAddContent(users=[b"cy"]))          # 3
            await ann.say(team, b"with cy")                                       # 4
            await ann.post(team, REMOVE, pb.MemberRemoveContent(user=b"cy"))           # 5
            await ann.say(team, b"without cy")                                    # 6
            await all_until(everybody, lambda: ann.cursor(team) == 6 and bob.cursor(team) == 6 and cy.cursor(team) == 5)
            assert [e.seq for e in cy.events(team)] == [3, 4, 5]
            refused = await cy.say(team, b"may I?")
            await cy.until(lambda: cy.state(refused) == "refused")
            assert cy.error(refused) == "NOT_FOUND"
            await ann.post(team, ADD, pb.MembersAddContent(users=[b"cy"]))          # 7
            await ann.say(team, b"cy again")                                      # 8
            await all_until(everybody, lambda: cy.cursor(team) == 8 and bob.cursor(team) == 8)
            assert [e.seq for e in cy.events(team)] == [3, 4, 5, 7, 8]
            assert [e.seq for e in bob.events(team)] == list(range(1, 9))

            async with connected(chatd, tmp_path, "cy-2") as (fresh,):  # reads everything anew
                await fresh.until(lambda: fresh.cursor(team) == 8)
                assert [e.seq for e in fresh.events(team)] == [3, 4, 5, 7, 8]

    asyncio.run(run())


def test_own_devices_are_in_step(chatd, tmp_path):
    async def run():
        async with connected(chatd, tmp_path, "ann-phone", "ann-desk") as (phone, desk):
            where = direct_id(b"ann", b"bob")
            sent = await phone.say_to(b"bob", b"from the phone")
            await all_until([phone, desk], lambda: desk.cursor(where) == 1 and phone.state(sent) == "committed")
            await phone.acknowledge(where, read=True)
            await all_until([phone, desk], lambda: desk.mark(where, b"ann") == (1, 1))

    asyncio.run(run())


def test_a_newer_session_of_the_device_replaces_the_older(chatd, tmp_path):
    async def run():
        async with connected(chatd, tmp_path, "ann") as (ann,):
            await ann.until(ann.in_step)
            older = ann.connection
            await ann.connect()
            with pytest.raises(Exception):
                while True:
                    await older.read()
            assert older.goodbye.code == NUMBERS["REPLACED"]
            await ann.until(ann.in_step)

    asyncio.run(run())


def test_a_restored_database_is_found_out_and_nothing_is_lost_or_doubled(chatd, tmp_path):
    """Hello with a session number older than the confirmed one: a new device, which finds out what became of the old one's messages."""
    async def run():
        async with connected(chatd, tmp_path, "ann") as (ann,):
            where = direct_id(b"ann", b"bob")
            first = await ann.say_to(b"bob", b"one")
            await ann.until(committed(ann, first))
            second = ann.compose(where, MESSAGE, pb.MessageContent(body=b"two, in the copy not sent yet"), peer=b"bob")
            await ann.close()
            copy = sqlite3.connect(tmp_path / "copy.db")
            ann.store.db.backup(copy)
            copy.close()
            for _ in range(2):  # life goes on
                await ann.connect()
                await ann.until(committed(ann, second))

            restored = Client(tmp_path / "copy.db", chatd.url, b"dev:ann")
            third = restored.compose(where, MESSAGE, pb.MessageContent(body=b"three, written into the copy"), peer=b"bob")
            nowhere = restored.compose(direct_id(b"ann", b"cy"), MESSAGE, pb.MessageContent(body=b"to nobody yet"), peer=b"cy")
            with pytest.raises(Refused) as refused:
                await restored.connect()
            assert refused.value.code == NUMBERS["CONFLICT"]
            await restored.become_new_device()
            await restored.until(committed(restored, second, third))
            await ann.until(lambda: ann.cursor(where) == restored.cursor(where) == 4)
            assert ann.texts(where) == restored.texts(where) == [b"one", b"two, in the copy not sent yet", b"three, written into the copy"]
            assert restored.state(nowhere) == "draft"  # in a conversation that does not exist nothing can be proven
            await restored.close()

    asyncio.run(run())
