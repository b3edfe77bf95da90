# SPDX-License-Identifier: Apache-2.0
"""A member that is removed and added again reads exactly its intervals: as a live event, by catching up, on a new device, by search here and at the server."""

import pytest
from libchat import ChatError, Error, EventType, Role, Tick, Type
from people import (
    bodies, client, conversation_of, done, eventually, event_at, same_everywhere, timeline, until, until_caught_up, until_committed, until_live, until_message,
    until_tick, until_type,
)

MAY_READ = ["pebble one", "pebble two", "pebble five", "pebble six"]
MAY_NOT_READ = ["pebble three", "pebble four"]


def say(person, group, body):
    return until_committed(person, done(person.send(group, body)).client_id)


def remove_and_add_again(owner, guest_is_away=lambda: None, **options):
    """Two messages for the guest, two behind its back, two for it again; the group."""
    group = done(owner.create("Beach", ["guest", "third"], **options)).conversation_id
    say(owner, group, MAY_READ[0]), say(owner, group, MAY_READ[1])
    guest_is_away()
    done(owner.remove_member(group, "guest"))
    say(owner, group, MAY_NOT_READ[0]), say(owner, group, MAY_NOT_READ[1])
    done(owner.add_members(group, ["guest"]))
    say(owner, group, MAY_READ[2]), say(owner, group, MAY_READ[3])
    return group


def check_intervals(owner, guest, group):
    whole = timeline(owner, group)
    assert bodies(whole) == MAY_READ[:2] + MAY_NOT_READ + MAY_READ[2:]
    seen = timeline(guest, group)
    assert bodies(seen) == MAY_READ
    assert [message.type for message in seen] == [Type.CREATE, 1, 1, Type.MEMBER_REMOVE, Type.MEMBERS_ADD, 1, 1]
    # What it sees are the same events at the same places.
    assert [(m.seq, m.client_id) for m in seen] == [(m.seq, m.client_id) for m in whole if m.text not in MAY_NOT_READ]


def check_search(guest, group):
    for on_server in False, True:
        found = eventually(lambda: done(guest.search("pebble", on_server=on_server)).messages, lambda found: len(found) >= len(MAY_READ))
        assert sorted(bodies(found)) == sorted(MAY_READ)
        assert done(guest.search("three", group, on_server=on_server)).messages == []


@pytest.mark.parametrize("history_from_start", [False, True])
def test_one_that_is_there_all_the_time(server, history_from_start):
    with client(server, "owner") as owner, client(server, "guest") as guest:
        until_live(owner), until_live(guest)
        group = remove_and_add_again(owner, history_from_start=history_from_start)
        heard = []
        until(guest, lambda event: event.type == EventType.MESSAGE and (heard.append(event.message.text) or event.message.text == MAY_READ[-1]))
        assert [body for body in heard if body] == MAY_READ
        check_intervals(owner, guest, group)
        check_search(guest, group)


def test_one_that_is_away_meanwhile(server, tmp_path):
    with client(server, "owner") as owner, client(server, "guest", tmp_path / "guest.db") as guest:
        until_live(owner), until_live(guest)

        def go_away():
            until_message(guest, MAY_READ[1])
            done(guest.set_online(False))

        group = remove_and_add_again(owner, go_away)
        done(guest.set_online(True))
        until_message(guest, MAY_READ[-1])
        check_intervals(owner, guest, group)
        check_search(guest, group)


def test_a_new_device(server):
    with client(server, "owner") as owner:
        until_live(owner)
        group = remove_and_add_again(owner)
        with client(server, "guest") as guest:
            until_caught_up(guest, group, 9)
            check_intervals(owner, guest, group)
            check_search(guest, group)
            assert done(guest.verify(group)).head == 0


