# SPDX-License-Identifier: Apache-2.0
"""What must hold after a campaign, judged from diaries and testimonies alone (diary.h, person.h say what is in them).

    world = World()
    world.add_device("d1", "ann", diary_lines, testimony_lines)
    world.add_witness("ann", testimony_lines)      # a new device: what the server has
    world.add_conversation(id, {"ann", "ben"})
    problems = world.judge()                        # empty: nothing lost, twice or out of order, everybody has the same
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

READ = 3  # CHAT_TICK_READ
MESSAGE = "1"  # CHAT_TYPE_MESSAGE


@dataclass
class Event:
    conversation: str
    seq: int
    message_id: int
    client_id: str
    sender: str
    tick: int
    type: str
    body: str

    def facts(self):
        """What is the same on every device."""
        return (self.seq, self.message_id, self.client_id, self.sender, self.type, self.body)


@dataclass
class Device:
    user: str
    intents: dict = field(default_factory=dict)  # client_id → (number, conversation)
    entered: list = field(default_factory=list)
    accepted: set = field(default_factory=set)
    committed: dict = field(default_factory=dict)  # client_id → seq
    shown: list = field(default_factory=list)  # (conversation, seq, client_id, sender)
    lives: int = 0
    problems: list = field(default_factory=list)


def read_diary(user, lines):
    device = Device(user)
    for line in lines:
        what, *words = line.split(" ")
        if what == "L":
            device.lives += 1
        elif what == "N":
            device.intents[words[2]] = (int(words[0]), words[1])
        elif what == "E":
            device.entered.append(words[0])
        elif what == "A":
            device.accepted.add(words[0])
        elif what == "C":
            if device.committed.setdefault(words[0], int(words[1])) != int(words[1]):
                device.problems.append(f"{words[0]} was said to be committed at two places")
        elif what == "R":
            device.problems.append(f"{words[0]} was refused ({words[1]}), and nobody may refuse anything here")
        elif what == "S":
            device.shown.append((words[0], int(words[1]), words[2], words[3]))
        elif what == "!":
            device.problems.append(" ".join(words))
    return device


def read_testimony(lines):
    """(conversation → events, problems)."""
    events, problems = defaultdict(list), []
    for line in lines:
        what, conversation, *words = line.split(" ", 8)
        if what == "T":
            seq, message_id, client_id, sender, tick, kind, body = words
            events[conversation].append(Event(conversation, int(seq), int(message_id), client_id, sender, int(tick), kind, body))
        elif what == "O":
            problems.append(f"{words[0]} is still in the outbox")
        else:
            problems.append(f"{conversation} has a gap before {words[0]}")
    for timeline in events.values():
        timeline.sort(key=lambda event: event.seq)
    return events, problems


def unread(user, testimony):
    """(conversation, seq) of one's own messages of which it is not known that all have read them."""
    return [
        (event.conversation, event.seq)
        for events in read_testimony(testimony)[0].values()
        for event in events
        if event.sender == user and event.type == MESSAGE and event.tick != READ
    ]


