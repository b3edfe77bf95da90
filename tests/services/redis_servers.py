# SPDX-License-Identifier: Apache-2.0
"""Real Redis servers for tests (Debian's redis-server): processes of their own on free ports of 127.0.0.1, in a temporary folder, ended by their id.

    with RedisServers("single") as redis:     # one; "shards": three; "cluster": three with a third of the slots each; "tls": one, whose url is that of a port with TLS
        ... redis.url ...                     # for chatd's option directory
        redis.cli(0, "FLUSHALL")              # what redis-cli says of server 0
        redis.kill(0); redis.start(0)         # kill -9, and again on the same port

`missing()` says what a machine lacks. Where $CHAT_BUILD has the module services-clock, `redis.clock` is a file that sets the servers' wall clock (clock.c).
"""

import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time

BUILD = pathlib.Path(os.environ.get("CHAT_BUILD", pathlib.Path(__file__).resolve().parents[2] / "build" / "dev"))
CLOCK = BUILD / "tests" / "services-clock.so"
FORMS = {"single": 1, "shards": 3, "cluster": 3, "tls": 1}
START_S = 60
STOP_S = 30


def missing():
    """Why there can be no such server here, or None."""
    lacking = [name for name in ("redis-server", "redis-cli") if not shutil.which(name)]
    return f"no {' and no '.join(lacking)} (package redis-server)" if lacking else None


def free_ports(count):
    """All held at once, so that they differ."""
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def wait_until(what, condition):
    until = time.monotonic() + START_S
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError(f"redis: {what} takes more than {START_S} s")
        time.sleep(0.05)


class RedisServers:
    def __init__(self, form="single"):
        self.form = form
        self.count = FORMS[form]
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="redis-"))
        self.ports = free_ports(2 * self.count)  # with one each for the bus of a cluster, or for TLS
        self.processes = [None] * self.count
        self.clock = self.folder / "clock"
        self.clock.write_bytes(struct.pack("=Q", 0))

    @property
    def addresses(self):
        return [f"127.0.0.1:{port}" for port in self.ports[: self.count]]

    @property
    def url(self):
        if self.form == "tls":
            return f"rediss://localhost:{self.ports[self.count]}"
        return ("redis-cluster://" if self.form == "cluster" else "redis://") + ",".join(self.addresses)

    def command(self, number):
        command = ["redis-server", "--port", self.ports[number], "--bind", "127.0.0.1", "--dir", self.folder, "--save", "", "--appendonly", "no"]
        if self.form == "cluster":
            command += ["--cluster-enabled", "yes", "--cluster-config-file", f"nodes-{number}.conf", "--cluster-node-timeout", "2000",
                        "--cluster-port", self.ports[self.count + number]]
        if self.form == "tls":
            command += ["--tls-port", self.ports[self.count], "--tls-cert-file", self.folder / "cert.pem", "--tls-key-file", self.folder / "key.pem", "--tls-auth-clients", "no"]
        return [str(word) for word in command]

    @property
    def authority(self):
        """The certificate that it is, which clients must be told to trust (SSL_CERT_FILE); its name is localhost."""
        return self.folder / "cert.pem"

    def make_certificate(self):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj", "/CN=localhost", "-addext",
                        "subjectAltName=DNS:localhost", "-keyout", self.folder / "key.pem", "-out", self.folder / "cert.pem"], check=True, capture_output=True, timeout=START_S)

    def start(self, number):
        """Returns when it answers."""
        assert self.processes[number] is None, "it runs"
        env = {**os.environ, "SERVICES_CLOCK": str(self.clock), **({"LD_PRELOAD": str(CLOCK)} if CLOCK.exists() else {})}
        with open(self.folder / f"server-{number}.log", "ab") as log:
            self.processes[number] = subprocess.Popen(self.command(number), stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=env)
        wait_until("starting", lambda: self.cli(number, "PING", check=False) == "PONG")

    def cli(self, number, *words, check=True):
        run = subprocess.run(["redis-cli", "-h", "127.0.0.1", "-p", str(self.ports[number]), *map(str, words)], capture_output=True, text=True, timeout=START_S)
        if check and run.returncode != 0:
            raise RuntimeError(f"redis-cli {words}: {run.stdout}{run.stderr}")
        return run.stdout.strip()

    def make_cluster(self):
        self.cli(0, "--cluster", "create", *self.addresses, "--cluster-replicas", "0", "--cluster-yes")
        wait_until("forming the cluster", lambda: all("cluster_state:ok" in self.cli(n, "CLUSTER", "INFO") for n in range(self.count)))
        for number in range(self.count):  # a clock that stands and jumps is no reason to give up a neighbour
            self.cli(number, "CONFIG", "SET", "cluster-node-timeout", 86400000)

    def signal(self, number, which):
        self.processes[number].send_signal(which)

    def kill(self, number):
        process, self.processes[number] = self.processes[number], None
        process.kill()
        process.wait(STOP_S)

    def died(self):
        """Those that ended without being asked."""
        return [number for number, process in enumerate(self.processes) if process and process.poll() is not None]

    def __enter__(self):
        try:
            if self.form == "tls":
                self.make_certificate()
            for number in range(self.count):
                self.start(number)
            if self.form == "cluster":
                self.make_cluster()
            return self
        except BaseException:
            self.__exit__(None, None, None)
            raise

    def __exit__(self, _kind, _error, _trace):
        for process in filter(None, self.processes):
            process.send_signal(signal.SIGCONT)
            process.terminate()
        for process in filter(None, self.processes):
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
