# SPDX-License-Identifier: Apache-2.0
"""The kill campaign (`make chaos`): a chatd and 50 people who chat, and everything that can happen to their processes, disks and clocks. Then everybody must have the same, and all that was
accepted must be there once and in order (oracle.py).

    campaign.py [--kills N] [--seconds S] [--seed N] [--pause MS] [--keep]

Ends when chatd was killed so often, or when the time is over. The seed draws what happens; when each process gets its share of the machine it does not decide.
"""

import argparse
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "integration"), str(TESTS.parent / "bindings" / "python")]

from chatd import BUILD, Chatd  # noqa: E402
from crowd import Crowd, unsettled  # noqa: E402
from fate import PLACES, Fate  # noqa: E402
from oracle import World, unread  # noqa: E402
from person import Person  # noqa: E402
from small_disk import SmallDisk, skip_reason  # noqa: E402

YEAR_MS = 365 * 86400 * 1000
CHATD_DISK_MIB, PEOPLE_DISK_MIB = 500, 700
PEOPLE_FATES = 10  # groups of people who share a clock; who dies in a commit is whoever of them comes to it
SETTLE_S = 180
WITNESSES = 6


class ChatdWithFate(Chatd):
    def __init__(self, folder, fate, enter):
        super().__init__("--heartbeat=1s", "--idle=2s", "--log-level=warn", folder=folder, env=fate.env)
        self.fate, self.enter = fate, enter

    def command(self):
        return [*self.enter, *super().command()]


