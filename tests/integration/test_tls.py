# SPDX-License-Identifier: Apache-2.0
"""wss:// from end to end: chatd with a certificate of the test's own authority, the library's client (through the program `chat`) and the second one."""
import asyncio
import contextlib
import re
import signal
import socket
import ssl
import subprocess
import time

import pytest

from certificates import Authority
from chatd import Chatd, free_port
from cli import Person
from raw_websocket import RawSocket
from second_client import Client
from wire import DEADLINE_S, body_of, client_message, direct_id, login, pb, uuid7

UNREACHABLE = 3  # exit code of chat
GIVE_UP_S = 4    # it tries again until then


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def good(authority):
    return authority.certificate("good")


@pytest.fixture(scope="module")
def served(good):
    with Chatd(*good.options) as running:
        yield running


def wss(chatd, host="localhost"):
    return f"wss://{host}:{chatd.port}"


def logs_in(folder, chatd, *options, name="ann", host="localhost"):
    person = Person(name, chatd, folder, login=False)
    person("login", wss(chatd, host), f"dev:{name}", *options)
    return person


def does_not_trust(folder, chatd, *options):
    person = Person("wary", chatd, folder, login=False)
    done = person("login", wss(chatd), "dev:wary", "--timeout", str(GIVE_UP_S), *options, code=UNREACHABLE)
    assert "CHAT_E_TLS" in done.err, done.err


def test_two_people_over_tls(served, authority, tmp_path):
    ann, bob = (logs_in(tmp_path, served, "--ca-file", str(authority.path), name=name) for name in ("ann", "bob"))
    ann("send", "bob", "sealed on the way")
    assert bob.said("ann") == [("ann", "sealed on the way")]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_name_and_an_address(served, authority, tmp_path, host):
    logs_in(tmp_path, served, "--ca-file", str(authority.path), host=host)


def test_pins(served, authority, good, tmp_path):
    """Beside the authority, or instead of one."""
    logs_in(tmp_path, served, "--ca-file", str(authority.path), "--pin-sha256", good.pin, name="both")
    logs_in(tmp_path, served, "--ca-file", "none", "--pin-sha256", good.pin, name="alone")
    wrong = "0" * 64
    does_not_trust(tmp_path, served, "--ca-file", str(authority.path), "--pin-sha256", wrong)
    does_not_trust(tmp_path, served, "--ca-file", "none", "--pin-sha256", wrong)


def test_an_authority_that_is_not_trusted(served, tmp_path):
    does_not_trust(tmp_path, served)
    another = Authority(tmp_path, "another authority")
    does_not_trust(tmp_path, served, "--ca-file", str(another.path))


BAD = {
    "of another host": dict(hosts="DNS:other.example,IP:192.0.2.1"),
    "of a part of the host's name": dict(hosts="DNS:local"),
    "that has ended": dict(days=0),
}


@pytest.mark.parametrize("what", BAD)
def test_certificates_that_are_no_good(authority, tmp_path, what):
    certificate = authority.certificate(what, **BAD[what])
    time.sleep(1.1)  # one of 0 days ends with the second in which it was made
    with Chatd(*certificate.options) as chatd:
        does_not_trust(tmp_path, chatd, "--ca-file", str(authority.path))
        logs_in(tmp_path, chatd, "--ca-file", "none", "--pin-sha256", certificate.pin)  # the server is up, and a pin alone asks for no more


def test_tls_and_plain_text_do_not_mix(served, authority, server, tmp_path):
    person = Person("ann", served, tmp_path, login=False)
    person("login", f"ws://localhost:{served.port}", "dev:ann", "--timeout", str(GIVE_UP_S), code=UNREACHABLE)
    person("login", f"wss://localhost:{server.port}", "dev:ann", "--timeout", str(GIVE_UP_S), "--ca-file", str(authority.path), code=UNREACHABLE)


def trusting(authority, newest=None):
    context = ssl.create_default_context(cafile=authority.path)
    if newest:
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = newest
    return context


