# SPDX-License-Identifier: Apache-2.0
"""The Python binding chats through a real chatd: every request of client.h that needs a server."""

import uuid

import pytest
from libchat import ChatError, Client, Error, EventType, Kind, Role, Tick, Type, direct_id
from people import bodies, client, done, eventually, timeline, until, until_committed, until_live, until_message, until_tick, until_type


def test_a_message_goes_there_and_back(server):
    with client(server, "alice") as alice, client(server, "bob") as bob:
        until_live(alice)
        sent = done(alice.send_direct("bob", "grüß dich", kind="text/plain", meta=b"\x00\xff"))
        assert sent.conversation_id == direct_id("bob", "alice") and len(sent.client_id) == 16
        got = until_message(bob, "grüß dich")
        assert (got.sender, got.kind, got.meta, got.own, got.seq, got.msg_no) == ("alice", "text/plain", b"\x00\xff", False, 1, 1)
        assert got.conversation_id == sent.conversation_id and got.client_id == sent.client_id
        committed = until_committed(alice, sent.client_id)
        assert committed.seq == 1
        until(alice, lambda event: event.type == EventType.RECEIPT and (event.user, event.delivered) == ("bob", 1))
        until_tick(alice, committed, Tick.DELIVERED)
        done(bob.send(got.conversation_id, "danke"))
        answer = until_message(alice, "danke")
        assert (answer.sender, answer.seq) == ("bob", 2)


def test_ids_may_be_bytes_uuids_or_text(server):
    with client(server, "ida") as ida:
        until_live(ida)
        mine = uuid.uuid4()
        first = done(ida.send_direct("ida", "to myself", client_id=mine))
        assert first.client_id == mine.bytes
        assert done(ida.send(first.conversation_id.hex(), "to myself", client_id=mine.bytes)).client_id == mine.bytes
        with pytest.raises(ChatError) as conflict:
            done(ida.send(first.conversation_id, "something else", client_id=mine))
        assert conflict.value.code == Error.CONFLICT
        until_message(ida, "to myself")
        assert bodies(timeline(ida, first.conversation_id)) == ["to myself"]


def test_ticks_go_from_sent_to_read(server):
    with client(server, "tick") as tick, client(server, "tock") as tock:
        until_live(tick)
        sent = done(tick.send_direct("tock", "read me"))
        done(tick.open(sent.conversation_id))
        got = until_message(tock, "read me")
        assert done(tock.conversation(got.conversation_id)).conversation.unread == 1
        done(tock.mark_read(got.conversation_id, got.seq))
        until_tick(tick, got, Tick.READ)
        eventually(lambda: done(tock.conversation(got.conversation_id)).conversation.unread, lambda unread: unread == 0)
        done(tick.close_conversation(sent.conversation_id))


def test_a_group_lives(server):
    with client(server, "owner") as owner, client(server, "guest") as guest, client(server, "third") as third:
        for person in owner, guest, third:
            until_live(person)
        group = done(owner.create("Tea", ["guest"])).conversation_id
        assert until_type(guest, Type.CREATE).title == "Tea"
        done(owner.send(group, "welcome"))
        until_message(guest, "welcome")

        done(owner.add_members(group, ["third"], Role.MEMBER))
        assert until_type(third, Type.MEMBERS_ADD).users == ["third"]
        done(owner.set_role(group, "guest", Role.ADMIN))
        until_type(owner, Type.ROLE)
        done(guest.set_title(group, "Coffee"))
        assert until_type(third, Type.TITLE).title == "Coffee"
        members = {member.user: member.role for member in done(third.members(group)).members}
        assert members == {"owner": Role.OWNER, "guest": Role.ADMIN, "third": Role.MEMBER}

        done(owner.set_owner(group, "guest"))
        until_type(guest, Type.OWNER)
        done(guest.set_history_from_start(group, True))
        until_type(owner, Type.SETTINGS)
        done(third.leave(group))
        until_type(owner, Type.LEAVE)
        done(guest.remove_member(group, "owner"))
        assert until_type(owner, Type.MEMBER_REMOVE).users == ["owner"]
        assert done(owner.conversation(group)).conversation.role == Role.NONE
        done(guest.make_channel(group))
        until_type(guest, Type.TO_CHANNEL)
        state = eventually(lambda: done(guest.conversation(group)).conversation, lambda state: state.kind == Kind.CHANNEL)
        assert state.title == "Coffee" and state.role == Role.OWNER


