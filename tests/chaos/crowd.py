# SPDX-License-Identifier: Apache-2.0
"""Who chats with whom: 50 devices of 45 users, who write to one partner each, in groups of eight, and in one group of all."""

import random

from libchat import Client
from people import done, until_committed, until_live
from person import Person

USERS, DEVICES, GROUPS, GROUP_SIZE = 45, 50, 8, 8


def user_name(number):
    return f"u{number:02}"


def partner_of(number):
    """Of the last, who has none, the first: two friends then."""
    return 0 if number == USERS - 1 else number ^ 1


class Crowd:
    def __init__(self, folder, program, fates, pause_ms, seed, enter):
        self.folder = folder
        (folder / "diaries").mkdir()
        self.groups = {}  # conversation → users
        self.seed = seed
        databases = folder / "people"
        databases.mkdir(exist_ok=True)
        self.people = []
        for i in range(DEVICES):
            user = i % USERS
            peers = [user_name(partner_of(user))] + ([user_name(USERS - 1)] if user == 0 else [])
            files = databases / f"d{i:02}.db", folder / "diaries" / f"d{i:02}"
            self.people.append(Person(program, f"d{i:02}", user_name(user), *files, pause_ms, peers, fates[i % len(fates)], enter))

    def make_groups(self, url):
        """By a client that goes away: a group is known to its members before there is any trouble."""
        draw = random.Random(self.seed)
        everybody = [user_name(i) for i in range(USERS)]
        wanted = [draw.sample(everybody, GROUP_SIZE) for _ in range(GROUPS)] + [everybody]
        for number, users in enumerate(wanted):
            with Client(url, f"dev:{users[0]}", None, backoff_min="20ms", backoff_max="500ms") as maker:
                until_live(maker)
                made = done(maker.create(f"group {number}", users[1:], history_from_start=True))
                until_committed(maker, made.client_id)
                self.groups[made.conversation_id.hex()] = set(users)

    def start(self, url):
        for person in self.people:
            person.start(url)

    def where(self):
        """person → (conversation → Where, is something not in the outbox yet)."""
        for person in self.people:
            person.tell("where")
        return {person.device: person.where() for person in self.people}

    def tell(self, line):
        for person in self.people:
            person.tell(line)


def unsettled(where):
    """What keeps a crowd from being at one, by devices; empty: everybody has everything, and nothing waits."""
    heads = {}
    for known, _ in where.values():
        for conversation, at in known.items():
            heads[conversation] = max(heads.get(conversation, 0), at.head)
    found = []
    for device, (known, is_open) in where.items():
        if is_open:
            found.append(f"{device}: a message is not in the outbox")
        for conversation, at in known.items():
            if at.pending or at.cursor != heads[conversation]:
                found.append(f"{device}: {conversation} cursor {at.cursor}, head {at.head} of {heads[conversation]}, {at.pending} pending")
    return found