class Campaign:
    def __init__(self, folder, seed, pause_ms, disks):
        self.draw = random.Random(seed)
        self.folder = folder
        library = BUILD / "tests" / "fate.so"
        self.server_disk, self.people_disk = disks
        self.fate = Fate(folder / "fate-chatd", library)
        self.fates = [Fate(folder / f"fate-{i}", library) for i in range(PEOPLE_FATES)]
        self.server = ChatdWithFate(folder / "chatd", self.fate, self.server_disk.enter if self.server_disk else ())
        self.crowd = Crowd(folder, str(BUILD / "tests" / "chaos-person"), self.fates, pause_ms, seed, self.people_disk.enter if self.people_disk else ())
        self.began = time.monotonic()
        self.did = Counter()
        self.problems = []

    # --- chatd ----------------------------------------------------------------------------------------------------

    def start_chatd(self):
        """It may be made to die while it starts."""
        while True:
            try:
                return self.server.start()
            except RuntimeError as error:
                place = self.fate.lives()
                if not place:
                    raise RuntimeError(f"chatd does not start:\n{self.server.log()[-3000:]}") from error
                self.count_chatd_kill("starting")

    def count_chatd_kill(self, how):
        self.did["chatd killed"] += 1
        self.did[f"chatd killed {how}"] += 1

    def kill_chatd(self, how="at a random moment"):
        code = self.server.kill()
        if code != -signal.SIGKILL:
            self.problems.append(f"chatd ended by itself, with {code}")
        self.count_chatd_kill(how)

    def restart_chatd(self):
        if self.draw.random() < 0.15:
            self.fate.dies_at(self.draw.choice(list(PLACES)), self.draw.randint(1, 40))
        self.start_chatd()
        if self.fate.lives():
            self.reap_chatd("starting")
            self.start_chatd()

    def reap_chatd(self, how):
        code = self.server.wait(30)
        if code != -signal.SIGKILL:
            self.problems.append(f"chatd ended by itself, with {code}")
        self.count_chatd_kill(how)

    def chatd_is_killed(self):
        self.kill_chatd()
        self.sleep(0, 0.3)
        self.restart_chatd()

    def chatd_dies_in_a_commit(self):
        self.fate.dies_at(self.draw.choice(list(PLACES)[:4]), self.draw.randint(1, 60))
        until = time.monotonic() + 3
        while time.monotonic() < until and self.server.running():
            time.sleep(0.01)
        place = self.fate.lives()
        if place:
            self.reap_chatd("in a commit")
            self.did[f"chatd killed {place}"] += 1
        else:
            self.kill_chatd()
        self.restart_chatd()

    def chatd_is_stopped(self):
        """Longer than sessions live without a word, or only for a moment; then it goes on, or dies without having gone on."""
        self.server.signal(signal.SIGSTOP)
        self.did["chatd stopped"] += 1
        self.sleep(*((2.5, 5) if self.draw.random() < 0.4 else (0.1, 1)))
        if self.draw.random() < 0.3:
            self.kill_chatd("while stopped")
            self.restart_chatd()
        else:
            self.server.signal(signal.SIGCONT)

    def chatd_reloads(self):
        self.server.signal(signal.SIGHUP)
        self.did["reloads"] += 1

    # --- people ---------------------------------------------------------------------------------------------------

    def some(self, at_most=12):
        return self.draw.sample(self.crowd.people, self.draw.randint(1, at_most))

    def kill(self, people):
        for person in people:
            code = person.kill()
            self.did["people killed"] += 1
            if code != -signal.SIGKILL:
                self.problems.append(f"{person.device} ended by itself, with {code}")

    def people_are_killed(self):
        people = self.some()
        self.kill(people)
        self.sleep(0, 0.3)
        for person in people:
            person.start(self.server.url)

    def people_die_in_a_commit(self):
        fates = self.draw.sample(self.fates, 3)
        for fate in fates:
            fate.dies_at(self.draw.choice(list(PLACES)[:4]), self.draw.randint(1, 60))
        self.sleep(0.3, 1)
        for fate in fates:
            fate.lives()
        self.revive()

    def revive(self):
        for person in self.crowd.people:
            if person.running():
                continue
            code = person.wait()
            self.did["people killed"] += 1
            self.did["people killed in a commit"] += 1
            if code != -signal.SIGKILL:
                self.problems.append(f"{person.device} ended by itself, with {code}")
            person.start(self.server.url)

    def all_are_killed(self):
        """As when the machine that all of them run on dies, but for its disk."""
        people = self.some(30)
        self.kill_chatd()
        self.kill(people)
        for person in people:
            person.start(self.server.url)
        self.restart_chatd()

    def people_are_stopped(self):
        people = self.some()
        for person in people:
            person.process.send_signal(signal.SIGSTOP)
        self.did["people stopped"] += len(people)
        self.sleep(0.3, 3)
        for person in people:
            person.process.send_signal(signal.SIGCONT)

    # --- disks and clocks -----------------------------------------------------------------------------------------

    def chatd_has_no_space(self):
        if not self.server_disk:
            return
        self.server_disk.fill()
        self.did["chatd's disk full"] += 1
        self.sleep(0.2, 2)
        dies = self.draw.random() < 0.5
        if dies:
            self.kill_chatd("on a full disk")
        self.server_disk.free()
        if dies:
            self.restart_chatd()

    def people_have_no_space(self):
        if not self.people_disk:
            return
        self.people_disk.fill()
        self.did["people's disk full"] += 1
        self.sleep(0.2, 2)
        people = self.some(6) if self.draw.random() < 0.5 else []
        self.kill(people)
        self.people_disk.free()
        for person in people:
            person.start(self.server.url)

    def other_time(self):
        """Years both ways; now and then before the ids' time began, or behind its end."""
        far = self.draw.random()
        if far < 0.1:
            return -50 * YEAR_MS
        if far < 0.2:
            return 80 * YEAR_MS
        return self.draw.randint(-5 * YEAR_MS, 5 * YEAR_MS)

    def chatds_clock_jumps(self):
        self.fate.wall_ms = self.other_time()
        self.did["clock of chatd stepped"] += 1

    def peoples_clocks_jump(self):
        for fate in self.draw.sample(self.fates, 4):
            fate.wall_ms = self.other_time()
            self.did["clocks of people stepped"] += 1

    # --- the course -----------------------------------------------------------------------------------------------

    TROUBLES = [
        (chatd_is_killed, 8),
        (chatd_dies_in_a_commit, 8),
        (all_are_killed, 2),
        (chatd_is_stopped, 2),
        (people_are_killed, 4),
        (people_die_in_a_commit, 3),
        (people_are_stopped, 1),
        (chatd_has_no_space, 1),
        (people_have_no_space, 1),
        (chatds_clock_jumps, 2),
        (peoples_clocks_jump, 2),
        (chatd_reloads, 1),
    ]

    def say(self, what):
        print(f"{time.monotonic() - self.began:8.2f} {what}", flush=True)

    def sleep(self, low, high):
        time.sleep(self.draw.uniform(low, high))

    def check_alive(self):
        """Who came to its fate in the moment when that was taken back is found here; nobody ends by itself otherwise."""
        self.revive()
        if not self.server.running():
            self.reap_chatd("in a commit")
            self.start_chatd()

    def trouble(self, kills, seconds):
        """Each kind once, then as it is drawn: also a short campaign has seen all of it."""
        first = [do for do, _ in self.TROUBLES]
        self.draw.shuffle(first)
        until = time.monotonic() + seconds
        while first or (self.did["chatd killed"] < kills and time.monotonic() < until):
            do = first.pop() if first else self.draw.choices(*zip(*self.TROUBLES))[0]
            self.say(do.__name__)
            do(self)
            self.sleep(0.05, 0.8)
            self.check_alive()

    def settle(self):
        """Until everybody has everything, with a deadline; what is left of trouble is over."""
        self.crowd.tell("quiet")
        until = time.monotonic() + SETTLE_S
        while left := unsettled(self.crowd.where()):
            self.say(f"{len(left)} left: {left[:3]}")
            if time.monotonic() > until:
                self.problems += [f"not converged: {one}" for one in left]
                return
            time.sleep(1)

    def all_read(self):
        self.crowd.tell("read")
        self.settle()

    def testify(self):
        """device → what it has; as long as receipts are on their way they are waited for."""
        folder = self.folder / "testimonies"
        folder.mkdir()
        people, found = list(self.crowd.people), {}
        until = time.monotonic() + SETTLE_S
        while people:
            for person in people:
                found[person.device] = person.testify(folder / person.device)
            people = [person for person in people if unread(person.user, found[person.device])]
            if time.monotonic() > until:
                break
            if people:
                self.say(f"not read by all: {[(person.device, unread(person.user, found[person.device])[:2]) for person in people[:4]]}")
                time.sleep(1)
        return found

    def end_of_people(self):
        for person in self.crowd.people:
            if person.running() and (code := person.stop()) != 0:
                self.problems.append(f"{person.device} ended with {code}")

    def witnesses(self, world):
        """New devices of some users know what the server has, and it alone, after one more kill."""
        self.kill_chatd()
        self.start_chatd()
        heads = {conversation: len(events) for conversation, events in self.heads.items()}
        for user in self.draw.sample(sorted({person.user for person in self.crowd.people}), WITNESSES):
            wanted = {conversation: head for conversation, head in heads.items() if user in world.members[conversation]}
            self.witness(world, user, wanted)

    def witness(self, world, user, wanted):
        program = self.crowd.people[0].program
        person = Person(program, "witness", user, self.folder / f"witness-{user}.db", self.folder / f"witness-{user}")
        person.start(self.server.url)
        until = time.monotonic() + SETTLE_S
        while time.monotonic() < until:
            person.tell("where")
            known, _ = person.where()
            if all(conversation in known and known[conversation].cursor >= head for conversation, head in wanted.items()):
                break
            time.sleep(0.1)
        world.add_witness(user, person.testify(self.folder / f"witness-{user}.txt"))
        person.stop()

    def world(self):
        world = World()
        for conversation, users in self.crowd.groups.items():
            world.add_conversation(conversation, users)
        testimonies = self.testify()
        for person in self.crowd.people:
            world.add_device(person.device, person.user, person.diary.read_text().splitlines(), testimonies[person.device])
        self.heads = world.longest()
        for conversation in self.heads.keys() - world.members.keys():
            world.add_conversation(conversation, {event.sender for event in self.heads[conversation]} | self.partners(conversation, world))
        return world

    def partners(self, conversation, world):
        """Of a direct conversation: those who have it, who must be two users."""
        return {user for user, events in world.timelines.values() if conversation in events}

    def run(self, kills, seconds):
        self.server.start()
        try:
            self.crowd.make_groups(self.server.url)
            self.crowd.start(self.server.url)
            time.sleep(2)
            began = time.monotonic()
            self.trouble(kills, seconds)
            self.trouble_s = time.monotonic() - began
            began = time.monotonic()
            self.settle()
            self.all_read()
            self.settle_s = time.monotonic() - began
            world = self.world()
            self.end_of_people()
            self.witnesses(world)
            self.problems += world.judge()
            return world
        finally:
            self.end()

    def end(self):
        for person in self.crowd.people:
            if person.process:
                person.process.kill()
        if self.server.process:
            self.server.kill()