def test_the_second_client_over_tls(served, authority, tmp_path):
    async def run():
        client = Client(tmp_path / "ann.db", wss(served), b"dev:second")
        client.options = {"ssl": trusting(authority)}
        await client.connect()
        sent = await client.say_to(b"bob", b"hello")
        await client.until(lambda: client.state(sent) == "committed")
        assert client.texts(direct_id(b"second", b"bob")) == [b"hello"]
        await client.close()

    asyncio.run(run())


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of offering them
def test_old_versions_of_tls_are_refused(served, authority):
    async def handshake(newest):
        _, writer = await asyncio.open_connection("localhost", served.port, ssl=trusting(authority, newest))
        version = writer.get_extra_info("ssl_object").version()
        writer.transport.abort()
        return version

    assert asyncio.run(handshake(ssl.TLSVersion.TLSv1_2)) == "TLSv1.2"
    with pytest.raises((ssl.SSLError, ConnectionError)):
        asyncio.run(handshake(ssl.TLSVersion.TLSv1_1))


def test_garbage_at_a_tls_port(served, authority):
    """What is no handshake, and one that stops in the middle, end by their deadline; others are served."""
    async def answer(data):
        async with await RawSocket.open(served.port) as raw:
            await raw.put(data)
            return await raw.rest()

    async def run():
        hello = bytes.fromhex("1603010200010001fc0303") + bytes(100)
        garbage = asyncio.gather(*map(answer, [b"", b"GET / HTTP/1.1\r\n\r\n", bytes(1000), b"\xff" * 1000, hello]))
        connection, _ = await login(wss(served), b"dev:meanwhile", ssl=trusting(authority))
        await connection.close()
        assert not any(b"101" in got for got in await garbage)

    asyncio.run(run())


def test_a_new_certificate_without_a_restart(authority, tmp_path):
    """SIGHUP: new connections get it, old ones stay. One that is damaged is not taken."""
    serving = authority.certificate("serving")
    new = authority.certificate("new")

    def shown():
        return ssl.get_server_certificate(("127.0.0.1", chatd.port))

    def until(certificate):
        chatd.signal(signal.SIGHUP)
        end = time.monotonic() + DEADLINE_S
        while ssl.PEM_cert_to_DER_cert(shown()) != ssl.PEM_cert_to_DER_cert(certificate):
            assert time.monotonic() < end, chatd.log()
            time.sleep(0.05)

    async def run():
        connection, _ = await login(wss(chatd), b"dev:ann", ssl=trusting(authority))
        serving.become(new)
        await asyncio.to_thread(until, new.path.read_text())
        assert body_of(await connection.ask(heartbeat={}))[0] == "heartbeat_reply"
        await connection.close()
        serving.path.write_text("rubbish")
        chatd.signal(signal.SIGHUP)
        while "certificates are not good" not in chatd.log():
            await asyncio.sleep(0.05)
        connection, _ = await login(wss(chatd), b"dev:ann", ssl=trusting(authority))
        await connection.close()

    with Chatd(*serving.options, folder=tmp_path) as chatd:
        asyncio.run(asyncio.wait_for(run(), 2 * DEADLINE_S))


def test_what_does_not_start(good, authority, tmp_path):
    other = authority.certificate("other")
    for options in ([f"--tls-cert={good.path}"], [f"--tls-key={good.key}"], [f"--tls-cert={good.path}", f"--tls-key={other.key}"],
                    [f"--tls-cert={tmp_path / 'none.pem'}", f"--tls-key={good.key}"]):
        refused = Chatd(*options, folder=tmp_path)
        with pytest.raises(RuntimeError, match="did not start"):
            refused.start()
        assert "tls" in refused.log(), options


