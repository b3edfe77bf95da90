# SPDX-License-Identifier: Apache-2.0
"""A disk that can be full: a small tmpfs in a mount namespace of its own, for processes that are started in it.

    with SmallDisk(folder, size_mib=8) as disk:
        subprocess.Popen([*disk.enter, "program", str(folder)])
        disk.fill()      # no byte is left
        disk.free()

Needs the right to mount, of root or in a user namespace; where there is neither (some containers), `skip_reason()` says so.
"""

import os
import pathlib
import shutil
import subprocess

SCRIPT = 'mount -t tmpfs -o size="$2"m,mode=777 tmpfs "$1" && echo ready && exec cat'


def unshare():
    return ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]


def skip_reason():
    """None where it works."""
    if not shutil.which("unshare") or not shutil.which("nsenter"):
        return "no unshare and nsenter here"
    tried = subprocess.run([*unshare(), "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, text=True)
    return None if tried.returncode == 0 else f"a small disk cannot be mounted here: {tried.stderr.strip()}"


class SmallDisk:
    def __init__(self, folder, size_mib):
        self.folder = pathlib.Path(folder)
        self.size_mib = size_mib

    def __enter__(self):
        self.folder.mkdir(exist_ok=True)
        command = [*unshare(), "sh", "-c", SCRIPT, "sh", str(self.folder), str(self.size_mib)]
        self.holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.holder.stdout.readline() == "ready\n"
        user = [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
        self.enter = ["nsenter", f"--target={self.holder.pid}", "--mount", *user]
        return self

    def __exit__(self, *_error):
        self.holder.stdin.close()
        self.holder.wait(30)

    def run(self, script):
        return subprocess.run([*self.enter, "sh", "-c", script, "sh", str(self.folder)], capture_output=True, text=True)

    def fill(self):
        """To the last byte: files that have room inside a block of theirs may still grow by that."""
        assert "No space left" in self.run('cat /dev/zero >"$1/ballast"').stderr

    def free(self):
        assert self.run('rm "$1/ballast"').returncode == 0
