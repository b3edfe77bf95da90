# SPDX-License-Identifier: Apache-2.0
"""The programs that measure without a load: bench/store.c, bench/backlog.c."""

import json
import math
import subprocess
from types import SimpleNamespace

STREAK = 8  # messages in a row of a conversation (bench/store/history.h)
LONGEST_S = 3600


def measure(bench, program, *arguments):
    """What the program says, a line of JSON."""
    done = subprocess.run([bench.program(f"bench/{program}"), *map(str, arguments)], capture_output=True, text=True, timeout=LONGEST_S)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip())
    return SimpleNamespace(**json.loads(done.stdout))


class History:
    """A store full of messages, in the folder `data` of a chatd."""

    def __init__(self, bench, data, messages, conversations):
        self.bench, self.data, self.conversations = bench, data, conversations
        self.messages = math.ceil(messages / conversations / STREAK) * conversations * STREAK
        self.fill_s = measure(bench, "store", "fill", data, self.messages, conversations).seconds

    def pages(self, count):
        return measure(self.bench, "store", "pages", self.data, self.messages, self.conversations, count)


def short(count):
    """1000000 as 1 M."""
    return f"{count / 1e6:.3g} M" if count >= 1e6 else f"{count / 1e3:.3g} k"
