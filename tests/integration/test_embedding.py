# SPDX-License-Identifier: Apache-2.0
"""The programs of docs/embedding.md are compiled as they stand there, by somebody who is strict, and talk to each other."""

import re
import subprocess

import pytest
from chatd import BUILD, ROOT
from cli import DEADLINE_S

SANITIZERS = ["-fsanitize=address,undefined"] if "-fsanitize" in (BUILD / "build.ninja").read_text() else []


def blocks():
    """{name: source} of the code blocks that have a name behind their language."""
    return dict(re.findall(r"^```c (\w+)\n(.*?)^```$", (ROOT / "docs" / "embedding.md").read_text(), re.DOTALL | re.MULTILINE))


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("embedding")
    library = next(BUILD.rglob("libchat-client.so")).parent
    for name, source in blocks().items():
        (folder / f"{name}.c").write_text(source)
        strict = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", *SANITIZERS]
        libraries = [f"-I{ROOT}/include", f"-L{library}", f"-Wl,-rpath,{library}", "-lchat-client", "-lchat-server"]
        subprocess.run(["cc", *strict, "-o", folder / name, folder / f"{name}.c", *libraries], check=True, timeout=DEADLINE_S)
    return folder


def test_they_are_about_as_long_as_promised():
    assert {name: source.count("\n") <= 45 for name, source in blocks().items()} == {"client": True, "server": True}


def test_they_talk_to_each_other(programs, tmp_path):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([programs / "server", tmp_path / "data"], text=True, **pipes) as server:
        try:
            url = server.stdout.readline().strip()

            def client(*words):
                return subprocess.run([programs / "client", url, *words], capture_output=True, text=True, timeout=DEADLINE_S, check=False)

            hello = client("alice:open sesame", "bob", "good morning")
            assert (hello.returncode, hello.stdout) == (0, "good morning\n"), hello.stderr
            assert server.stdout.readline() == "alice: good morning\n"
            reply = client("bob:open sesame", "alice", "and to you")
            assert reply.returncode == 0 and reply.stdout.splitlines()[-1] == "and to you"
            assert server.stdout.readline() == "bob: and to you\n"
            server.stdin.close()
            assert server.wait(DEADLINE_S) == 0
        finally:
            server.kill()
