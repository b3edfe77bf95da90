# SPDX-License-Identifier: Apache-2.0
"""The examples of docs/protocol.md are what Google's protobuf makes of their text, byte for byte, and there is one of everything that proto/chat.proto has.
tests/unit/core/test_protocol_examples.c holds the library's codec to the same bytes."""
import re

from protocol_examples import PAGE, SOURCE, examples
from wire import ERRORS, direct_id, group_id, pb, split

EXAMPLES = examples()


def test_every_block_is_an_example():
    page = PAGE.read_text()
    assert len(EXAMPLES) == page.count("```hex\n") > 40


def test_the_bytes_are_those_of_the_text():
    for example in EXAMPLES:
        assert example.encoded() == example.data, example.texts


def test_the_text_is_that_of_the_bytes():
    for example in EXAMPLES:
        messages = split(example.data) if example.is_framed() else [example.data]
        assert [example.type().FromString(m) for m in messages] == example.messages


def test_payloads_are_what_the_comment_says():
    nested = [pair for example in EXAMPLES for pair in example.nested()]
    assert nested
    for data, message in nested:
        assert data == message.SerializeToString()


def test_there_is_one_of_everything():
    bodies = {kind: {m.WhichOneof("body") for e in EXAMPLES if e.kind == kind for m in e.messages} for kind in ("client", "server")}
    assert bodies["client"] == {f.name for f in pb.ClientMessage.DESCRIPTOR.oneofs_by_name["body"].fields}
    assert bodies["server"] == {f.name for f in pb.ServerMessage.DESCRIPTOR.oneofs_by_name["body"].fields}
    contents = {name for name in pb.DESCRIPTOR.message_types_by_name if name.endswith("Content")}
    assert contents <= {e.kind for e in EXAMPLES}


def test_ids_are_the_computed_ones():
    sends = [m.send for e in EXAMPLES if e.kind == "client" for m in e.messages if m.WhichOneof("body") == "send"]
    assert {s.conversation_id for s in sends if s.peer} == {direct_id(b"ann", b"bob")}
    groups = [s for s in sends if s.type == 2]
    assert groups and all(s.conversation_id == group_id(b"ann", s.client_id) for s in groups)
    for client_id in [s.client_id for s in sends]:
        assert client_id[6] >> 4 == 7 and client_id[8] >> 6 == 2, "a UUIDv7"


def test_ids_in_the_text_are_computed():
    found = re.findall(r"`(\w*)` and `(\w*)` → `([0-9a-f]{32})`", PAGE.read_text())
    assert found and all(direct_id(a.encode(), b.encode()).hex() == shown for a, b, shown in found)


def test_the_table_of_errors_is_that_of_chat_h():
    header = (SOURCE / "include/chat/chat.h").read_text()
    assert ERRORS == {int(number): name for name, number in re.findall(r"\bCHAT_E_(\w+) = -(\d+)", header)}