def test_a_slow_reader_gets_all_of_it(good, authority):
    """Records that the socket takes in part, or not yet, from a buffer that moves meanwhile."""
    count, me = 20, b"slow"

    async def held(chatd):
        page = (await asyncio.to_thread(chatd.get, "/metrics"))[1]
        return int(re.search(r"^chat_out_held_bytes (\d+)", page, re.M).group(1))

    async def log_in(chatd):
        narrow = socket.socket()
        narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        narrow.connect(("127.0.0.1", chatd.port))
        raw = RawSocket(*await asyncio.open_connection(sock=narrow, ssl=trusting(authority), server_hostname="localhost"))
        await raw.handshake()
        await raw.put_messages(client_message(1, hello=pb.Hello(version=1, token=b"dev:" + me)))
        assert body_of((await raw.messages(1))[0])[0] == "welcome"
        return raw

    def send(n):
        content = pb.MessageContent(body=bytes([n]) * 60000)
        return client_message(0, send=pb.Send(conversation_id=direct_id(me, me), client_id=uuid7(), client_seq=n, prev=n - 1, type=1, peer=me, payload=content.SerializeToString()))

    async def ask_again(raw, tag):
        await raw.put_messages(client_message(tag, range=pb.Range(conversation_id=direct_id(me, me), high=count, limit=count)))

    async def run(chatd):
        raw = await log_in(chatd)
        for n in range(1, count + 1):
            await raw.put_messages(send(n))
        asked = 1
        while await held(chatd) < 1 << 20:  # the kernel takes megabytes first
            await ask_again(raw, asked := asked + 1)
            await asyncio.sleep(0.02)
        seen, answered = set(), 1
        while answered < asked:
            for name, body in map(body_of, await raw.messages(1)):
                answered += name == "range_reply"
                for event in body.events if name in ("live", "range_reply") else []:
                    assert pb.MessageContent.FromString(event.payload).body == bytes([event.seq]) * 60000
                    seen.add(event.seq)
        assert seen == set(range(1, count + 1))
        raw.writer.transport.abort()

    with Chatd(*good.options, "--out-max=64m", metrics=True) as chatd:
        asyncio.run(asyncio.wait_for(run(chatd), DEADLINE_S))


# --- what is refused, by the program openssl ------------------------------------------------------------------------------------

MODERN = ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305"]
TLS_1_3 = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"]


def s_client(chatd, *options, stdin=b""):
    """Its exit code and all that it says; 0 where the handshake was done. Its own security level is the lowest, so that it is chatd who refuses."""
    done = subprocess.run(["openssl", "s_client", "-connect", f"localhost:{chatd.port}", "-no_ign_eof", *options], input=stdin, capture_output=True, timeout=DEADLINE_S)
    return done.returncode, (done.stdout + done.stderr).decode(errors="replace")


def shakes(chatd, *options):
    code, text = s_client(chatd, *options)
    if code == 0:
        return re.search(r"Cipher is ([\w-]+)", text).group(1)
    assert "alert" in text or "unexpected eof" in text, text  # chatd's word, not the program's own
    return None


def ciphers_of(description):
    """Those that this openssl has, at its lowest level."""
    listed = subprocess.run(["openssl", "ciphers", "-s", "-tls1_2", f"{description}:@SECLEVEL=0"], check=True, capture_output=True, text=True).stdout
    return [name for name in listed.strip().split(":") if name and not name.startswith("TLS_")]


@pytest.fixture(scope="module")
def served_rsa(authority):
    certificate = authority.certificate("rsa", algorithm=["RSA", "-pkeyopt", "rsa_keygen_bits:2048"])
    with Chatd(*certificate.options) as running:
        yield running


def test_every_cipher_of_tls_1_2_that_is_not_modern_is_refused(served, served_rsa):
    """Each by itself: all that openssl has, with keys of both kinds."""
    known = ciphers_of("ALL:COMPLEMENTOFALL")
    for chatd, key in ((served, "ECDSA"), (served_rsa, "RSA")):
        modern = [name.replace("ECDSA", key) for name in MODERN]
        assert set(modern) <= set(known)
        for cipher in known:
            agreed = shakes(chatd, "-tls1_2", "-cipher", f"{cipher}:@SECLEVEL=0")
            assert agreed == (cipher if cipher in modern else None), f"{cipher} with a key of {key}"


@pytest.mark.parametrize("cipher", TLS_1_3)
def test_ciphers_of_tls_1_3(served, cipher):
    assert shakes(served, "-tls1_3", "-ciphersuites", cipher) == cipher


@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
def test_old_versions_are_refused_whatever_the_ciphers(served, version):
    assert shakes(served, version, "-cipher", "ALL:@SECLEVEL=0") is None


