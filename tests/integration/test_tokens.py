# SPDX-License-Identifier: Apache-2.0
"""Who comes in: JWT against a real chatd, their end within a session, keys that change while it runs, and the development mode that stays at home."""
import asyncio
import os
import signal
import subprocess
import time

import pytest

from chatd import Chatd
from jwt import Key, base64url, hmac_sha256, token
from wire import DEADLINE_S, ERRORS, Closed, Connection, body_of, client_message, login, pb

ISSUER, AUDIENCE = "https://id.example", "chat"
OURS = {"iss": ISSUER, "aud": AUDIENCE}


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    return {alg: Key(alg, f"key-{alg.lower()}", folder) for alg in ("HS256", "RS256", "ES256")}


@pytest.fixture(scope="module")
def chatd(keys):
    options = ["--jwt-key=" + ",".join(key.option for key in keys.values()), f"--jwt-issuer={ISSUER}", f"--jwt-audience={AUDIENCE}", "--jwt-leeway=30s"]
    with Chatd(*options, "--devices-max=1000", dev_mode=False) as running:
        yield running


async def outcome(url, credentials, **fields):
    """"welcome", or the error; with an error nothing else comes."""
    async with await Connection.open(url) as connection:
        name, body = body_of(await connection.hello(credentials, **fields))
        if name == "welcome":
            assert body.user == b"ann"
            return name
        with pytest.raises(Closed):
            await connection.read()
        return ERRORS[body.code]


def now():
    return int(time.time())


GOOD = {
    "HS256": lambda keys: token(keys["HS256"], **OURS),
    "RS256": lambda keys: token(keys["RS256"], **OURS),
    "ES256": lambda keys: token(keys["ES256"], **OURS),
    "one of several audiences": lambda keys: token(keys["HS256"], iss=ISSUER, aud=["other", AUDIENCE]),
    "no typ": lambda keys: token(keys["HS256"], header={"typ": None}, **OURS),
    "claims that nobody knows": lambda keys: token(keys["ES256"], scope="everything", iat=0, **OURS),
    "just expired, within the leeway": lambda keys: token(keys["HS256"], **OURS, exp=now() - 10),
    "not quite valid, within the leeway": lambda keys: token(keys["HS256"], **OURS, nbf=now() + 10),
}


def header_and_claims(key, header, claims):
    return token(key, header=header, claims=claims)


def cut(credentials, part):
    parts = credentials.split(b".")
    parts[part] = parts[part][:-1]
    return b".".join(parts)


def flipped(credentials):
    """One bit of the claims changed under the same signature."""
    head, claims, signature = credentials.split(b".")
    return b".".join([head, claims[:10] + bytes([claims[10] ^ 1]) + claims[11:], signature])


