# SPDX-License-Identifier: Apache-2.0
"""The oracle finds what it is there for: a world in which all is well, and the same with one thing wrong."""

import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from crowd import unsettled  # noqa: E402
from oracle import World  # noqa: E402
from person import Where  # noqa: E402

A1, A2, B1 = "a1" * 16, "a2" * 16, "b1" * 16
PAIR, OTHER = "01" + "c" * 30, "01" + "d" * 30
IDS = {1: (A1, "ann", "d0:1:x"), 2: (B1, "ben", "d1:1:yy"), 3: (A2, "ann", "d0:2:")}


def diary_of(device):
    shown = [f"S {PAIR} {seq} {client_id} {user}" for seq, (client_id, user, _) in IDS.items()]
    if device == "d1":
        return ["L", f"N 1 {PAIR} {B1}", f"E {B1}", f"A {B1}", f"C {B1} 2", *shown]
    return ["L", f"N 1 {PAIR} {A1}", f"E {A1}", f"A {A1}", "L", f"C {A1} 1", f"N 2 {PAIR} {A2}", f"E {A2}", *shown]


def what_has(user):
    return [f"T {PAIR} {seq} {100 + seq} {client_id} {sender} {3 if sender == user else 0} 1 {body}" for seq, (client_id, sender, body) in IDS.items()]


def everything():
    """Each a list of lines that a test may change."""
    return {"d0": diary_of("d0"), "d1": diary_of("d1"), "ann": what_has("ann"), "ben": what_has("ben"), "server": what_has("ben")}


def judged(lines):
    world = World()
    world.add_conversation(PAIR, {"ann", "ben"})
    world.add_conversation(OTHER, {"cid"})
    world.add_device("d0", "ann", lines["d0"], lines["ann"])
    world.add_device("d1", "ben", lines["d1"], lines["ben"])
    world.add_witness("ben", lines["server"])
    return world.judge()


def test_a_world_in_which_all_is_well():
    assert judged(everything()) == []


def without(lines, who, pattern):
    """Everywhere where `who` says: the lines that match are gone."""
    for name in who.split():
        kept = [line for line in lines[name] if not re.search(pattern, line)]
        assert kept != lines[name]
        lines[name] = kept


def replaced(lines, who, pattern, by):
    for name in who.split():
        changed = [re.sub(pattern, by, line) for line in lines[name]]
        assert changed != lines[name]
        lines[name] = changed


ALL = "ann ben server"

WRONGS = {
    "the server has lost the last": (lambda w: without(w, "server", f" {A2} "), "a new device of ben has 2 of 3"),
    "a device has not got the last": (lambda w: without(w, "ben", f" {A2} "), "d1 has 2 of 3"),
    "nobody has what was accepted": (lambda w: (without(w, ALL, f" {A2} "), w["d0"].append(f"A {A2}")), f"{A2} was accepted and is lost"),
    "nobody has what was entered": (lambda w: without(w, ALL, f" {A2} "), f"{A2} was entered and is lost"),
    "one is there twice": (lambda w: [w[who].append(f"T {PAIR} 4 104 {A1} ann 3 1 d0:1:x") for who in ALL.split()], f"{A1} is there 2 times"),
    "a sender's messages have changed places": (lambda w: replaced(w, "d0", "N 1 (.*)", r"N 3 \1"), "d0: its message 3 is out of order"),
    "two devices have another order": (
        lambda w: (replaced(w, "ben", f"T {PAIR} 1 ", f"T {PAIR} 9 "), replaced(w, "ben", f"T {PAIR} 2 ", f"T {PAIR} 1 "), replaced(w, "ben", f"T {PAIR} 9 ", f"T {PAIR} 2 ")),
        "d1 has 3 of 3 events",
    ),
    "a body is another one": (lambda w: replaced(w, "server", "d0:1:x", "d0:1:z"), "a new device of ben has 3 of 3 events"),
    "all have a body that was not sent": (lambda w: replaced(w, ALL, "d0:1:x", "d0:7:x"), f"{A1} has another body"),
    "another sender": (lambda w: replaced(w, ALL, f"{A1} ann", f"{A1} ben"), "of another sender"),
    "a number is missing": (lambda w: replaced(w, ALL, f"T {PAIR} 3 ", f"T {PAIR} 4 "), "is not dense"),
    "ids do not rise": (lambda w: replaced(w, ALL, " 103 ", " 102 "), "message ids do not rise"),
    "nobody wrote it": (lambda w: without(w, "d1", f"^[NEAC].*{B1}"), f"{B1} was entered by nobody"),
    "said to be at another place": (lambda w: replaced(w, "d0", f"C {A1} 1", f"C {A1} 2"), f"{A1} was said to be at 2 and is at 1"),
    "said to be at two places": (lambda w: w["d0"].append(f"C {A1} 3"), "committed at two places"),
    "shown twice": (lambda w: w["d1"].append(f"S {PAIR} 3 {A2} ann"), f"d1 was shown 3 of {PAIR} behind 3"),
    "shown in another order": (lambda w: w["d1"].insert(6, w["d1"].pop(5)), f"d1 was shown 1 of {PAIR} behind 2"),
    "shown what is not there": (lambda w: replaced(w, "d1", f"S {PAIR} 3 {A2}", f"S {PAIR} 3 {A1}"), "what is not there"),
    "refused": (lambda w: w["d0"].append(f"R {A2} -26"), "was refused"),
    "a damaged database": (lambda w: w["d0"].append("! damaged -12"), "d0: damaged -12"),
    "still in the outbox": (lambda w: w["ann"].append(f"O {PAIR} {A2}"), "still in the outbox"),
    "a gap": (lambda w: w["ann"].append(f"G {PAIR} 2"), "has a gap before 2"),
    "not known to be read": (lambda w: replaced(w, "ann", f"{A2} ann 3", f"{A2} ann 2"), "1 of its messages are not known to be read"),
    "a stranger reads it": (lambda w: replaced(w, "server", PAIR, OTHER), "of which ben is no member"),
}


@pytest.mark.parametrize("wrong", WRONGS)
def test_what_is_wrong_is_found(wrong):
    spoil, word = WRONGS[wrong]
    lines = everything()
    spoil(lines)
    assert any(word in problem for problem in judged(lines)), judged(lines)


SETTLED = {"d0": ({PAIR: Where(3, 3, 0)}, False), "d1": ({PAIR: Where(3, 3, 0)}, False)}


def test_a_crowd_that_is_at_one():
    assert unsettled(SETTLED) == []


@pytest.mark.parametrize("where", [({PAIR: Where(3, 2, 0)}, False), ({PAIR: Where(2, 2, 0)}, False), ({PAIR: Where(3, 3, 1)}, False), ({PAIR: Where(3, 3, 0)}, True)])
def test_a_crowd_that_is_not(where):
    assert len(unsettled({**SETTLED, "d1": where})) == 1
