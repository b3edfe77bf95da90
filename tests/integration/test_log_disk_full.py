# SPDX-License-Identifier: Apache-2.0
"""The disk of the log alone is full: nothing more is accepted, what is written meanwhile waits at its sender, and nothing is lost, also not by a kill."""

import time

import pytest
from chatd import Chatd
from people import client, done, eventually, until_live
from small_disk import SmallDisk, skip_reason

pytestmark = pytest.mark.skipif(skip_reason() is not None, reason=str(skip_reason()))

DISK_MIB = 200  # the first segment of 64 MiB, and what the ballast takes
KILL_S = 10
BODY = "x" * 60000
COUNT = 1200  # 72 MB: more than a segment


class ChatdWithLogOn(Chatd):
    """Its log, not its store, is on the small disk."""

    def __init__(self, disk, data):
        super().__init__(f"--data={data}", metrics=True)
        self.disk = disk

    def command(self):
        return [*self.disk.enter, *super().command()]


def lines(server, message):
    return sum(f'"msg":"{message}' in line and '"backend":"log"' in line for line in server.log().splitlines())


def conversation(person):
    found = done(person.conversations()).conversations
    return found[0] if found else None


def numbers(person):
    """The numbers of all messages in the person's own history, in order; bodies are large, so pages are small."""
    mine, before_seq, found = conversation(person), 0, []
    while True:
        page = done(person.history(mine.conversation_id, before_seq=before_seq, limit=10))
        found = [int(message.text.split()[0]) for message in page.messages] + found
        if not page.more or not page.messages:
            return found
        before_seq = page.messages[0].seq


def test_a_full_disk_of_the_log_loses_nothing_and_heals(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    with SmallDisk(data / "log", DISK_MIB) as disk, ChatdWithLogOn(disk, data) as server:
        with client(server, "ann", tmp_path / "ann.db", prefetch=10) as ann:
            until_live(ann)
            disk.fill()
            for number in range(COUNT):
                done(ann.send_direct("ben", f"{number} {BODY}"))
            assert eventually(lambda: server.get("/healthz"), lambda now: now[0] == 503) == (503, "CHAT_E_FULL")
            time.sleep(1)  # it tries again and again, and says it once
            assert server.running() and lines(server, "no space left") == 1 and lines(server, "there is space again") == 0
            assert conversation(ann).pending > 0

            began = time.monotonic()
            server.kill()
            assert time.monotonic() - began < KILL_S
            server.start()  # on the full disk
            eventually(lambda: server.get("/healthz"), lambda now: now[0] == 503)
            disk.free()
            eventually(lambda: conversation(ann).pending, lambda pending: pending == 0)
            assert eventually(lambda: server.get("/healthz")[0], lambda status: status == 200) == 200
            assert lines(server, "no space left") == 2 and lines(server, "there is space again") == 1
            assert numbers(ann) == list(range(COUNT))