@pytest.mark.parametrize("group, agreed", [("X25519", True), ("P-256", True), ("P-384", True), ("P-521", False), ("ffdhe2048", False)])
def test_groups(served, group, agreed):
    assert (shakes(served, "-groups", group) is not None) == agreed


def test_weak_signatures_are_refused(served):
    assert shakes(served, "-tls1_2", "-sigalgs", "ECDSA+SHA1", "-cipher", "ALL:@SECLEVEL=0") is None
    assert shakes(served, "-tls1_2", "-sigalgs", "ECDSA+SHA256") is not None


def test_nobody_renegotiates(served):
    """"R" at the beginning of a line asks s_client to."""
    code, text = s_client(served, "-tls1_2", "-legacy_renegotiation", stdin=b"R\n")
    assert "RENEGOTIATING" in text and ("no renegotiation" in text or code != 0), text
    assert "Secure Renegotiation IS supported" in text, text  # RFC 5746: nobody puts another's bytes in front


def test_nothing_is_compressed(served):
    for version in ("-tls1_2", "-tls1_3"):
        code, text = s_client(served, version, "-comp")
        assert code == 0 and "Compression: NONE" in text and "Expansion: NONE" in text, text


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_nothing_is_resumed(served, version, tmp_path):
    """No ticket is given, and no session of before is known: whoever takes the server's memory later reads nothing of what went before."""
    session = tmp_path / "session.pem"
    code, text = s_client(served, version, "-sess_out", str(session))
    assert code == 0 and "session ticket" not in text.lower(), text
    if session.exists():
        code, text = s_client(served, version, "-sess_in", str(session))
        assert code == 0 and "New, " in text and "Reused, " not in text, text


def test_no_early_data(served):
    assert "Early data was not sent" in s_client(served, "-tls1_3")[1]


def test_keys_that_are_too_weak_do_not_start(authority, tmp_path):
    weak = authority.certificate("weak", algorithm=["RSA", "-pkeyopt", "rsa_keygen_bits:1024"])
    refused = Chatd(*weak.options, folder=tmp_path)
    with pytest.raises(RuntimeError, match="did not start"):
        refused.start()
    assert "tls" in refused.log()


# --- the client's own settings ---------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def openssl_server(certificate, *options):
    """openssl's own server, which agrees to what chatd would not."""
    port = free_port()
    command = ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", str(certificate.path), "-key", str(certificate.key), "-quiet", *options]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            end = time.monotonic() + DEADLINE_S
            while True:
                with socket.socket() as s:
                    if s.connect_ex(("127.0.0.1", port)) == 0:
                        break
                assert time.monotonic() < end
                time.sleep(0.02)
            yield port
        finally:
            server.kill()


@pytest.mark.parametrize("options", [["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA"], ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-CCM"],
                                     ["-groups", "P-521"]], ids=" ".join)
def test_the_client_agrees_to_nothing_weak(authority, good, tmp_path, options):
    with openssl_server(good, *options) as port:
        person = Person("wary", None, tmp_path, login=False)
        done = person("login", f"wss://localhost:{port}", "dev:wary", "--timeout", str(GIVE_UP_S), "--ca-file", str(authority.path), code=UNREACHABLE)
        assert "CHAT_E_TLS" in done.err, done.err


# --- plain text ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("listen", ["0.0.0.0:0", "[::]:0"])
def test_plain_text_beyond_loopback_needs_a_word(listen, good, tmp_path):
    key = tmp_path / "key"
    key.write_bytes(b"k" * 32)
    jwt = f"--jwt-key=hs256:k:{key}"

    def starts(*options, dev_mode=False):
        chatd = Chatd(f"--listen={listen}", *options, dev_mode=dev_mode, folder=tmp_path)
        try:
            chatd.start()
        except RuntimeError as refused:
            return str(refused)
        assert chatd.stop() == 0
        return True

    assert "plaintext" in starts(jwt)
    assert starts(jwt, "--plaintext") is True
    assert starts(jwt, *good.options) is True
    assert "dev-mode" in starts("--plaintext", dev_mode=True)
    assert "dev-mode" in starts(*good.options, dev_mode=True)
