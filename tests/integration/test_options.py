# SPDX-License-Identifier: Apache-2.0
"""chatd's command line: what it prints, where options come from and which wins, and the exit code of everything that is wrong."""

import os
import subprocess

import pytest
from chatd import Chatd, program

LOOPBACK = ("--listen=127.0.0.1:0", "--metrics=")
MEMORY = ("--dev-mode", "--log=mem", "--store=mem")


def chatd(*args, env=None):
    """One that ends by itself."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("CHATD_")}
    command = [program("chatd"), *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env={**variables, **(env or {})}, check=False)


@pytest.mark.parametrize(
    "argument, part",
    [
        ("--help", "--listen TEXT"),
        ("--help", "Exit codes: 0 "),
        ("--print-config", "#listen = 127.0.0.1:8300\n"),
        ("--print-options-md", "| `listen` | 127.0.0.1:8300 |"),
        ("--version", "chatd 0."),
    ],
)
def test_a_question_is_answered(argument, part):
    done = chatd(argument)
    assert done.returncode == 0 and part in done.stdout and done.stderr == ""


def test_the_sample_file_is_one_that_chatd_reads(tmp_path):
    sample = tmp_path / "chatd.conf"
    sample.write_text(chatd("--print-config").stdout + "\n# and what has no default\ndev-mode = true\nthreads = 0\n")
    done = chatd("--config", str(sample))
    assert done.returncode == 2 and "threads" in done.stderr  # so all lines before it were good


@pytest.mark.parametrize(
    "args, part",
    [
        (["--no-such-option=1"], "no-such-option"),
        (["--threads=many"], "threads"),
        (["--threads"], "a value is missing behind '--threads'"),
        (["--listen="], "listen"),
        (["stray"], "stray"),
        (["--dev-mode", "true"], "true"),
        (["--config", "/no/such/file"], "/no/such/file"),
        (["--config"], "config"),
        ([*LOOPBACK], "jwt-key"),
        ([*LOOPBACK, "--dev-mode", "--listen=0.0.0.0:0"], "dev-mode"),
        ([*LOOPBACK, *MEMORY, "--listen=localhost"], "listen"),
        ([*LOOPBACK, *MEMORY, "--roles=gateway"], "roles"),
        ([*LOOPBACK, *MEMORY, "--roles=cook"], "roles"),
        ([*LOOPBACK, *MEMORY, "--store=cassandra"], "cassandra"),
        ([*LOOPBACK, *MEMORY, "--tls-cert=/dev/null"], "tls-key"),
    ],
)
def test_a_wrong_option_is_exit_code_2_and_a_sentence(args, part):
    done = chatd(*args)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("chatd: ") and part in done.stderr and done.stdout == ""


def test_a_wrong_variable_and_a_wrong_line_are_found(tmp_path):
    done = chatd(*LOOPBACK, env={"CHATD_THREADS": "many"})
    assert done.returncode == 2 and "environment" in done.stderr and "threads" in done.stderr
    config = tmp_path / "chatd.conf"
    config.write_text("# ours\nthreads = 2\nheartbeat = soon\n")
    done = chatd(env={"CHATD_CONFIG": str(config)})
    assert done.returncode == 2 and "line 3" in done.stderr and "heartbeat" in done.stderr


def test_the_command_line_wins_over_the_environment_and_that_over_the_file(tmp_path):
    """The name of a server shows in its metrics."""
    config = tmp_path / "chatd.conf"
    config.write_text("name = from-file\nthreads = 2\n")

    def name(*options, env=None):
        with Chatd(f"--config={config}", *options, metrics=True, env=env) as server:
            return server.get("/metrics")[1].split('server="', 1)[1].split('"', 1)[0]

    assert name() == "from-file"
    # Variables that no option has may be there for other reasons.
    assert name(env={"CHATD_NAME": "from-environment", "CHATD_SERVICE_PORT": "tcp://10.0.0.1:80"}) == "from-environment"
    assert name("--name=from-line", env={"CHATD_NAME": "from-environment"}) == "from-line"


def test_a_port_that_is_taken_is_exit_code_3(server):
    done = chatd(*MEMORY, "--metrics=", f"--listen=127.0.0.1:{server.port}")
    assert done.returncode == 3 and f"cannot listen at port {server.port}" in done.stderr


def test_a_key_that_is_not_there_is_exit_code_3():
    done = chatd(*LOOPBACK, "--jwt-key=hs256:k:/no/such/key")
    assert done.returncode == 3 and "/no/such/key" in done.stderr


def test_data_that_another_one_has_is_exit_code_3(server):
    done = chatd(*LOOPBACK, "--dev-mode", f"--data={server.data}")
    assert done.returncode == 3 and "CHAT_E_BUSY" in done.stderr
    assert server.running()


def test_data_that_cannot_be_made_is_exit_code_3(tmp_path):
    (tmp_path / "file").write_text("in the way")
    done = chatd(*LOOPBACK, "--dev-mode", f"--data={tmp_path}/file/data")
    assert done.returncode == 3 and "data" in done.stderr


def test_data_that_is_damaged_is_exit_code_3():
    with Chatd() as server:
        server.stop()
        databases = [path for path in server.data.rglob("*") if path.is_file() and path.read_bytes().startswith(b"SQLite format 3")]
        assert databases
        for path in databases:
            path.write_bytes(b"not a database at all" * 1000)
        done = chatd(*LOOPBACK, "--dev-mode", f"--data={server.data}")
        assert done.returncode == 3 and "CHAT_E_CORRUPT" in done.stderr
