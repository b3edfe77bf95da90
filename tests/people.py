# SPDX-License-Identifier: Apache-2.0
"""People who chat: clients of the Python binding at a chatd in --dev-mode, and what tests ask of them. Every wait has a deadline, generous because machines
are shared; where it passes, the test fails with the events that came instead."""

import time

import canaries
from libchat import ChatError, Client, Error, EventType, State, Tick

DEADLINE_S = 90


def _told(init):
    def heard(self, *args, **more):
        init(self, *args, **more)
        canaries.said("python-errors", str(self))

    return heard


ChatError.__init__ = _told(ChatError.__init__)  # whatever the binding says of an error is looked through for what it must not say


def client(server, user, database=None, **options):
    """To be entered; reconnects quickly."""
    canaries.sent("token", f"dev:{user}".encode())
    return Client(server.url, f"dev:{user}", database, backoff_min="20ms", backoff_max="500ms", **options)


def until(person, wanted):
    """The first event for which wanted(event) is true."""
    seen = []
    deadline = time.monotonic() + DEADLINE_S
    while (left := deadline - time.monotonic()) > 0:
        event = person.wait(left)
        if event is None:
            break
        if wanted(event):
            return event
        seen.append(event)
    raise AssertionError(f"it did not come; what came: {seen[-30:]}")


def until_state(person, state):
    return until(person, lambda event: event.type == EventType.STATE and event.state == state)


def until_live(person):
    return until_state(person, State.LIVE)


def until_message(person, body):
    """The message with this body, stored and with a seq."""
    body = body.encode() if isinstance(body, str) else body
    return until(person, lambda event: event.type == EventType.MESSAGE and event.message.body == body).message


def until_type(person, kind):
    """The first event of a conversation of this Type."""
    return until(person, lambda event: event.type == EventType.MESSAGE and event.message.type == kind).message


def until_committed(person, client_id):
    """One's own message has its place; the message with its seq."""
    committed = until(person, lambda event: event.type == EventType.OUTBOX and event.message.client_id == client_id and event.message.seq)
    return committed.message


def event_at(person, conversation_id, seq):
    """As it stands now."""
    return done(person.history(conversation_id, before_seq=seq + 1, limit=1)).messages[0]


def until_tick(person, message, tick):
    """One's own message has come so far, or further."""
    return eventually(lambda: event_at(person, message.conversation_id, message.seq), lambda now: tick <= now.tick < Tick.REFUSED)


def eventually(ask, wanted):
    """ask() again and again until wanted(answer); the answer."""
    deadline = time.monotonic() + DEADLINE_S
    while not wanted(answer := ask()):
        assert time.monotonic() < deadline, f"still: {answer}"
        time.sleep(0.05)
    return answer


def done(reply):
    """The reply of a request."""
    return reply.result(DEADLINE_S)


def timeline(person, conversation_id, local=False):
    """Every event of a conversation that the person has, in order."""
    pages = []
    before_seq = 0
    while True:
        page = done(person.history(conversation_id, before_seq=before_seq, limit=200, local=local))
        pages.insert(0, page.messages)
        if not page.more or not page.messages:
            return [message for messages in pages for message in messages]
        before_seq = page.messages[0].seq


def bodies(messages):
    return [message.text for message in messages if message.body]


def same_everywhere(conversation_id, *people):
    """Everybody has the same events in the same order, dense from 1, and nothing waits; the timeline."""
    timelines = [timeline(person, conversation_id) for person in people]
    seqs = [message.seq for message in timelines[0]]
    assert seqs == list(range(1, len(seqs) + 1))
    keys = [[(message.seq, message.message_id, message.client_id, message.payload) for message in one] for one in timelines]
    assert all(one == keys[0] for one in keys)
    return timelines[0]


def conversation_of(person, conversation_id):
    """As the person's own database has it; None: not heard of yet."""
    try:
        return done(person.conversation(conversation_id)).conversation
    except ChatError as error:
        if error.code != Error.NOT_FOUND:
            raise
        return None


def until_caught_up(person, conversation_id, seq):
    """The person's own database has everything up to seq."""
    return eventually(lambda: conversation_of(person, conversation_id), lambda now: now and now.cursor >= seq)