def told(campaign, world):
    figures = world.figures()
    did = campaign.did
    kinds = ", ".join(f"{count} {name}" for name, count in sorted(did.items()))
    yield f"{campaign.trouble_s:.0f} s of trouble: {kinds}"
    yield (
        f"{figures['entered']} messages entered, {figures['accepted']} seen to be accepted, {figures['committed']} committed, {figures['shown']} shown on {len(world.devices)} devices in "
        f"{figures['lives']} lives; {len(campaign.problems)} problems; at one {campaign.settle_s:.0f} s after the end of trouble"
    )


def with_disks(folder, run):
    reason = skip_reason()
    if reason:
        print(f"note: no full disks: {reason}")
        return run((None, None))
    with SmallDisk(folder / "chatd", CHATD_DISK_MIB) as server_disk, SmallDisk(folder / "people", PEOPLE_DISK_MIB) as people_disk:
        return run((server_disk, people_disk))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seconds", type=int, default=900)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 31))
    parser.add_argument("--pause", type=int, default=1500)
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    print(f"note: seed {options.seed}", flush=True)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="chaos-"))

    def run(disks):
        campaign = Campaign(folder, options.seed, options.pause, disks)
        world = campaign.run(options.kills, options.seconds)
        for line in told(campaign, world):
            print(f"note: {line}")
        for problem in campaign.problems[:50]:
            print(f"problem: {problem}")
        return len(campaign.problems)

    # Whatever hangs is a failure.
    signal.alarm(options.seconds + 3 * SETTLE_S + 300)
    failed = with_disks(folder, run)
    if failed or options.keep:
        print(f"all of it is in {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{int(not failed)} passed, {int(bool(failed))} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
