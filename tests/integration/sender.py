# SPDX-License-Identifier: Apache-2.0
"""A client process that is made to be killed: sends numbered messages, as many as it can, and says which are durable.

    sender.py URL USER DATABASE CONVERSATION [LAST]

Goes on behind the highest number that its own database has, in the history or the outbox. Prints a number as soon as its message is in the outbox; a `+` before it when the
server has accepted it. Ends at LAST, when all is committed; without it, never.
"""

import sys

from libchat import Client, EventType, Tick
from people import done, eventually, timeline

AHEAD = 20  # not answered yet at most, so that a kill finds some of each kind


def own_numbers(client, conversation):
    return [int(message.text) for message in timeline(client, conversation, local=True) if message.own and message.body]


def say(text):
    print(text, flush=True)


def tell_accepted(client, waiting):
    """Pulls what there is; waits where too many are not answered."""
    while event := client.wait(1 if len(waiting) >= AHEAD else 0):
        if event.type == EventType.OUTBOX and event.message.tick == Tick.SENT and event.message.client_id in waiting:
            say(f"+{waiting.pop(event.message.client_id)}")


def main(url, user, database, conversation, last=None):
    conversation = bytes.fromhex(conversation)
    with Client(url, f"dev:{user}", database, backoff_min="20ms", backoff_max="200ms") as client:
        number = max(own_numbers(client, conversation), default=-1) + 1
        waiting = {}
        while last is None or number <= int(last):
            sent = done(client.send(conversation, str(number)))
            waiting[sent.client_id] = number
            say(str(number))
            number += 1
            tell_accepted(client, waiting)
        eventually(lambda: done(client.conversation(conversation)).conversation.pending, lambda pending: pending == 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