class World:
    def __init__(self):
        self.devices = {}
        self.unread = {}
        self.timelines = {}  # who testifies → (user, conversation → events)
        self.members = {}
        self.problems = []

    def add_conversation(self, conversation, users):
        self.members[conversation] = set(users)

    def add_device(self, name, user, diary, testimony):
        self.devices[name] = device = read_diary(user, diary)
        self.problems += [f"{name}: {problem}" for problem in device.problems]
        self.unread[name] = unread(user, testimony)
        self._add_testimony(name, user, testimony)

    def add_witness(self, user, testimony):
        self._add_testimony(f"a new device of {user}", user, testimony)

    def _add_testimony(self, name, user, lines):
        events, problems = read_testimony(lines)
        self.timelines[name] = (user, events)
        self.problems += [f"{name}: {problem}" for problem in problems]

    def judge(self):
        self.truth = self.longest()
        self.place = {event.client_id: event for events in self.truth.values() for event in events}
        problems = list(self.problems)
        for check in (self._same_everywhere, self._one_order, self._nothing_twice, self._nothing_lost, self._senders_order, self._as_told, self._as_shown, self._all_read):
            problems += check()
        return problems

    def longest(self):
        """The longest timeline of each conversation: all others must be equal to it."""
        truth = {}
        for _, events in self.timelines.values():
            for conversation, timeline in events.items():
                if len(timeline) > len(truth.get(conversation, ())):
                    truth[conversation] = timeline
        return truth

    def _same_everywhere(self):
        for conversation, truth in self.truth.items():
            facts = [event.facts() for event in truth]
            for name, (user, events) in self.timelines.items():
                found = [event.facts() for event in events.get(conversation, ())]
                if user not in self.members[conversation]:
                    if found:
                        yield f"{name} has {conversation}, of which {user} is no member"
                elif found != facts:
                    yield f"{name} has {len(found)} of {len(facts)} events of {conversation}, or others"

    def _one_order(self):
        for conversation, truth in self.truth.items():
            if [event.seq for event in truth] != list(range(1, len(truth) + 1)):
                yield f"{conversation} is not dense"
            if any(before.message_id >= after.message_id for before, after in zip(truth, truth[1:])):
                yield f"{conversation}: message ids do not rise"

    def _nothing_twice(self):
        ids = Counter(event.client_id for truth in self.truth.values() for event in truth)
        yield from (f"{client_id} is there {count} times" for client_id, count in ids.items() if count > 1)

    def _nothing_lost(self):
        known = {client_id for device in self.devices.values() for client_id in device.intents}
        for name, device in self.devices.items():
            for client_id in {*device.entered, *device.accepted, *device.committed} - self.place.keys():
                word = "committed" if client_id in device.committed else "accepted" if client_id in device.accepted else "entered"
                yield f"{name}: {client_id} was {word} and is lost"
            for client_id, (number, conversation) in device.intents.items():
                event = self.place.get(client_id)
                if event and (event.conversation, event.sender) != (conversation, device.user):
                    yield f"{name}: {client_id} is in another conversation, or of another sender"
                if event and not event.body.startswith(f"{name}:{number}:"):
                    yield f"{name}: {client_id} has another body"
        yield from (f"{event.client_id} was entered by nobody" for event in self.place.values() if event.type == MESSAGE and event.client_id not in known)

    def _senders_order(self):
        for name, device in self.devices.items():
            last = {}
            for client_id, (number, conversation) in sorted(device.intents.items(), key=lambda item: item[1]):
                seq = self.place[client_id].seq if client_id in self.place else None
                if seq and seq < last.get(conversation, 0):
                    yield f"{name}: its message {number} is out of order"
                last[conversation] = seq or last.get(conversation, 0)

    def _as_told(self):
        for name, device in self.devices.items():
            for client_id, seq in device.committed.items():
                if client_id in self.place and self.place[client_id].seq != seq:
                    yield f"{name}: {client_id} was said to be at {seq} and is at {self.place[client_id].seq}"

    def _as_shown(self):
        for name, device in self.devices.items():
            last = defaultdict(int)
            for conversation, seq, client_id, sender in device.shown:
                if seq <= last[conversation]:
                    yield f"{name} was shown {seq} of {conversation} behind {last[conversation]}"
                last[conversation] = seq
                truth = self.truth.get(conversation, ())
                if seq > len(truth) or (truth[seq - 1].client_id, truth[seq - 1].sender) != (client_id, sender):
                    yield f"{name} was shown at {seq} of {conversation} what is not there"

    def _all_read(self):
        for name, late in self.unread.items():
            if late:
                yield f"{name}: {len(late)} of its messages are not known to be read, the first is {late[0][1]} of {late[0][0]}"

    def figures(self):
        devices = self.devices.values()
        return {
            "entered": sum(len(set(device.entered)) for device in devices),
            "accepted": sum(len(device.accepted) for device in devices),
            "committed": sum(event.type == MESSAGE for event in self.place.values()),
            "shown": sum(len(device.shown) for device in devices),
            "lives": sum(device.lives for device in devices),
        }
