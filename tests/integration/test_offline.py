# SPDX-License-Identifier: Apache-2.0
"""Offline and back: what was missed is fetched, exactly; what was written meanwhile goes out, once."""

import pytest
from libchat import ChatError, Error, EventType, Network, State, Tick
from people import (
    bodies, client, done, eventually, same_everywhere, timeline, until, until_caught_up, until_committed, until_live, until_message, until_state,
)


def go_offline(person):
    done(person.set_online(False))
    until_state(person, State.OFFLINE)


def test_what_was_missed_is_fetched_exactly(server):
    with client(server, "ann") as ann, client(server, "ben") as ben:
        until_live(ann), until_live(ben)
        conversation = done(ann.send_direct("ben", "before")).conversation_id
        until_message(ben, "before")
        go_offline(ben)
        sent = [f"missed {n}" for n in range(50)]
        for body in sent:
            last = done(ann.send(conversation, body))
        until_committed(ann, last.client_id)
        assert bodies(timeline(ben, conversation, local=True)) == ["before"]
        done(ben.set_online(True))
        seqs = [until_message(ben, body).seq for body in sent]  # each as an event, in order
        assert seqs == list(range(2, 52))
        same_everywhere(conversation, ann, ben)


def test_a_new_device_fetches_the_newest_and_the_rest_when_asked(server, tmp_path):
    with client(server, "ann") as ann, client(server, "ben") as ben:
        until_live(ann)
        for n in range(450):
            sending = ann.send_direct("ben", f"n{n}")
        conversation = done(sending).conversation_id
        until_caught_up(ben, conversation, 450)
        # What no device has had is fetched whole; so the server is to know that one has.
        eventually(lambda: {member.user: member.delivered for member in done(ann.members(conversation)).members}, lambda delivered: delivered["ben"] == 450)
    with client(server, "ben", tmp_path / "new.db", prefetch=10) as tablet:
        until_live(tablet)
        until_caught_up(tablet, conversation, 450)
        go_offline(tablet)
        with pytest.raises(ChatError) as offline:
            done(tablet.history(conversation, limit=200))
        here = offline.value.event.messages
        assert offline.value.code == Error.OFFLINE and [message.seq for message in here] == list(range(441, 451))
        assert offline.value.event.more
        done(tablet.set_online(True))
        until_live(tablet)
        assert bodies(timeline(tablet, conversation)) == [f"n{n}" for n in range(450)]
        go_offline(tablet)
        assert len(timeline(tablet, conversation)) == 450  # it is here now


def test_what_is_written_offline_waits_visibly_and_goes_out_in_order(server, tmp_path):
    database = tmp_path / "ann.db"
    with client(server, "ann", database) as ann, client(server, "ben") as ben:
        until_live(ann), until_live(ben)
        conversation = done(ann.send_direct("ben", "first")).conversation_id
        until_message(ben, "first")
        go_offline(ann)
        for n in range(10):
            done(ann.send(conversation, f"later {n}"))
        pending = timeline(ann, conversation, local=True)[-10:]
        assert [(message.seq, message.tick, message.text) for message in pending] == [(0, Tick.PENDING, f"later {n}") for n in range(10)]
        assert done(ann.conversation(conversation)).conversation.pending == 10
    # Another process of the same user: the outbox is in the database.
    with client(server, "ann", database) as ann, client(server, "ben") as ben:
        until_caught_up(ann, conversation, 11)
        until_caught_up(ben, conversation, 11)
        assert bodies(same_everywhere(conversation, ann, ben)) == ["first"] + [f"later {n}" for n in range(10)]
        assert done(ann.conversation(conversation)).conversation.pending == 0


def test_what_was_never_sent_can_be_taken_back(server):
    with client(server, "ann") as ann, client(server, "ben") as ben:
        until_live(ann), until_live(ben)
        go_offline(ann)
        conversation = done(ann.send_direct("ben", "keep")).conversation_id
        regret = done(ann.send(conversation, "regret"))
        done(ann.send(conversation, "keep too"))
        done(ann.discard(regret.client_id))
        done(ann.set_online(True))
        until_message(ben, "keep too")
        assert bodies(same_everywhere(conversation, ann, ben)) == ["keep", "keep too"]


def test_a_server_that_comes_back(server):
    with client(server, "ann") as ann, client(server, "ben") as ben:
        until_live(ann), until_live(ben)
        conversation = done(ann.send_direct("ben", "before")).conversation_id
        until_message(ben, "before")
        assert server.stop() == 0
        until(ann, lambda event: event.type == EventType.STATE and event.state != State.LIVE)
        done(ann.send(conversation, "into the void"))
        done(ben.send(conversation, "me too"))
        server.start()
        for person in ann, ben:
            until_caught_up(person, conversation, 3)
        assert sorted(bodies(same_everywhere(conversation, ann, ben))) == ["before", "into the void", "me too"]


def test_a_suspended_client_catches_up(server, tmp_path):
    with client(server, "ann") as ann, client(server, "ben", tmp_path / "ben.db") as ben:
        until_live(ann), until_live(ben)
        conversation = done(ann.send_direct("ben", "before")).conversation_id
        until_message(ben, "before")
        ben.suspend()
        until_committed(ann, done(ann.send(conversation, "while it slept")).client_id)
        ben.resume()
        until_message(ben, "while it slept")
        ben.network_hint(Network.CHANGED)
        done(ann.send(conversation, "on another network"))
        until_message(ben, "on another network")
        same_everywhere(conversation, ann, ben)


def test_receipts_and_reads_made_offline_arrive_later(server):
    with client(server, "ann") as ann, client(server, "ben") as ben:
        until_live(ann), until_live(ben)
        conversation = done(ann.send_direct("ben", "read me later")).conversation_id
        until_message(ben, "read me later")
        go_offline(ben)
        done(ben.mark_read(conversation, 1))
        done(ann.open(conversation))
        done(ben.set_online(True))
        eventually(lambda: timeline(ann, conversation)[0].tick, lambda tick: tick == Tick.READ)
