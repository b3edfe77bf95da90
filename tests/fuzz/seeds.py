# SPDX-License-Identifier: Apache-2.0
"""Writes tests/fuzz/corpus anew: the example frames of docs/protocol.md in the form that each target reads, and a few inputs by hand.

  PYTHONPATH=tests/integration /usr/bin/python3 tests/fuzz/seeds.py
"""
import pathlib
import shutil

from protocol_examples import examples
from wire import frame, pb

CORPUS = pathlib.Path(__file__).parent / "corpus"
CONTENTS = ["MessageContent", "CreateContent", "MembersAddContent", "MemberRemoveContent", "LeaveContent", "RoleContent", "OwnerContent", "TitleContent",
            "SettingsContent", "ToChannelContent", "DeviceRetiredContent"]
BACKENDS_SAY_YES = bytes(16)  # more than a step asks; what is left over is empty frames


def piece(data):
    return len(data).to_bytes(2, "little") + data


def codec():
    for n, example in enumerate(examples()):
        if example.kind in CONTENTS:
            kind = CONTENTS.index(example.kind) + 1
            yield f"{n:02}-{example.kind}", bytes([2, kind]) + example.data
        else:
            for message in example.messages:
                yield f"{n:02}-{message.WhichOneof('body')}", bytes([0 if example.kind == "client" else 1]) + message.SerializeToString()
    event = next(m.live.events[0] for e in examples() if e.kind == "server" for m in e.messages if m.live.events)
    yield "row", bytes([6]) + event.SerializeToString()
    no_id = pb.Send(conversation_id=b"\2" * 16, client_id=bytes(16), client_seq=1, type=1)
    yield "client-id-of-zeros", bytes([0]) + pb.ClientMessage(send=no_id).SerializeToString()
    yield "delivered", bytes([5]) + b"".join(bytes([0x0A, len(data)]) + data for data in [event.SerializeToString()])


def gateway_frame():
    every = b""
    for n, example in enumerate(e for e in examples() if e.kind == "client"):
        for message in example.messages:
            if message.WhichOneof("body") == "hello":
                continue
            action = b"\x01" + piece(message.SerializeToString()) + BACKENDS_SAY_YES
            every += action
            yield f"{n:02}-{message.WhichOneof('body')}", b"\0\0" + BACKENDS_SAY_YES + action
    yield "every", b"\0\0" + BACKENDS_SAY_YES + every
    yield "every-with-hooks", b"\1\1" + BACKENDS_SAY_YES + every
    no_id = pb.ClientMessage(send=pb.Send(conversation_id=b"\2" * 16, client_id=bytes(16), client_seq=1, retry=1, type=1))
    yield "client-id-of-zeros", b"\0\0" + BACKENDS_SAY_YES + b"\x00" + piece(frame(no_id)) + BACKENDS_SAY_YES


def brain_frame():
    every = b""
    for n, example in enumerate(e for e in examples() if e.kind == "server"):
        for message in example.messages:
            action = b"\x01" + piece(message.SerializeToString())
            every += action + b"\x05\x03\x02"
            yield f"{n:02}-{message.WhichOneof('body')}", action + b"\x03\x20"
    yield "every", every
    yield "every-and-a-restart", every + b"\x06\x02" + every


def log_record():
    records = b"".join(map(piece, [b"", b"one", b"x" * 100, b"12345678"]))
    yield "whole", b"\0\0" + records
    yield "changed", b"\1\x24\0\1" + b"\0" + records
    yield "cut", b"\0\x0a" + records
    yield "padding-changed", b"\1\x43\0\xff" + b"\0" + records


def option_source():
    texts = {
        "all": b"verbose = yes\noffset = -3\nqueue-max = 2m\nheartbeat = 1500ms\ndata = /some/where\nlevel = error\n",
        "comments": b"# one\n\n  level=info  \nDATA = a # b\n",
        "wrong": b"offset = 11\n",
        "unknown": b"nothing = 1\n",
        "no-sign": b"verbose\n",
        "numbers": b"queue-max = 99999999999999999999g\nheartbeat = 1.5s\n",
    }
    for name, text in texts.items():
        yield name, b"\0" + text
    yield "arguments", b"\1--verbose\n--offset=-3\n--queue-max\n2m\n--\n--rest"
    yield "a-value-is-missing", b"\1--data"
    yield "environment", b"\2CHATD_VERBOSE=no\nPATH=/bin\nCHATD_QUEUE_MAX=2k\nCHATD_NOTHING=1"


def chat_log():
    yield "lines", b"[10:01] <ann> hi\n=== somebody has joined\n[10:02] <bob> ann: hi > you\n\n[10:02] <> no nick\n[10:03] <cat> \xff\n[10:04] <ann> "


UPGRADE = (b"GET /chat HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
           b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: chat.v1\r\n\r\n")


def ws_upgrade():
    yield "good", piece(UPGRADE)
    yield "in-two", piece(UPGRADE[:100]) + piece(UPGRADE[100:] + b"\x82\x80")
    for name, old, new in (("post", b"GET", b"POST"), ("path", b"/chat", b"http://x/y?z"), ("version", b"13", b"8"), ("key", b"ZQ==", b"ZR=="),
                           ("list", b"chat.v1", b"a , chat.v1,"), ("fold", b"Host: x", b"Host: x\r\n y"), ("case", b"Upgrade:", b"uPGRADE:")):
        yield name, piece(UPGRADE.replace(old, new, 1))
    yield "long", piece(UPGRADE[:-2] + b"X: " + b"x" * 8192)


def masked(first, payload, mask=b"\x37\xfa\x21\x3d"):
    length = bytes([0x80 | len(payload)]) if len(payload) < 126 else b"\xfe" + len(payload).to_bytes(2, "big")
    return bytes([first]) + length + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(payload))


def ws_frames():
    message, begin, more, end = masked(0x82, b"hello"), masked(0x02, b"he"), masked(0x00, b"l"), masked(0x80, b"lo")
    ping = masked(0x89, b"ping")
    yield "message", piece(message)
    yield "in-two", piece(message[:7]) + piece(message[7:])
    yield "longer", piece(masked(0x82, b"x" * 300)[:100]) + piece(masked(0x82, b"x" * 300)[100:] + message)
    yield "fragments", piece(begin + ping[:8]) + piece(ping[8:] + more + masked(0x00, b"")) + piece(end + message)
    yield "close", piece(masked(0x88, b"\x03\xe8bye") + message)
    yield "close-without-code", piece(masked(0x88, b""))
    yield "text", piece(masked(0x81, b"text"))
    yield "too-large", piece(b"\x82\xff" + (1 << 40).to_bytes(8, "big") + b"mask")
    yield "reserved", piece(masked(0xc2, b"x"))
    yield "not-masked", piece(b"\x82\x01x")


def main():
    for target in (codec, gateway_frame, brain_frame, log_record, option_source, chat_log, ws_upgrade, ws_frames):
        folder = CORPUS / target.__name__
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name, data in target():
            (folder / name).write_bytes(data)


if __name__ == "__main__":
    main()
