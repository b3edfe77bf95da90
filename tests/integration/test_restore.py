# SPDX-License-Identifier: Apache-2.0
"""The client's database is damaged, is restored from an old copy, or belongs to another process: noticed, repaired or refused, and no message lost or twice."""

import os
import pathlib
import shutil
import subprocess
import sys
import time

import pytest
from libchat import ChatError, Client, Error, EventType, State, Tick
from people import (
    DEADLINE_S,
    bodies, client, conversation_of, done, eventually, same_everywhere, timeline, until, until_caught_up, until_committed, until_live, until_message,
)

PAGE = 4096


def overwrite(path, first_page):
    """Garbage from this page of the file to its end."""
    size = path.stat().st_size
    assert size > (first_page + 4) * PAGE, "there is something to damage"
    with open(path, "r+b") as file:
        file.seek(first_page * PAGE)
        file.write(os.urandom(size - first_page * PAGE))


def files(path):
    return [one for one in path.parent.iterdir() if one.name.startswith(path.name)]


def copy(path, folder):
    folder.mkdir()
    for one in files(path):
        shutil.copy(one, folder)


def restore(path, folder):
    for one in files(path):
        one.unlink()
    for one in folder.iterdir():
        shutil.copy(one, path.parent)


@pytest.fixture
def ben(server):
    with client(server, "ben") as person:
        until_live(person)
        yield person


def with_history(server, ben, database):
    """ann has written and received 200 messages with this database; the conversation."""
    with client(server, "ann", database) as ann:
        until_live(ann)
        for n in range(100):
            conversation = done(ann.send_direct("ben", f"ann {n} " + "x" * 300)).conversation_id
        until_caught_up(ben, conversation, 100)
        for n in range(100):
            ben.send(conversation, f"ben {n} " + "y" * 300)
        until_caught_up(ann, conversation, 200)
        until_caught_up(ben, conversation, 200)
    return conversation


def write_offline(database, conversation, texts):
    """Into the outbox, without a connection."""
    with Client(database=database) as ann:
        for text in texts:
            done(ann.send(conversation, text))


def until_set_aside(person, database):
    event = until(person, lambda event: event.type == EventType.DATABASE)
    assert event.status == Error.CORRUPT
    aside = pathlib.Path(event.text)
    assert aside.exists() and aside.parent == database.parent
    return aside


# --- damage --------------------------------------------------------------------------------------------------------------


def test_damage_is_set_aside_the_outbox_saved_and_the_history_pulled_again(server, ben, tmp_path):
    database = tmp_path / "ann.db"
    conversation = with_history(server, ben, database)
    waiting = [f"waiting {n}" for n in range(5)]
    write_offline(database, conversation, waiting)
    overwrite(database, 30)
    with client(server, "ann", database, prefetch=1000) as ann:
        # After an orderly end the damage is met by the first read of it.
        ann.history(conversation, limit=200, local=True)
        until_set_aside(ann, database)
        until_caught_up(ben, conversation, 205)
        until_caught_up(ann, conversation, 205)
        texts = bodies(same_everywhere(conversation, ann, ben))
        assert texts[-5:] == waiting and len(set(texts)) == 205
        assert done(ann.verify(conversation)).head == 0
    with client(server, "ann", database) as ann:  # sound from now on
        until_live(ann)
        assert len(timeline(ann, conversation, local=True)) == 205


def test_a_file_that_is_no_database_any_more(server, ben, tmp_path):
    database = tmp_path / "ann.db"
    conversation = with_history(server, ben, database)
    overwrite(database, 0)
    with client(server, "ann", database) as ann:
        until_set_aside(ann, database)
        until_caught_up(ann, conversation, 200)
        assert len(same_everywhere(conversation, ann, ben)) == 200
        until_committed(ann, done(ann.send(conversation, "goes on")).client_id)
        until_message(ben, "goes on")


# --- an old copy ---------------------------------------------------------------------------------------------------------


