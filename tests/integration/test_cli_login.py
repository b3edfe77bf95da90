# SPDX-License-Identifier: Apache-2.0
"""Logging in for real: TLS with an own authority or a pin, tokens of JWT that are wrong, expired or end while a command runs, the bound of devices."""

import base64
import hashlib
import hmac
import json
import subprocess
import time

import pytest
from chatd import Chatd
from cli import Person, eventually, live

KEY = b"a key that is only for tests and has 32 bytes or more"


def jwt(user, key=KEY, **claims):
    def part(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    head = part(json.dumps({"alg": "HS256", "typ": "JWT", "kid": "k"}).encode())
    body = part(json.dumps({"sub": user, "exp": int(time.time()) + 3600, **claims}).encode())
    return f"{head}.{body}." + part(hmac.new(key, f"{head}.{body}".encode(), hashlib.sha256).digest())


@pytest.fixture
def jwt_server(tmp_path):
    (tmp_path / "key").write_bytes(KEY)
    with Chatd(f"--jwt-key=hs256:k:{tmp_path}/key", "--jwt-leeway=0ms", dev_mode=False) as server:
        yield server


def login(name, server, folder, token, code=0):
    person = Person(name, server, folder, login=False)
    done = person("login", server.url, "--token-file", "-", stdin=token.encode(), code=code)
    assert token not in done.text + done.err, "a token is never shown"
    return person, done


def test_tokens(jwt_server, tmp_path):
    alice, _ = login("alice", jwt_server, tmp_path, jwt("alice"))
    bob, _ = login("bob", jwt_server, tmp_path, jwt("bob"))
    alice("send", "bob", "hello")
    assert bob.said("alice") == [("alice", "hello")]

    for token, error in [
        (jwt("carol", key=KEY + b"!"), "CHAT_E_AUTH"),
        (jwt("carol", exp=int(time.time()) - 10), "CHAT_E_EXPIRED"),
        (jwt("carol", aud="others"), "CHAT_E_AUTH"),
        ("dev:carol", "CHAT_E_AUTH"),
    ]:
        carol, done = login("carol", jwt_server, tmp_path, token, code=4)
        assert error in done.err
        carol("conversations", code=4)


def test_a_token_that_ends(jwt_server, tmp_path):
    """listen says so and ends with 4; after another login all is as before."""
    alice, _ = login("alice", jwt_server, tmp_path, jwt("alice", exp=int(time.time()) + 8))
    with alice.start("listen", "--json") as listening:
        listening.wait_for(live)
        listening.wait_for(lambda row: row["object"] == "token" and "until_ms" in row)
        assert listening.wait() == 4, listening.errors
    assert "CHAT_E_EXPIRED" in alice("send", "bob", "x", code=4).err
    device = {path.name for path in alice.home.glob("*.db")}
    alice, _ = login("alice", jwt_server, tmp_path, jwt("alice"))
    alice("send", "bob", "x", "--wait", "committed")
    assert {path.name for path in alice.home.glob("*.db")} == device, "the same device"
    assert alice.said("bob") == [("alice", "x")]


def test_as_many_devices_as_the_server_allows(tmp_path):
    with Chatd("--devices-max=1") as server:
        alice = Person("alice", server, tmp_path)
        other = Person("alice", server, tmp_path, login=False, profile="other")
        done = other("login", server.url, "dev:alice", code=1)
        assert "CHAT_E_LIMIT" in done.err and "devices revoke" in done.err
        alice("devices", "revoke", alice.rows("whoami")[0]["device"])
        eventually(lambda: other("login", server.url, "dev:alice", code=0).text != "", True)


# ------------------------------------------------------------------------------------------------ TLS


def openssl(*args, stdin=b""):
    return subprocess.run(["openssl", *map(str, args)], input=stdin, check=True, capture_output=True, timeout=60).stdout


@pytest.fixture
def tls_server(tmp_path):
    """Its certificate is its own authority."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost",
            "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", cert)  # fmt: skip
    with Chatd(f"--tls-cert={cert}", f"--tls-key={key}") as server:
        server.cert = cert
        yield server


def test_tls_with_an_own_authority(tls_server, tmp_path):
    url = f"wss://127.0.0.1:{tls_server.port}"
    alice, bob = (Person(name, tls_server, tmp_path, login=False) for name in ("alice", "bob"))
    assert "CHAT_E_TLS" in alice("login", url, "dev:alice", code=3).err, "nobody has said that this authority is to be trusted"
    for person in alice, bob:
        person("login", url, f"dev:{person.name}", "--ca-file", str(tls_server.cert))
    alice("send", "bob", "over TLS")
    assert bob.said("alice") == [("alice", "over TLS")]
    assert alice("login", f"ws://127.0.0.1:{tls_server.port}", "dev:alice", code=3)


def test_tls_with_a_pin(tls_server, tmp_path):
    url = f"wss://127.0.0.1:{tls_server.port}"
    public = openssl("x509", "-in", tls_server.cert, "-noout", "-pubkey")
    pin = hashlib.sha256(openssl("pkey", "-pubin", "-outform", "DER", stdin=public)).hexdigest()
    alice = Person("alice", tls_server, tmp_path, login=False)
    alice("login", url, "dev:alice", "--ca-file", str(tls_server.cert), "--pin-sha256", "0" * 64, code=3)
    alice("login", url, "dev:alice", "--ca-file", str(tls_server.cert), "--pin-sha256", pin)
    assert alice.rows("whoami")[0]["user"] == "alice"