AUTH = {
    "nothing signed": lambda keys: token(keys["HS256"], header={"alg": "none"}, sign=lambda _: b"", **OURS),
    "alg None in other letters": lambda keys: token(keys["HS256"], header={"alg": "nOnE"}, sign=lambda _: b"", **OURS),
    "hmac with the public key": lambda keys: token(keys["RS256"], header={"alg": "HS256"}, sign=hmac_sha256(keys["RS256"].path.read_bytes()), **OURS),
    "hmac with the public key of ES256": lambda keys: token(keys["ES256"], header={"alg": "HS256"}, sign=hmac_sha256(keys["ES256"].path.read_bytes()), **OURS),
    "hmac under its name with an RSA key's kid": lambda keys: token(keys["HS256"], header={"kid": "key-rs256"}, **OURS),
    "another alg than the key's": lambda keys: token(keys["RS256"], header={"alg": "ES256"}, **OURS),
    "alg in lower case": lambda keys: token(keys["HS256"], header={"alg": "hs256"}, **OURS),
    "HS512": lambda keys: token(keys["HS256"], header={"alg": "HS512"}, **OURS),
    "no alg": lambda keys: token(keys["HS256"], header={"alg": None}, **OURS),
    "an unknown kid": lambda keys: token(keys["HS256"], header={"kid": "another"}, **OURS),
    "no kid, of three keys": lambda keys: token(keys["HS256"], header={"kid": None}, **OURS),
    "a kid that is a path": lambda keys: token(keys["HS256"], header={"kid": "../../dev/null"}, **OURS),
    "another secret": lambda keys: token(keys["HS256"], sign=hmac_sha256(os.urandom(48)), **OURS),
    "no secret": lambda keys: token(keys["HS256"], sign=hmac_sha256(b""), **OURS),
    "claims changed": lambda keys: flipped(token(keys["ES256"], **OURS)),
    "a signature that is cut": lambda keys: cut(token(keys["RS256"], **OURS), 2),
    "a signature of zeros": lambda keys: token(keys["ES256"], sign=lambda _: bytes(64), **OURS),
    "two parts": lambda keys: token(keys["HS256"], **OURS).rsplit(b".", 1)[0],
    "four parts": lambda keys: token(keys["HS256"], **OURS) + b".x",
    "padding": lambda keys: token(keys["HS256"], **OURS) + b"=",
    "a line end behind it": lambda keys: token(keys["HS256"], **OURS) + b"\n",
    "crit": lambda keys: token(keys["HS256"], header={"crit": ["exp"]}, **OURS),
    "another typ": lambda keys: token(keys["HS256"], header={"typ": "at+jwt"}, **OURS),
    "claims that are no JSON": lambda keys: token(keys["HS256"], claims=b"{"),
    "claims that are a list": lambda keys: token(keys["HS256"], claims=b"[]"),
    "sub twice": lambda keys: token(keys["HS256"], claims=b'{"sub":"bob","sub":"ann","exp":%d,"iss":"%s","aud":"chat"}' % (now() + 60, ISSUER.encode())),
    "alg twice": lambda keys: token(keys["HS256"], header=b'{"alg":"none","alg":"HS256","kid":"key-hs256"}', **OURS),
    "exp twice": lambda keys: token(keys["HS256"], claims=b'{"sub":"ann","exp":1,"exp":%d,"iss":"%s","aud":"chat"}' % (now() + 60, ISSUER.encode())),
    "a header that is 4,000 lists deep": lambda keys: token(keys["HS256"], header=b'{"alg":' + b"[" * 4000, **OURS),
    "claims that are 4,000 lists deep": lambda keys: token(keys["HS256"], claims=b'{"sub":' + b"[" * 4000 + b"]" * 2 + b"}"),
    "a kid that is a number": lambda keys: token(keys["HS256"], header={"kid": 1}, **OURS),
    "a kid that is a command": lambda keys: token(keys["HS256"], header={"kid": "key-hs256; cat /etc/passwd"}, **OURS),
    "a kid with a NUL": lambda keys: token(keys["HS256"], header={"kid": "key-hs256\0"}, **OURS),
    "an exp beyond all numbers": lambda keys: token(keys["HS256"], claims=b'{"sub":"ann","exp":1e999,"iss":"%s","aud":"chat"}' % ISSUER.encode()),
    "an exp below 0": lambda keys: token(keys["HS256"], **OURS, exp=-1),
    "a key in the header": lambda keys: token(keys["RS256"], header={"alg": "HS256", "kid": None, "jwk": {"kty": "oct", "k": "AAAA"}}, sign=hmac_sha256(bytes(3)), **OURS),
    "no sub": lambda keys: token(keys["HS256"], sub=None, **OURS),
    "a sub that is a number": lambda keys: token(keys["HS256"], sub=7, **OURS),
    "an empty sub": lambda keys: token(keys["HS256"], sub="", **OURS),
    "a sub of 65 bytes": lambda keys: token(keys["HS256"], sub="a" * 65, **OURS),
    "a sub with a control character": lambda keys: token(keys["HS256"], sub="an\nn", **OURS),
    "a sub with a NUL": lambda keys: token(keys["HS256"], sub="ann\0bob", **OURS),
    "no exp": lambda keys: token(keys["HS256"], exp=None, **OURS),
    "exp as text": lambda keys: token(keys["HS256"], exp=str(now() + 60), **OURS),
    "another issuer": lambda keys: token(keys["HS256"], iss="https://evil.example", aud=AUDIENCE),
    "no issuer": lambda keys: token(keys["HS256"], aud=AUDIENCE),
    "another audience": lambda keys: token(keys["HS256"], iss=ISSUER, aud="mail"),
    "no audience": lambda keys: token(keys["HS256"], iss=ISSUER),
    "a device that is none": lambda keys: token(keys["HS256"], device="d", **OURS),
    "dev:ann": lambda keys: b"dev:ann",
    "empty": lambda keys: b"",
    "dots": lambda keys: b"..",
}
EXPIRED = {
    "expired": lambda keys: token(keys["RS256"], **OURS, exp=now() - 40),
    "expired long ago": lambda keys: token(keys["HS256"], **OURS, exp=1),
    "not yet valid": lambda keys: token(keys["ES256"], **OURS, nbf=now() + 100),
}
ALL = {"welcome": GOOD, "AUTH": AUTH, "EXPIRED": EXPIRED}


