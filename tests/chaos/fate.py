# SPDX-License-Identifier: Apache-2.0
"""The campaign's side of fate.h: what a process that has fate.so preloaded takes for the time, and where it dies."""

import mmap
import os
import pathlib
import struct

LAYOUT = struct.Struct("=qiii")
PLACES = {"before a write": 1, "in a write": 2, "before a sync": 3, "after a sync": 4, "before a rename": 5, "after a rename": 6}


class Fate:
    def __init__(self, path, library):
        self.path = pathlib.Path(path)
        self.path.write_bytes(bytes(mmap.PAGESIZE))
        with open(self.path, "r+b") as file:
            self.page = mmap.mmap(file.fileno(), mmap.PAGESIZE)
        self.env = {"LD_PRELOAD": str(library), "CHAOS_FATE": str(self.path)}

    def environment(self):
        return {**os.environ, **self.env}

    def _get(self):
        return LAYOUT.unpack_from(self.page)

    @property
    def wall_ms(self):
        return self._get()[0]

    @wall_ms.setter
    def wall_ms(self, value):
        struct.pack_into("=q", self.page, 0, value)

    def dies_at(self, place, countdown):
        """In the countdown-th call of this kind from now."""
        struct.pack_into("=iii", self.page, 8, 0, countdown, 0)
        struct.pack_into("=i", self.page, 8, PLACES[place])

    def lives(self):
        """It does not die any more; the place where it has, or None."""
        died = self.died
        struct.pack_into("=iii", self.page, 8, 0, 0, 0)
        return died

    @property
    def died(self):
        number = self._get()[3]
        return next((place for place, code in PLACES.items() if code == number), None)