def test_what_may_not_be_is_refused_with_its_reason(server):
    with client(server, "boss") as boss, client(server, "staff") as staff:
        until_live(boss), until_live(staff)
        group = done(boss.create("Office", ["staff"])).conversation_id
        until_type(staff, Type.CREATE)
        sent = done(staff.set_title(group, "Pub"))
        refused = until(staff, lambda event: event.type == EventType.OUTBOX and event.message.tick == Tick.REFUSED)
        assert refused.status == Error.DENIED and refused.message.client_id == sent.client_id
        with pytest.raises(ChatError) as unknown:
            done(staff.send(bytes(16), "nowhere"))
        assert (unknown.value.code, unknown.value.name) == (Error.NOT_FOUND, "CHAT_E_NOT_FOUND")
        assert done(staff.discard(sent.client_id)).status == 0


def test_history_pages_and_search(server, tmp_path):
    # With a database, because without one the words of a search are folded in ASCII only.
    with client(server, "scribe") as scribe, client(server, "reader", tmp_path / "reader.db") as reader:
        until_live(scribe)
        for number in range(30):
            conversation = done(scribe.send_direct("reader", f"line {number} of the Žižkov chronicle")).conversation_id
        until_message(reader, "line 29 of the Žižkov chronicle")
        page = done(reader.history(conversation, limit=10))
        assert [message.seq for message in page.messages] == list(range(21, 31)) and page.more
        page = done(reader.history(conversation, after_seq=5, limit=3))
        assert [message.seq for message in page.messages] == [6, 7, 8]

        found = eventually(lambda: done(reader.search("zizkov 17")).messages, bool)
        assert [message.text for message in found] == ["line 17 of the Žižkov chronicle"]
        found = eventually(lambda: done(reader.search("23 chron*", conversation, on_server=True)).messages, bool)
        assert [message.seq for message in found] == [24]
        assert done(reader.search("absent", on_server=True)).messages == []
        compared = done(reader.verify(conversation))
        assert (compared.seq, compared.head) == (30, 0)


def test_conversations_are_listed_and_paged(server):
    with client(server, "host") as host:
        until_live(host)
        for title in "A", "B", "C":
            done(host.create(title))
        eventually(lambda: len(done(host.conversations()).conversations), lambda count: count == 3)
        first = done(host.conversations(limit=2))
        rest = done(host.conversations(after_index=2))
        assert first.more and not rest.more
        assert sorted(c.title for c in first.conversations + rest.conversations) == ["A", "B", "C"]


def test_presence_and_typing(server):
    with client(server, "seen") as seen, client(server, "watcher") as watcher:
        until_live(seen), until_live(watcher)
        conversation = done(watcher.send_direct("seen", "there?")).conversation_id
        until_message(seen, "there?")
        done(watcher.open(conversation))
        until(watcher, lambda event: event.type == EventType.PRESENCE and event.user == "seen" and event.online)
        seen.typing(conversation)
        typing = until(watcher, lambda event: event.type == EventType.TYPING)
        assert (typing.user, typing.online, typing.conversation_id) == ("seen", True, conversation)
        done(seen.set_online(False))
        until(watcher, lambda event: event.type == EventType.PRESENCE and event.user == "seen" and not event.online)


def test_devices_are_listed_and_revoked(server):
    with client(server, "multi", device_name="phone") as phone, client(server, "multi", device_name="laptop") as laptop:
        until_live(phone), until_live(laptop)
        me = done(phone.whoami())
        assert me.user == "multi"
        devices = {device.name: device for device in done(phone.devices()).devices}
        assert set(devices) == {"phone", "laptop"}
        assert devices["phone"].device_id == me.device_id and devices["phone"].current and not devices["laptop"].current
        done(phone.revoke_device(devices["laptop"].device_id))
        shut = until(laptop, lambda event: event.type == EventType.STATE and event.status == Error.REVOKED)
        assert shut.status == Error.REVOKED


def test_logout_wipes(server, tmp_path):
    database = tmp_path / "out.db"
    with client(server, "leaver", database) as leaver:
        until_live(leaver)
        conversation = done(leaver.send_direct("leaver", "a secret of mine")).conversation_id
        until_message(leaver, "a secret of mine")
        assert done(leaver.logout()).status == 0
    assert not any(b"a secret of mine" in path.read_bytes() for path in tmp_path.iterdir())
    with Client(database=database) as blank:
        with pytest.raises(ChatError):
            done(blank.history(conversation))


def test_a_wrong_token_is_told(server):
    with Client(server.url, "nobody knows this") as stranger:
        shut = until(stranger, lambda event: event.type == EventType.STATE and event.status == Error.AUTH)
        assert shut.state