@pytest.mark.parametrize("expected", ALL)
def test_tokens(chatd, keys, expected):
    async def run():
        got = {what: await outcome(chatd.url, make(keys)) for what, make in ALL[expected].items()}
        assert got == dict.fromkeys(ALL[expected], expected)

    asyncio.run(run())


def test_the_log_has_no_token(chatd, keys):
    secret = token(keys["HS256"], sign=hmac_sha256(b"x"), **OURS)
    assert asyncio.run(outcome(chatd.url, secret)) == "AUTH"
    for part in secret.decode().split("."):
        assert part not in chatd.log()


# --- a token's end, and renewal in place ---------------------------------------------------------------------------------------


@pytest.fixture
def strict(keys):
    with Chatd(f"--jwt-key={keys['HS256'].option}", "--jwt-leeway=0ms", "--heartbeat=1s", "--idle=60s", dev_mode=False) as running:
        yield running


def test_a_session_ends_with_its_token(strict, keys):
    async def run():
        exp = now() + 3
        connection, welcome = await login(strict.url, token(keys["HS256"], exp=exp))
        assert welcome.token_expires_ms == exp * 1000
        with pytest.raises(Closed):
            while True:
                await connection.read()
        assert ERRORS[connection.goodbye.code] == "EXPIRED"
        assert time.time() >= exp - 1  # not long before

    asyncio.run(run())


def test_a_session_goes_on_with_a_new_token(strict, keys):
    async def run():
        exp = now() + 4
        connection, _ = await login(strict.url, token(keys["HS256"], exp=exp))
        for bad, error in ((token(keys["HS256"], sub="bob"), "AUTH"), (token(keys["HS256"], exp=now() - 5), "EXPIRED"), (b"rubbish", "AUTH")):
            assert ERRORS[(await connection.ask(renew_token=pb.RenewToken(token=bad))).error.code] == error
        assert body_of(await connection.ask(renew_token=pb.RenewToken(token=token(keys["HS256"], exp=exp + 3600))))[0] == "ok"
        while time.time() < exp + 1.5:
            assert body_of(await connection.ask(sync=pb.Sync()))[0] == "sync_reply"
            await asyncio.sleep(0.3)
        # A shorter one counts as well.
        assert body_of(await connection.ask(renew_token=pb.RenewToken(token=token(keys["HS256"], exp=now() + 2))))[0] == "ok"
        with pytest.raises(Closed):
            while True:
                await connection.read()
        assert ERRORS[connection.goodbye.code] == "EXPIRED"

    asyncio.run(run())


def test_the_leeway_counts_within_a_session_too(chatd, keys):
    """A token that is accepted though it has just expired does not end its session at once."""
    async def run():
        connection, welcome = await login(chatd.url, token(keys["HS256"], **OURS, exp=now() - 1))
        assert welcome.token_expires_ms > welcome.server_ms
        await asyncio.sleep(1)
        assert body_of(await connection.ask(sync=pb.Sync()))[0] == "sync_reply"
        await connection.close()

    asyncio.run(run())


def test_one_key_needs_no_kid(strict, keys):
    assert asyncio.run(outcome(strict.url, token(keys["HS256"], header={"kid": None}))) == "welcome"


def test_an_audience_where_none_is_expected_is_meant_for_somebody_else(strict, keys):
    assert asyncio.run(outcome(strict.url, token(keys["HS256"], aud="mail"))) == "AUTH"