def test_an_old_copy_loses_and_doubles_nothing(server, ben, tmp_path):
    """The copy has rows in its outbox that were sent after it was made; others are written with it before it is online again."""
    database = tmp_path / "ann.db"
    conversation = with_history(server, ben, database)
    pending = [f"pending {n}" for n in range(5)]
    write_offline(database, conversation, pending)
    copy(database, tmp_path / "copy")
    with client(server, "ann", database) as ann:
        until_caught_up(ann, conversation, 205)
        device = done(ann.whoami()).device_id
        later = [f"later {n}" for n in range(10)]
        for text in later:
            done(ann.send(conversation, text))
        until_caught_up(ann, conversation, 215)

    restore(database, tmp_path / "copy")
    fresh = [f"fresh {n}" for n in range(3)]
    write_offline(database, conversation, fresh)
    with client(server, "ann", database) as ann:
        until_live(ann)
        eventually(lambda: conversation_of(ann, conversation).pending, lambda pending: pending == 0)
        until_committed(ann, done(ann.send(conversation, "after all")).client_id)
        until_message(ben, "after all")
        texts = bodies(same_everywhere(conversation, ann, ben))
        assert texts[200:] == pending + later + fresh + ["after all"]
        assert done(ann.whoami()).device_id != device


def test_an_old_copy_again_and_again(server, ben, tmp_path):
    database = tmp_path / "ann.db"
    conversation = with_history(server, ben, database)
    copy(database, tmp_path / "copy")
    expected = []
    for time in range(5):
        restore(database, tmp_path / "copy")
        with client(server, "ann", database) as ann:
            until_live(ann)
            for n in range(5):
                expected.append(f"{time}:{n}")
                last = done(ann.send(conversation, expected[-1]))
            until_committed(ann, last.client_id)
    with client(server, "ann", database) as ann:
        until_caught_up(ann, conversation, eventually(lambda: conversation_of(ben, conversation).head, lambda head: head >= 225))
        assert bodies(same_everywhere(conversation, ann, ben))[200:] == expected


def drafts_until_settled(conversation, *people):
    """What is given back, as a draft or refused, until everybody is shut out, or is live and has nothing that waits. A draft is an event and nothing else: everybody is heard in turn."""
    drafts, states, quiet, deadline = [], {}, 0, time.monotonic() + DEADLINE_S

    def is_settled(person):
        state = states.get(person)
        return (state == State.SHUT_OUT and len(people) > 1) or (state == State.LIVE and conversation_of(person, conversation).pending == 0)

    while quiet < 3:
        assert time.monotonic() < deadline, f"not settled: {list(states.values())}"
        heard = 0
        for person in people:
            for event in person.events(0.2):
                heard += 1
                if event.type == EventType.STATE:
                    states[person] = event.state
                if event.type == EventType.DRAFT or (event.type == EventType.OUTBOX and event.message.tick == Tick.REFUSED):
                    drafts.append(event.message.text)
        quiet = quiet + 1 if heard == 0 and all(is_settled(person) for person in people) else 0
    return drafts


def test_two_copies_at_once_shut_each_other_out_and_lose_nothing(server, ben, tmp_path):
    """Who finds out takes a new device and retires the old one, whose later messages are refused. What was sent under a number that the other used too is committed, under a new number and
    so perhaps behind later ones (C7), or given back."""
    database = tmp_path / "ann.db"
    conversation = with_history(server, ben, database)
    copy(database, tmp_path / "copy")
    other = tmp_path / "copy" / "ann.db"
    expected, drafts = [], []
    with client(server, "ann", database) as one, client(server, "ann", other) as two:
        for n in range(10):
            for name, person in ("one", one), ("two", two):
                expected.append(f"{name}:{n}")
                done(person.send(conversation, expected[-1]))
        drafts += drafts_until_settled(conversation, one, two)
    # Whoever was shut out still has what it could not send.
    for path in database, other, database, other:
        with client(server, "ann", path) as person:
            drafts += drafts_until_settled(conversation, person)
    last = done(ben.send(conversation, "end")).client_id
    until_committed(ben, last)
    texts = bodies(timeline(ben, conversation))[200:-1]
    assert sorted(texts + drafts) == sorted(expected), " ".join(texts) + " | " + " ".join(drafts)


# --- another process -----------------------------------------------------------------------------------------------------


def test_a_second_process_is_refused_until_the_first_is_gone(server, tmp_path):
    database = tmp_path / "ann.db"
    holder = "import sys, libchat; c = libchat.Client(database=sys.argv[1]); c.start(); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", holder, database], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "open\n"
        with pytest.raises(ChatError) as busy, client(server, "ann", database):
            pass
        assert busy.value.code == Error.BUSY
        process.kill()
    with client(server, "ann", database) as ann:
        until_live(ann)
        sent = done(ann.send_direct("ann", "mine now"))
        assert until_committed(ann, sent.client_id).tick == Tick.SENT
