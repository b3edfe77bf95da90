# SPDX-License-Identifier: Apache-2.0
"""The examples of bindings/python/README.md, run as they stand."""

import pathlib
import re
import subprocess
import sys

import pytest
from people import DEADLINE_S, client, until_live, until_message

README = pathlib.Path(__file__).resolve().parents[2] / "bindings" / "python" / "README.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)


def test_the_examples_are_found():
    assert len(EXAMPLES) == 2
    assert all(len(example.splitlines()) <= 15 for example in EXAMPLES)


@pytest.mark.parametrize("number", range(2))
def test_example(server, tmp_path, number):
    program = tmp_path / "example.py"
    program.write_text(EXAMPLES[number])
    peer = f"peer{number}"
    with client(server, peer) as other:
        until_live(other)
        command = [sys.executable, program, server.url, f"dev:reader{number}", peer, "from the README"]
        run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=DEADLINE_S)
        assert (run.returncode, run.stderr) == (0, "")
        assert run.stdout.splitlines()[-1] == f"{peer} has it"
        assert until_message(other, "from the README").sender == f"reader{number}"