# --- a token that names its device ----------------------------------------------------------------------------------------------


def test_a_token_bound_to_a_device(strict, keys):
    async def run():
        device, other = os.urandom(16), os.urandom(16)
        bound = token(keys["HS256"], device=device.hex())
        connection, welcome = await login(strict.url, bound)  # registered under that id
        assert welcome.device_id == device
        assert ERRORS[(await connection.ask(renew_token=pb.RenewToken(token=token(keys["HS256"], device=other.hex())))).error.code] == "AUTH"
        assert body_of(await connection.ask(renew_token=pb.RenewToken(token=bound)))[0] == "ok"
        await connection.close()
        assert await outcome(strict.url, bound, device_id=other) == "AUTH"
        assert await outcome(strict.url, bound, device_id=device, device_session=welcome.device_session) == "welcome"

    asyncio.run(run())


# --- keys change while it runs ------------------------------------------------------------------------------------------------------


def reloaded(chatd, test):
    """SIGHUP, then until it has come to hold."""
    chatd.signal(signal.SIGHUP)
    end = time.monotonic() + DEADLINE_S
    while not test():
        assert time.monotonic() < end, chatd.log()
        time.sleep(0.05)


def test_keys_are_read_again(tmp_path):
    folder = tmp_path / "keys"
    folder.mkdir()
    old, new = Key("HS256", "old", folder), Key("HS256", "new", tmp_path)

    def gets(key):
        return asyncio.run(outcome(chatd.url, token(key)))

    async def stays():
        connection, _ = await login(chatd.url, token(old))
        (folder / "new.hs256").write_bytes(new.secret)
        assert await asyncio.to_thread(gets, new) == "AUTH"  # not before it is told
        await asyncio.to_thread(reloaded, chatd, lambda: gets(new) == "welcome")
        assert await asyncio.to_thread(gets, old) == "welcome"
        old.path.unlink()
        await asyncio.to_thread(reloaded, chatd, lambda: gets(old) == "AUTH")
        assert body_of(await connection.ask(sync=pb.Sync()))[0] == "sync_reply"  # who is in stays in
        await connection.close()

    with Chatd(f"--jwt-key=dir:{folder}", dev_mode=False) as chatd:
        asyncio.run(stays())
        # A key that is none: the ones before stay, and the log says why without its bytes.
        (folder / "bad.rs256").write_bytes(b"a secret that is no key")
        reloaded(chatd, lambda: "bad.rs256" in chatd.log())
        assert gets(new) == "welcome"
        assert "a secret that is no key" not in chatd.log()


# --- what does not start --------------------------------------------------------------------------------------------------------------

NO_START = {
    "development mode for all the world": (["--dev-mode", "--listen=0.0.0.0:0"], "loopback"),
    "development mode for all the world, IPv6": (["--dev-mode", "--listen=[::]:0"], "loopback"),
    "development mode for all the world, plaintext": (["--dev-mode", "--plaintext", "--listen=0.0.0.0:0"], "loopback"),
    "tokens in plain text": (["--jwt-key={key}", "--listen=0.0.0.0:0"], "tls-cert"),
    "nobody may come in": (["--listen=127.0.0.1:0"], "jwt-key"),
    "keys that nobody would check": (["--dev-mode", "--jwt-key={key}"], "exclude"),
    "a key that is not there": (["--jwt-key=hs256:k:/nonexistent/key"], "/nonexistent/key"),
    "a secret that is too short": (["--jwt-key=hs256:k:{short}"], "32"),
    "a key of another kind": (["--jwt-key=rs256:k:{ec}"], "not an RSA key"),
}


@pytest.mark.parametrize("what", NO_START)
def test_what_does_not_start(keys, tmp_path, what):
    options, why = NO_START[what]
    short = tmp_path / "short"
    short.write_bytes(b"too short")
    names = dict(key=keys["HS256"].option, short=short, ec=keys["ES256"].path)
    refused = Chatd(*(option.format(**names) for option in options), dev_mode=False, folder=tmp_path)
    with pytest.raises(RuntimeError, match="did not start") as error:
        refused.start()
    assert "(exit code 2)" in str(error.value) or "(exit code 3)" in str(error.value)
    assert why in refused.log()
