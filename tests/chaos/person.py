# SPDX-License-Identifier: Apache-2.0
"""A process of chaos-person (person.c): started, killed, asked. Its diary and its database outlive it."""

import subprocess
from dataclasses import dataclass


@dataclass
class Where:
    """What a device knows of a conversation."""

    head: int
    cursor: int
    pending: int


class Person:
    def __init__(self, program, device, user, database, diary, pause_ms=0, peers=(), fate=None, enter=()):
        self.program, self.device, self.user = program, device, user
        self.database, self.diary = database, diary
        self.pause_ms, self.peers = pause_ms, list(peers)
        self.fate, self.enter = fate, list(enter)
        self.process = None

    def start(self, url):
        command = [*self.enter, self.program, url, self.user, self.device, str(self.database), str(self.diary), str(self.pause_ms), *self.peers]
        env = self.fate.environment() if self.fate else None
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)

    def running(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        self.process.kill()
        return self.wait()

    def wait(self, timeout_s=30):
        """Its exit code."""
        process, self.process = self.process, None
        code = process.wait(timeout_s)
        process.stdin.close()
        process.stdout.close()
        return code

    def stop(self):
        """In order; its exit code."""
        self.process.stdin.close()
        return self.wait(60)

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.device} has ended, with {self.process.wait(30)}")
        return line.split()

    def where(self):
        """After tell("where"): conversation → Where, and whether a message is not in the outbox yet."""
        found = {}
        while (words := self.answer())[0] == "at":
            found[words[1]] = Where(*map(int, words[3:]))
        return found, words[1] == "1"

    def testify(self, path):
        self.tell(f"testify {path}")
        status = self.answer()[1]
        if status != "0":
            raise RuntimeError(f"{self.device} cannot read its database: {status}")
        return path.read_text().splitlines()
