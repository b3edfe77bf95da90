# SPDX-License-Identifier: Apache-2.0
"""The disk is full, of a client and of a chatd that starts: said clearly, nothing that was durable is lost, and it goes on when there is space again."""

import subprocess
import sys
import textwrap

import pytest
from chatd import Chatd
from people import DEADLINE_S, bodies, client, done, same_everywhere, until_live, until_message
from small_disk import SmallDisk, skip_reason

pytestmark = pytest.mark.skipif(skip_reason() is not None, reason=str(skip_reason()))


class ChatdOnSmallDisk(Chatd):
    """Its data, not its log file, are on the small disk."""

    def __init__(self, disk, *options):
        super().__init__(f"--data={disk.folder}/data", *options)
        self.disk = disk

    def command(self):
        return [*self.disk.enter, *super().command()]


@pytest.fixture
def disk(tmp_path):
    with SmallDisk(tmp_path / "disk", 200) as disk:  # the log makes files of 64 MiB
        yield disk


def test_chatd_does_not_start_on_a_full_disk_and_says_why(disk):
    disk.fill()
    with pytest.raises(RuntimeError, match="FULL|space"), ChatdOnSmallDisk(disk):
        pass
    disk.free()
    with ChatdOnSmallDisk(disk) as server, client(server, "ann") as ann:
        until_live(ann)


CLIENT = """
    import sys
    from libchat import ChatError, Client, EventType
    from people import done, until, until_live
    url, database = sys.argv[1:]
    with Client(url, "dev:ann", database) as ann:
        until_live(ann)
        conversation = done(ann.send_direct("ben", "first")).conversation_id
        print("fill", flush=True)
        sys.stdin.readline()
        number, errors = 0, 0
        while errors == 0:
            try:
                done(ann.send(conversation, f"{number} " + "x" * 8192))
                print("durable", number, flush=True)
                number += 1
            except ChatError as error:
                errors += 1
                print("error", error.name, flush=True)
        told = until(ann, lambda event: event.type == EventType.DATABASE)
        print("told", told.status, flush=True)
        sys.stdin.readline()
        done(ann.send(conversation, "space again"))
        until(ann, lambda event: event.type == EventType.MESSAGE and event.message.text == "space again")
        print("end", flush=True)
"""


def test_a_client_on_a_full_disk(server, disk):
    with client(server, "ben") as ben:
        until_live(ben)
        command = [*disk.enter, sys.executable, "-c", textwrap.dedent(CLIENT), server.url, str(disk.folder / "ann.db")]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout.readline() == "fill\n"
            disk.fill()
            print("go", file=process.stdin, flush=True)
            lines = []
            for line in process.stdout:
                lines.append(line.split())
                if lines[-1][0] == "told":
                    break
            durable = [number for what, number in lines if what == "durable"]
            assert ["error", "CHAT_E_FULL"] in lines and lines[-1] == ["told", "-11"]
            disk.free()
            print("go", file=process.stdin, flush=True)
            assert process.stdout.readline() == "end\n"
            assert process.wait(DEADLINE_S) == 0
        until_message(ben, "space again")
        conversation = done(ben.conversations()).conversations[0].conversation_id
        texts = bodies(same_everywhere(conversation, ben))
        assert [text.split()[0] for text in texts] == ["first", *durable, "space"]