def test_a_former_member_keeps_what_it_had_and_gets_no_more(server, tmp_path):
    database = tmp_path / "guest.db"
    with client(server, "owner") as owner, client(server, "guest", database) as guest:
        until_live(owner), until_live(guest)
        group = done(owner.create("Beach", ["guest"])).conversation_id
        say(owner, group, "sunny")
        until_message(guest, "sunny")
        done(guest.send(group, "indeed"))
        until_message(owner, "indeed")
        done(owner.remove_member(group, "guest"))
        assert until_type(guest, Type.MEMBER_REMOVE).users == ["guest"]
        say(owner, group, "at last")
        left = conversation_of(guest, group)
        assert (left.role, left.head) == (Role.NONE, 4)
        assert bodies(timeline(guest, group)) == ["sunny", "indeed"]
        # What it writes now is refused, with a reason; whom it asks about, it is not told.
        try:
            done(guest.send(group, "let me in"))
            refused = until(guest, lambda event: event.type == EventType.OUTBOX and event.message.tick == Tick.REFUSED)
            assert refused.status == Error.NOT_FOUND
        except ChatError as error:
            assert error.code == Error.NOT_FOUND
        assert [member.user for member in done(owner.members(group)).members] == ["owner"]
    # Nor does a restart, or another device, tell it more.
    for path in database, tmp_path / "other.db":
        with client(server, "guest", path) as guest:
            until_live(guest)
            until_caught_up(guest, group, 4)
            assert "at last" not in bodies(timeline(guest, group))
            assert done(guest.search("last", on_server=True)).messages == []


def test_one_that_leaves_and_one_that_comes_later(server):
    with client(server, "owner") as owner, client(server, "early") as early, client(server, "late") as late:
        until_live(owner), until_live(early), until_live(late)
        group = done(owner.create("Beach", ["early"])).conversation_id
        say(owner, group, "first")
        until_message(early, "first")
        done(early.leave(group))
        until_type(owner, Type.LEAVE)
        say(owner, group, "second")
        done(owner.add_members(group, ["late"]))
        say(owner, group, "third")
        until_message(late, "third")
        assert bodies(timeline(early, group)) == ["first"]
        assert bodies(timeline(late, group)) == ["third"]


def test_from_the_start_shows_a_newcomer_everything(server):
    with client(server, "owner") as owner, client(server, "late") as late:
        until_live(owner), until_live(late)
        group = done(owner.create("Beach", [], history_from_start=True)).conversation_id
        say(owner, group, "first")
        done(owner.add_members(group, ["late"]))
        say(owner, group, "second")
        until_message(late, "second")
        assert bodies(same_everywhere(group, owner, late)) == ["first", "second"]


def test_receipts_follow_membership(server):
    with client(server, "owner") as owner, client(server, "guest") as guest, client(server, "third") as third:
        for person in owner, guest, third:
            until_live(person)
        group = done(owner.create("Beach", ["guest", "third"])).conversation_id
        first = say(owner, group, "for both")
        for person in guest, third:
            until_message(person, "for both")
        until_tick(owner, first, Tick.DELIVERED)
        done(guest.mark_read(group, first.seq))
        assert event_at(owner, group, first.seq).tick == Tick.DELIVERED  # the third has not
        done(owner.remove_member(group, "third"))
        until_type(third, Type.MEMBER_REMOVE)
        until_tick(owner, first, Tick.READ)  # who is gone is not waited for
        # A former member's marks are nobody's business any more.
        third.mark_read(group, first.seq)
        second = say(owner, group, "for one")
        until_message(guest, "for one")
        done(guest.mark_read(group, second.seq))
        until_tick(owner, second, Tick.READ)
        assert [member.user for member in done(owner.members(group)).members] == ["guest", "owner"]


def test_a_group_turned_into_a_channel_loses_nothing_on_the_way(server):
    """What is sent at once behind the turn, before anybody has subscribed, reaches everybody all the same."""
    with client(server, "owner") as owner, client(server, "guest") as guest, client(server, "third") as third:
        for person in owner, guest, third:
            until_live(person)
        group = done(owner.create("Beach", ["guest", "third"])).conversation_id
        until_type(guest, Type.CREATE)
        done(owner.make_channel(group))
        for n in range(5):
            done(owner.send(group, f"n{n}"))
        for person in owner, guest, third:
            until_message(person, "n4")
        assert bodies(same_everywhere(group, owner, guest, third)) == [f"n{n}" for n in range(5)]
