# SPDX-License-Identifier: Apache-2.0
"""kill -9 of chatd, of clients and of both in the middle of sending, again and again: what entered an outbox, and so what was accepted, is there exactly once and in its
sender's order, and everybody has the same."""

import pathlib
import subprocess
import sys
from contextlib import ExitStack

from libchat import EventType, Tick
from people import bodies, client, conversation_of, done, eventually, same_everywhere, until, until_caught_up, until_live, until_message

KILLS = 12
SENDER = pathlib.Path(__file__).with_name("sender.py")


def is_accepted(event):
    return event.type == EventType.OUTBOX and event.message.tick == Tick.SENT


def check_each_once_in_order(events, sent):
    """sent: user → what it sent, in its order."""
    for user, texts in sent.items():
        assert [event.text for event in events if event.sender == user and event.body] == texts


def test_chatd_is_killed_in_the_middle_of_sending(server):
    names = ["ann", "ben", "cid"]
    with ExitStack() as stack:
        people = {name: stack.enter_context(client(server, name)) for name in names}
        for person in people.values():
            until_live(person)
        group = done(people["ann"].create("Storm", names[1:])).conversation_id
        for name in names[1:]:
            until(people[name], lambda event: event.type == EventType.MESSAGE)
        sent = {name: [] for name in names}
        for kill in range(KILLS):
            for n in range(30):
                for name, person in people.items():
                    sent[name].append(f"{kill}:{n}")
                    person.send(group, sent[name][-1])
            # At a moment when some of these are accepted and others are not, another one each time.
            for _ in range(1 + kill % 5):
                until(people[names[kill % 3]], is_accepted)
            server.kill()
            server.start()
        total = 1 + 3 * 30 * KILLS
        for person in people.values():
            until_caught_up(person, group, total)
            assert eventually(lambda: conversation_of(person, group).pending, lambda pending: pending == 0) == 0
        check_each_once_in_order(same_everywhere(group, *people.values()), sent)


def test_what_was_accepted_survives_without_its_sender(server):
    """A sender without a database, that is gone when chatd comes back: nobody but the log has the message then."""
    accepted = []
    for kill in range(KILLS):
        with client(server, "ann") as ann:
            until_live(ann)
            ids = {}
            for n in range(30):
                reply = done(ann.send_direct("ben", f"{kill}:{n}"))
                ids[reply.client_id] = f"{kill}:{n}"
            for _ in range(1 + 2 * kill):
                accepted.append(ids.pop(until(ann, lambda event: is_accepted(event) and event.message.client_id in ids).message.client_id))
            server.kill()
            done(ann.set_online(False))
        server.start()
    with client(server, "ben", prefetch=1000) as ben, client(server, "ann", prefetch=1000) as ann:
        until_live(ann), until_live(ben)
        conversation = reply.conversation_id
        head = eventually(lambda: conversation_of(ben, conversation), lambda now: now and now.head >= len(accepted) and now.cursor == now.head).head
        until_caught_up(ann, conversation, head)
        texts = bodies(same_everywhere(conversation, ben, ann))
        assert len(set(texts)) == len(texts)
        assert [text for text in texts if text in set(accepted)] == accepted


class Sender:
    """A process of sender.py over one database, started again after each kill; what its processes said, over all of them."""

    def __init__(self, server, user, database, conversation):
        self.command = [sys.executable, str(SENDER), server.url, user, str(database), conversation.hex()]
        self.durable, self.accepted = [], []

    def start(self, *last):
        self.process = subprocess.Popen([*self.command, *last], stdout=subprocess.PIPE, text=True)

    def read(self, lines=None):
        """So many lines, or all."""
        for line in self.process.stdout:
            (self.accepted if line.startswith("+") else self.durable).append(int(line))
            lines = lines and lines - 1
            if lines == 0:
                return

    def kill(self):
        self.process.kill()
        self.read()
        self.process.wait()

    def finish(self, last):
        self.start(str(last))
        self.read()
        assert self.process.wait() == 0


def storm(server, tmp_path, kill_server):
    """Two senders in one conversation are killed; a third person watches."""
    with client(server, "watcher") as watcher:
        until_live(watcher)
        for user in "ann", "ben":
            with client(server, user, tmp_path / f"{user}.db") as person:
                until_live(person)
        group = done(watcher.create("Storm", ["ann", "ben"])).conversation_id
        done(watcher.send(group, "begin"))
        senders = [Sender(server, user, tmp_path / f"{user}.db", group) for user in ("ann", "ben")]
        for user in "ann", "ben":
            with client(server, user, tmp_path / f"{user}.db") as person:
                until_message(person, "begin")
        for kill in range(KILLS):
            for sender in senders:
                sender.start()
            for sender in senders:
                sender.read(5 + 9 * kill)
            if kill_server and kill % 3 == 2:
                server.kill()
                server.start()
            for sender in senders:
                sender.kill()
        for sender in senders:
            sender.finish(max(sender.durable) + 10)
        last = {sender: max(sender.durable) for sender in senders}
        total = 2 + sum(number + 1 for number in last.values())
        until_caught_up(watcher, group, total)
        with client(server, "ann", tmp_path / "ann.db") as ann, client(server, "ben", tmp_path / "ben.db") as ben:
            for person in ann, ben:
                until_caught_up(person, group, total)
            events = same_everywhere(group, watcher, ann, ben)
        for sender, user in zip(senders, ("ann", "ben")):
            # All that were said to be durable, and so all that were accepted, and nothing twice.
            assert len(set(sender.durable)) == len(sender.durable) and set(sender.accepted) <= set(range(last[sender] + 1))
            check_each_once_in_order(events, {user: [str(number) for number in range(last[sender] + 1)]})


def test_clients_are_killed_in_the_middle_of_sending(server, tmp_path):
    storm(server, tmp_path, kill_server=False)


def test_clients_and_chatd_are_killed(server, tmp_path):
    storm(server, tmp_path, kill_server=True)
