# SPDX-License-Identifier: Apache-2.0
"""RFC 6455 by hand, so that a test can break each of its rules."""
import asyncio
import base64
import os
import struct

from wire import DEADLINE_S, SUBPROTOCOL, frame, pb, split

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
KEY = base64.b64encode(b"0123456789abcdef").decode()


def upgrade(path="/", subprotocol=SUBPROTOCOL, **changed):
    """The request; a header that is given as None is left out."""
    headers = {"Host": "localhost", "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": KEY, "Sec-WebSocket-Version": "13",
               "Sec-WebSocket-Protocol": subprotocol, **{name.replace("_", "-"): value for name, value in changed.items()}}
    lines = [f"GET {path} HTTP/1.1"] + [f"{name}: {value}" for name, value in headers.items() if value is not None]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def websocket_frame(opcode, payload=b"", fin=True, rsv=0, masked=True, length=None):
    """`length`: what the header says instead of the truth."""
    length = len(payload) if length is None else length
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    mask_bit = 0x80 if masked else 0
    if length < 126:
        header = struct.pack("!BB", first, mask_bit | length)
    elif length < 65536:
        header = struct.pack("!BBH", first, mask_bit | 126, length)
    else:
        header = struct.pack("!BBQ", first, mask_bit | 127, length)
    if not masked:
        return header + payload
    mask = os.urandom(4)
    return header + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(payload))


class RawSocket:
    """A TCP connection; after `handshake` one that speaks WebSocket."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, port):
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=1 << 22))

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        self.writer.transport.abort()

    async def put(self, data):
        """What the server no longer takes is lost: what it said is looked at all the same."""
        try:
            self.writer.write(data)
            await self.writer.drain()
        except ConnectionError:
            pass

    async def rest(self, timeout_s=DEADLINE_S):
        """All bytes up to the end of the connection, which must come."""
        data = b""
        try:
            while chunk := await asyncio.wait_for(self.reader.read(65536), timeout_s):
                data += chunk
        except ConnectionError:
            pass
        return data

    async def head(self):
        """An HTTP response's status and headers."""
        data = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), DEADLINE_S)
        return int(data.split(b" ")[1]), data

    async def handshake(self):
        await self.put(upgrade())
        status, _ = await self.head()
        assert status == 101, status

    async def read_frame(self):
        """(opcode, payload), or None at the end."""
        try:
            first, second = await asyncio.wait_for(self.reader.readexactly(2), DEADLINE_S)
            length = second & 0x7F
            if length > 125:
                length = int.from_bytes(await self.reader.readexactly(2 if length == 126 else 8), "big")
            return first & 0x0F, await asyncio.wait_for(self.reader.readexactly(length), DEADLINE_S)
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    async def messages(self, count=None):
        """ServerMessages, until there are `count` or the WebSocket is closed; pongs are skipped."""
        got = []
        while count is None or len(got) < count:
            read = await self.read_frame()
            if read is None or read[0] == CLOSE:
                break
            if read[0] == BINARY:
                got += [pb.ServerMessage.FromString(m) for m in split(read[1])]
        return got

    async def put_messages(self, *messages, **how):
        await self.put(websocket_frame(BINARY, frame(*messages), **how))
