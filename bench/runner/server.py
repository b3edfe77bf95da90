# SPDX-License-Identifier: Apache-2.0
"""A server under measure: a process of ours on a free port of 127.0.0.1, its data in a folder that is thrown away.

    with Chatd(bench) as server: ... server.port, server.pids ...
    with Relay(bench, "relay_ack") as server: ...

A peer's server is one more class with `port`, `pids` and `protocol` (bench/README.md).
"""

import shutil
import signal
import subprocess
import tempfile

STOP_S = 60

# One address, a few users, all they can: the limits that are for strangers do not fit. What is measured is durable: the log is on the disk before ACCEPTED.
CHATD_OPTIONS = (
    "--listen=127.0.0.1:0", "--metrics=", "--dev-mode", "--drain=0ms", "--limit-address-rate=0", "--limit-user-rate=0", "--limit-conversation-rate=0",
    "--sessions-max=20000", "--log-level=warn",
)


class Server:
    """A process that says "listening at port N" on its standard output."""

    protocol = None  # the load's name for what it speaks
    tls = False
    load_options = {}  # of the load generator: what its protocol needs

    def __init__(self, bench):
        self.bench = bench
        self.folder = None
        self.process = None

    def command(self):
        raise NotImplementedError

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="server-", dir=self.bench.folder)
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self):
        with open(f"{self.folder}/stderr", "ab") as log:
            self.process = subprocess.Popen(self.command(), stdout=subprocess.PIPE, stderr=log, stdin=subprocess.DEVNULL)
        for line in self.process.stdout:
            if b"listening at port " in line:
                self.port = int(line.rsplit(b" ", 1)[1])
                return
        raise RuntimeError(f"{self.command()[0]} did not start:\n{self.log()}")

    def stop(self):
        process, self.process = self.process, None
        if not process:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()

    def log(self):
        with open(f"{self.folder}/stderr", errors="replace") as log:
            return log.read()

    @property
    def pids(self):
        return [self.process.pid]


class Chatd(Server):
    protocol = "chat"

    def __init__(self, bench, *options, data=None):
        """data: a folder that the caller keeps."""
        super().__init__(bench)
        self.options, self.data = options, data

    def command(self):
        return [self.bench.program("bin/chatd"), f"--data={self.data or self.folder + '/data'}", *CHATD_OPTIONS, *self.options]


class TlsChatd(Chatd):
    """With a certificate that it has made itself."""

    tls = True

    def start(self):
        self.key, self.certificate = f"{self.folder}/key.pem", f"{self.folder}/certificate.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=127.0.0.1",
                        "-keyout", self.key, "-out", self.certificate], check=True, capture_output=True)
        super().start()

    def command(self):
        return [*super().command(), f"--tls-cert={self.certificate}", f"--tls-key={self.key}"]


class Relay(Server):
    protocol = "raw"

    def __init__(self, bench, mode):
        super().__init__(bench)
        self.mode = mode

    def command(self):
        return [self.bench.program("bench/relay"), self.mode]
