# SPDX-License-Identifier: Apache-2.0
"""The wire of docs/protocol.md, and no more: frames, ids, one connection. Nothing of the library is used; the messages are made from proto/chat.proto
by protoc at the time of the test."""
import asyncio
import hashlib
import importlib
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import canaries
import websockets
from google.protobuf.message import DecodeError

SOURCE = pathlib.Path(__file__).resolve().parents[2]
SUBPROTOCOL = "chat.v1"
DEADLINE_S = 60  # of anything that a test waits for: a busy machine is no failure


def _generate():
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["protoc", f"--proto_path={SOURCE / 'proto'}", f"--python_out={folder}", "chat.proto"], check=True)
        sys.path.insert(0, folder)
        try:
            return importlib.import_module("chat_pb2")
        finally:
            sys.path.remove(folder)


pb = _generate()


def errors():
    """Number → name, as the table "Errors" of docs/protocol.md lists them."""
    section = (SOURCE / "docs/protocol.md").read_text().split("\n## Errors\n")[1]
    cells = [cell.split() for line in section.splitlines() if line.startswith("|") for cell in line.strip("|").split("|")]
    return {int(cell[0]): cell[1] for cell in cells if len(cell) == 2 and cell[0].isdigit()}


ERRORS = errors()
NUMBERS = {name: number for number, name in ERRORS.items()}

# --- ids -----------------------------------------------------------------------------------------------------------------


def uuid7():
    """RFC 9562, 5.7."""
    random = os.urandom(10)
    return (int(time.time() * 1000).to_bytes(6, "big") + bytes([0x70 | random[0] & 0x0F, random[1], 0x80 | random[2] & 0x3F]) + random[3:])


def _conversation_id(kind, space, *parts):
    return bytes([kind]) + hashlib.sha256(space + b"\0" + b"".join(parts)).digest()[:15]


def _short(user):
    return bytes([len(user)]) + user


def direct_id(a, b):
    return _conversation_id(1, b"chat.v1.direct", *map(_short, sorted([a, b])))


def group_id(creator, client_id):
    return _conversation_id(2, b"chat.v1.group", _short(creator), client_id)


# --- frames --------------------------------------------------------------------------------------------------------------


def varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(out) + bytes([number])


TEXTS = {1: ("MessageContent", ("body", "meta")), 2: ("CreateContent", ("title",)), 8: ("TitleContent", ("title",))}


def _remember(message):
    """What is in it and no business of who looks on (canaries.py)."""
    if not isinstance(message, pb.ClientMessage):
        return
    for token in (message.hello.token, message.renew_token.token):
        canaries.sent("token", token)
    canaries.sent("body", message.search.query)
    name, fields = TEXTS.get(message.send.type, (None, ()))
    try:
        content = getattr(pb, name).FromString(message.send.payload) if name else None
    except DecodeError:  # damaged on purpose
        return
    for field in fields:
        canaries.sent("body", getattr(content, field))


def frame(*messages):
    """Messages (or the bytes of some) as one frame."""
    for message in messages:
        _remember(message)
    encoded = [m if isinstance(m, bytes) else m.SerializeToString() for m in messages]
    return b"".join(varint(len(m)) + m for m in encoded)


def split(data):
    """The bytes of each message of a frame."""
    messages, at = [], 0
    while at < len(data):
        length = shift = 0
        while True:
            byte = data[at]
            at += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        assert at + length <= len(data), "a message is cut"
        messages.append(data[at:at + length])
        at += length
    return messages


def client_message(tag, **body):
    return pb.ClientMessage(tag=tag, **body)


def body_of(message):
    """(name, submessage) of the oneof."""
    name = message.WhichOneof("body")
    return name, getattr(message, name) if name else None


class Closed(Exception):
    """The WebSocket is closed; `goodbye` is the server's last word, if there was one."""

    def __init__(self, goodbye=None):
        super().__init__(f"closed: {ERRORS.get(goodbye.code, goodbye.code) if goodbye else 'no goodbye'}")
        self.goodbye = goodbye


class Connection:
    """One WebSocket: messages out, messages in, no rule of the protocol."""

    def __init__(self, socket):
        self.socket = socket
        self.goodbye = None
        self._messages = []
        self._tag = 0

    @classmethod
    async def open(cls, url, **options):
        return cls(await websockets.connect(url, subprotocols=[SUBPROTOCOL], compression=None, max_size=None, ping_interval=None,
                                            open_timeout=DEADLINE_S, **options))

    async def close(self):
        await self.socket.close()

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await self.close()

    def next_tag(self):
        self._tag += 1
        return self._tag

    async def put(self, *messages):
        try:
            await self.socket.send(frame(*messages))
        except websockets.ConnectionClosed:
            raise Closed(self.goodbye) from None

    async def read(self, timeout_s=DEADLINE_S):
        """The next message. Closed: there is none to come."""
        while not self._messages:
            try:
                data = await asyncio.wait_for(self.socket.recv(), timeout_s)
            except websockets.ConnectionClosed:
                raise Closed(self.goodbye) from None
            assert isinstance(data, bytes), "a text message"
            self._messages = [pb.ServerMessage.FromString(m) for m in split(data)]
        message = self._messages.pop(0)
        if message.WhichOneof("body") == "goodbye":
            self.goodbye = message.goodbye
        return message

    async def reply(self, tag, timeout_s=DEADLINE_S):
        """The message that carries `tag`; what comes before is dropped."""
        end = time.monotonic() + timeout_s
        while True:
            message = await self.read(max(0.0, end - time.monotonic()))
            if message.tag == tag:
                return message

    async def ask(self, **body):
        tag = self.next_tag()
        await self.put(client_message(tag, **body))
        return await self.reply(tag)

    async def hello(self, token, **fields):
        return await self.ask(hello=pb.Hello(version=1, token=token, client=b"second client", **fields))


async def login(url, token, ssl=None, local_addr=None, **fields):
    """A welcomed connection and its Welcome."""
    connection = await Connection.open(url, ssl=ssl, local_addr=local_addr)
    name, body = body_of(await connection.hello(token, **fields))
    assert name == "welcome", f"{name}: {body}"
    return connection, body
