# SPDX-License-Identifier: Apache-2.0
"""The example frames of docs/protocol.md: blocks ```textproto KIND, then the bytes of it (of them, where several stand in one frame) in a block ```hex.
KIND is client, server, or the name of a payload, which has no length in front.

  /usr/bin/python3 tests/integration/protocol_examples.py    writes the bytes anew from the textproto, by Google's protobuf
"""
import re

from google.protobuf import text_format

from wire import SOURCE, frame, pb

PAGE = SOURCE / "docs/protocol.md"
KINDS = {"client": pb.ClientMessage, "server": pb.ServerMessage}
EXAMPLE = re.compile(r"((?:```textproto \w+\n.*?```\n)+)```hex\n(.*?)```\n", re.DOTALL)
TEXT = re.compile(r"```textproto (\w+)\n(.*?)```\n", re.DOTALL)
NESTED = re.compile(r'payload: (".*")  # (\w+) \{ (.*) \}$', re.MULTILINE)


class Example:
    def __init__(self, match):
        texts = TEXT.findall(match[1])
        self.texts = [text for _, text in texts]
        self.kind, = {kind for kind, _ in texts}
        self.messages = [text_format.Parse(text, self.type()()) for text in self.texts]
        self.data = bytes.fromhex(match[2])

    def type(self):
        return KINDS.get(self.kind) or getattr(pb, self.kind)

    def is_framed(self):
        return self.kind in KINDS

    def encoded(self):
        return frame(*self.messages) if self.is_framed() else self.messages[0].SerializeToString()

    def nested(self):
        """(bytes of a payload, the message that the comment beside it says)."""
        for text in self.texts:
            for literal, kind, content in NESTED.findall(text):
                holder = text_format.Parse(f"payload: {literal}", pb.Event())
                yield holder.payload, text_format.Parse(content, getattr(pb, kind)())


def examples():
    return [Example(match) for match in EXAMPLE.finditer(PAGE.read_text())]


def hex_lines(data):
    text = data.hex(" ")
    return "".join(text[i:i + 96].rstrip() + "\n" for i in range(0, len(text), 96))


def main():
    page = PAGE.read_text()
    PAGE.write_text(EXAMPLE.sub(lambda match: match[1] + "```hex\n" + hex_lines(Example(match).encoded()) + "```\n", page))


if __name__ == "__main__":
    main()
