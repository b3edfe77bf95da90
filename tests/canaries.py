# SPDX-License-Identifier: Apache-2.0
"""What must not be read where others look: tokens, bodies and keys that tests have sent, and all that programs have said meanwhile (logs, pages of metrics, error texts).

Tests tell both as they go, where $CHAT_CANARIES names a folder; afterwards

    python3 tests/canaries.py FOLDER

looks for the one in the other, as bytes, in hexadecimal and in Base64, and fails where it finds something (scripts/test.sh runs it behind the tests)."""
import base64
import binascii
import os
import pathlib
import random
import re
import sys

LEN_MIN = {"token": 6, "key": 16, "body": 10}  # what is shorter is found anywhere: a single word of English in any error text
FORM_MIN = 6
BODIES_MAX = 3000  # looked for, of those that were sent: drawn

_folder = os.environ.get("CHAT_CANARIES")
_sent = set()


def _path(name):
    folder = pathlib.Path(_folder)
    folder.mkdir(parents=True, exist_ok=True)
    return folder / name


def wanted():
    return bool(_folder)


def sent(kind, secret):
    """`secret`, bytes, has been handed to a program."""
    if not _folder or not LEN_MIN[kind] <= len(secret) <= 65536 or (kind, secret) in _sent:
        return
    _sent.add((kind, secret))
    with open(_path(f"sent.{os.getpid()}"), "a", encoding="ascii") as file:
        file.write(f"{kind} {secret.hex()}\n")


def said(what, text):
    """A program has shown `text` (str or bytes) to whoever looks."""
    if _folder and text:
        with open(_path(f"said.{what}.{os.getpid()}"), "ab") as file:
            file.write(text if isinstance(text, bytes) else text.encode(errors="surrogateescape"))
            file.write(b"\n")


def forms(secret):
    """As it may stand in a text. Of Base64 the middle, since what goes before shifts it by one byte or two."""
    yield secret
    yield binascii.hexlify(secret)
    yield binascii.hexlify(secret).upper()
    for shift in range(3):
        encoded = base64.b64encode(bytes(shift) + secret)[-(-shift * 8 // 6):]
        middle = encoded.rstrip(b"=")[:-1]
        if len(middle) >= FORM_MIN:
            yield middle
            yield middle.replace(b"+", b"-").replace(b"/", b"_")


def parts(kind, secret):
    """A JWT leaks by its signature alone too; one whole is found by any."""
    jwt = kind == "token" and re.fullmatch(rb"[\w-]+\.[\w-]+\.([\w-]{20,})", secret)
    return [jwt.group(1)] if jwt else [secret]


def found(secrets, text):
    """[(kind, secret)] of those that stand in text, bytes."""
    return [(kind, secret) for kind, secret in secrets if any(form in text for part in parts(kind, secret) for form in forms(part))]


def read(folder):
    """(set of (kind, secret), {name: bytes})."""
    secrets = set()
    for path in folder.glob("sent.*"):
        for line in path.read_text().splitlines():
            kind, secret = line.split()
            secrets.add((kind, bytes.fromhex(secret)))
    return secrets, {path.name: path.read_bytes() for path in sorted(folder.glob("said.*"))}


def drawn(secrets):
    bodies = sorted(secret for kind, secret in secrets if kind == "body")
    kept = bodies if len(bodies) <= BODIES_MAX else random.Random(1).sample(bodies, BODIES_MAX)
    return [pair for pair in secrets if pair[0] != "body"] + [("body", secret) for secret in kept]


def main(folder):
    secrets, texts = read(folder)
    if not secrets or not texts:
        print(f"nothing was sent, or nothing said, in {folder}")
        return 1
    looked_for, bad = drawn(secrets), 0
    for name, text in texts.items():
        for kind, secret in found(looked_for, text):
            bad += 1
            print(f"{name} shows a {kind}: {secret[:40]!r}")
    counts = ", ".join(f"{sum(k == kind for k, _ in looked_for)} of kind {kind}" for kind in LEN_MIN)
    size = sum(map(len, texts.values()))
    print(f"note: looked for {counts} in {len(texts)} files of {size / 1024:.0f} KiB: {'none is there' if not bad else f'{bad} found'}")
    return bad != 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
