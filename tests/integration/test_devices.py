# SPDX-License-Identifier: Apache-2.0
"""Several devices of a user stay in step: what one sends and reads shows on the others, at once, after being away, and on a device that is new."""

from contextlib import ExitStack

from libchat import ChatError, EventType, Tick, Type
from people import (
    bodies, client, conversation_of, done, eventually, same_everywhere, timeline, until, until_caught_up, until_committed, until_live, until_message, until_tick,
)


def test_own_messages_and_reads_show_on_the_other_devices(server):
    with client(server, "ann") as phone, client(server, "ann") as laptop, client(server, "ben") as ben:
        until_live(phone), until_live(laptop), until_live(ben)
        sent = done(phone.send_direct("ben", "from the phone"))
        conversation = sent.conversation_id
        mirrored = until_message(laptop, "from the phone")
        assert mirrored.own and mirrored.client_id == sent.client_id and mirrored.device_id == done(phone.whoami()).device_id
        until_message(ben, "from the phone")

        done(ben.send(conversation, "for both"))
        assert not until_message(laptop, "for both").own
        got = until_message(phone, "for both")
        # One's own is read, wherever it was written.
        eventually(lambda: conversation_of(laptop, conversation).unread, lambda unread: unread == 1)
        done(phone.mark_read(conversation, got.seq))
        now = eventually(lambda: done(laptop.conversation(conversation)).conversation, lambda now: now.unread == 0)
        assert now.read == got.seq

        # The answer from the other device follows in the one order of the conversation.
        done(laptop.send(conversation, "from the laptop"))
        for person in phone, laptop, ben:
            until_message(person, "from the laptop")
        assert bodies(same_everywhere(conversation, phone, laptop, ben)) == ["from the phone", "for both", "from the laptop"]


def test_both_devices_show_the_same_ticks(server):
    with client(server, "ann") as phone, client(server, "ann") as laptop, client(server, "ben") as ben:
        until_live(phone), until_live(laptop)
        sent = done(phone.send_direct("ben", "tick"))
        got = until_message(ben, "tick")
        until_message(laptop, "tick")
        done(ben.mark_read(got.conversation_id, got.seq))
        for device in phone, laptop:
            done(device.open(sent.conversation_id))
            until_tick(device, got, Tick.READ)


def test_a_device_that_was_away_catches_up_with_what_its_sister_did(server, tmp_path):
    laptop_database = tmp_path / "laptop.db"
    with client(server, "ann") as phone, client(server, "ben") as ben:
        with client(server, "ann", laptop_database) as laptop:
            until_live(phone), until_live(laptop), until_live(ben)
            group = done(phone.create("Plans", ["ben"])).conversation_id
            until(laptop, lambda event: event.type == EventType.MESSAGE and event.message.type == Type.CREATE)
        for n in range(20):
            done((phone if n % 2 else ben).send(group, f"n{n}"))
        until_caught_up(phone, group, 21)
        done(phone.mark_read(group, 21))
        with client(server, "ann", laptop_database) as laptop:
            until_caught_up(laptop, group, 21)
            now = eventually(lambda: done(laptop.conversation(group)).conversation, lambda now: now.unread == 0)
            assert now.read == 21 and now.title == "Plans"
            same_everywhere(group, phone, laptop, ben)


def test_a_new_device_has_the_history_and_where_one_has_read(server):
    with client(server, "ann") as phone, client(server, "ben") as ben:
        until_live(phone), until_live(ben)
        for n in range(10):
            conversation = done(ben.send_direct("ann", f"old {n}")).conversation_id
        until_message(phone, "old 9")
        done(phone.mark_read(conversation, 6))
        eventually(lambda: done(ben.members(conversation)).members, lambda members: any(m.user == "ann" and m.read == 6 for m in members))
        with client(server, "ann") as tablet:
            until_live(tablet)
            until_caught_up(tablet, conversation, 10)
            now = done(tablet.conversation(conversation)).conversation
            assert (now.unread, now.read, now.peer) == (4, 6, "ben")
            same_everywhere(conversation, phone, tablet, ben)


def test_all_devices_send_at_once(server):
    with ExitStack() as stack:
        devices = [stack.enter_context(client(server, "ann")) for _ in range(4)]
        for device in devices:
            until_live(device)
        for n in range(25):
            for number, device in enumerate(devices):
                conversation = device.send_direct("ann", f"{number}:{n}")
        conversation = done(conversation).conversation_id
        for device in devices:
            until_caught_up(device, conversation, 100)
        everything = bodies(same_everywhere(conversation, *devices))
        for number in range(4):
            assert [body for body in everything if body.startswith(f"{number}:")] == [f"{number}:{n}" for n in range(25)]


def test_a_second_opener_of_a_database_is_refused(server, tmp_path):
    database = tmp_path / "one.db"
    with client(server, "ann", database) as first:
        until_live(first)
        second = client(server, "ann", database)
        try:
            second.start()
            raise AssertionError("two owners")
        except ChatError as error:
            assert error.name == "CHAT_E_BUSY"
        finally:
            second.close()
        until_committed(first, done(first.send_direct("ann", "still mine")).client_id)
    with client(server, "ann", database) as third:
        until_live(third)
        assert bodies(timeline(third, done(third.conversations()).conversations[0].conversation_id)) == ["still mine"]
