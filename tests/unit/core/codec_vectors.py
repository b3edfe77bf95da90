#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Prints codec_vectors.h: messages of proto/*.proto as Google's implementation encodes them, every field set.

  protoc -Iproto --python_out=DIR proto/chat.proto proto/record.proto
  PYTHONPATH=DIR /usr/bin/python3 tests/unit/core/codec_vectors.py > tests/unit/core/codec_vectors.h

The same values stand as C structs in codec_example.h. The two were written apart: neither is made from the other.
"""
import chat_pb2 as c
import record_pb2 as r


def i(n):
    return bytes([n]) * 16


def event(n):
    return c.Event(conversation_id=i(n), seq=n + 1, msg_no=n + 2, message_id=0x0102030405060700 + n, created_ms=1700000000000 + n, sender=b"ann",
                   device_id=i(n + 3), client_seq=n + 4, client_id=i(n + 5), type=1, payload=b"\x12\x02hi")


def verdict(n):
    return c.Verdict(code=2, conversation_id=i(n), client_id=i(n + 1), client_seq=n + 2, last=n + 3, head=n + 4, error=26)


def receipts(n):
    return c.Receipts(marks=[c.Mark(conversation_id=i(n), user=b"ann", delivered=n + 2, read=n + 1),
                             c.Mark(conversation_id=i(n + 3), user=b"bob", delivered=n + 5, read=n + 4)])


def typing(n):
    return c.Typing(conversation_id=i(n), user="zoë".encode(), typing=1)


def head(n):
    return c.Head(conversation_id=i(n), kind=2, role=3, head=n + 1, msg_no=n + 2, first=n + 3, delivered=n + 4, read=n + 5,
                  active_ms=1700000000000 + n, title="Größe".encode())


client = [
    c.ClientMessage(tag=1, hello=c.Hello(version=1, features=1 << 63 | 2, token=b"tok", device_id=i(3), device_session=4, client=b"cli/1")),
    c.ClientMessage(tag=127, confirm_session=c.ConfirmSession(device_session=300)),
    c.ClientMessage(tag=128, renew_token=c.RenewToken(token=b"\x00\xff")),
    c.ClientMessage(tag=3, heartbeat=c.Heartbeat(idle=1)),
    c.ClientMessage(tag=2**64 - 1, send=c.Send(conversation_id=i(1), client_id=i(2), client_seq=5, prev=4, retry=1, discard=1, type=1,
                                              payload=b"\x12\x02hi", peer=b"bob")),
    c.ClientMessage(tag=5, sync=c.Sync(position=1 << 48 | 7)),
    c.ClientMessage(tag=6, range=c.Range(conversation_id=i(1), low=2, high=3, limit=200, newest_first=1)),
    c.ClientMessage(tag=7, receipt=c.Receipt(conversation_id=i(1), delivered=3, read=2)),
    c.ClientMessage(tag=8, get_receipts=c.GetReceipts(conversation_ids=[i(1), i(2), i(3)])),
    c.ClientMessage(tag=9, get_members=c.GetMembers(conversation_id=i(1), after=b"bob", limit=256)),
    c.ClientMessage(tag=10, search=c.Search(query="grün*".encode(), conversation_id=i(1), before_message_id=2, limit=3)),
    c.ClientMessage(tag=11, watch=c.Watch(conversation_id=i(1), stop=1)),
    c.ClientMessage(tag=12, set_typing=c.SetTyping(conversation_id=i(1), typing=1)),
    c.ClientMessage(tag=13, list_devices=c.ListDevices()),
    c.ClientMessage(tag=14, revoke_device=c.RevokeDevice(device_id=i(1))),
]

server = [
    c.ServerMessage(tag=1, welcome=c.Welcome(
        version=1, features=1 << 63 | 2, user=b"ann", device_id=i(4), device_session=5, server_ms=1700000000006, token_expires_ms=1700000000007,
        limits=c.Limits(heartbeat_ms=11, frame_max=12, body_max=13, meta_max=14, page_max=15, group_members_max=16, in_flight_max=17))),
    c.ServerMessage(tag=2, error=c.Error(code=4, retry_after_ms=1500, text=b"slow down")),
    c.ServerMessage(tag=3, ok=c.Ok()),
    c.ServerMessage(tag=4, heartbeat_reply=c.HeartbeatReply(pos=1 << 48 | 7)),
    c.ServerMessage(tag=5, answer=c.Answer(code=5, conversation_id=i(2), client_id=i(3), client_seq=4, error=16, retry_after_ms=6)),
    c.ServerMessage(tag=6, verdict=verdict(1)),
    c.ServerMessage(tag=7, live=c.Live(previous=1, position=2, events=[event(1), event(50)],
                                       heads=[c.HeadHint(conversation_id=i(3), head=4), c.HeadHint(conversation_id=i(5), head=6)])),
    c.ServerMessage(tag=8, sync_reply=c.SyncReply(heads=[head(1), head(20)], position=1 << 48 | 9, more=1, reset=1)),
    c.ServerMessage(tag=9, range_reply=c.RangeReply(conversation_id=i(1), status=2, low=3, high=4, head=5, floor=6, events=[event(1)])),
    c.ServerMessage(tag=10, receipts=receipts(1)),
    c.ServerMessage(tag=11, members_reply=c.MembersReply(
        conversation_id=i(1), kind=2, title=b"team", history_from_start=1, head=5, member_count=6, more=1,
        members=[c.Member(user=b"ann", role=3, delivered=8, read=7), c.Member(user=b"bob", role=1, delivered=10, read=9)])),
    c.ServerMessage(tag=12, search_reply=c.SearchReply(events=[event(9)], more=1)),
    c.ServerMessage(tag=13, presence=c.Presence(users=[c.UserPresence(user=b"ann", online=1, seen_ms=2)])),
    c.ServerMessage(tag=14, typing=typing(1)),
    c.ServerMessage(tag=15, devices_reply=c.DevicesReply(
        devices=[c.Device(device_id=i(1), name=b"cli/1", created_ms=3, seen_ms=4, revoked=1, current=1)])),
    c.ServerMessage(tag=16, goodbye=c.Goodbye(code=23, reconnect_after_ms=2)),
]

content = [
    c.MessageContent(kind=b"poll", body=b"hi", meta=b"\x00\x01"),
    c.CreateContent(kind=3, title=b"team", members=[b"bob", b"cy"], history_from_start=1),
    c.MembersAddContent(users=[b"bob", b"cy"], role=2),
    c.MemberRemoveContent(user=b"bob"),
    c.LeaveContent(),
    c.RoleContent(user=b"bob", role=2),
    c.OwnerContent(user=b"bob"),
    c.TitleContent(title="Größe".encode()),
    c.SettingsContent(history_from_start=1),
    c.ToChannelContent(),
    c.DeviceRetiredContent(device_id=i(9)),
]

record = [r.Record(conversation_id=i(1), sender=b"ann", device_id=i(2), client_id=i(3), client_seq=5, prev=4, type=1, payload=b"\x12\x02hi",
                   peer=b"bob", is_void=1, void_error=26, system=1)]

tasks = [r.Tasks(position=99, tasks=[
    r.Task(users=[b"ann", b"bob"], event=event(1), head=head(7), channel=1),
    r.Task(users=[b"ann"], device_id=i(8), verdict=verdict(3)),
    r.Task(users=[b"bob"], not_device=i(9), receipts=receipts(4)),
    r.Task(users=[b"cy"], typing=typing(5)),
])]

delivered = [r.Delivered(events=[event(1), event(2)], verdicts=[verdict(3)], receipts=[receipts(4), receipts(40)], typings=[typing(5)])]


def note(message, seen):
    """Notes in `seen` which fields of each type are set anywhere."""
    fields = seen.setdefault(message.DESCRIPTOR, set())
    for field, value in message.ListFields():
        fields.add(field.number)
        if field.message_type:
            for part in value if field.label == field.LABEL_REPEATED else [value]:
                note(part, seen)


seen = {}
for messages in (client, server, content, record, tasks, delivered):
    for message in messages:
        note(message, seen)
for file in (c.DESCRIPTOR, r.DESCRIPTOR):
    for kind in file.message_types_by_name.values():
        missing = {f.number for f in kind.fields} - seen[kind]
        assert not missing, (kind.name, missing)

print("/* SPDX-License-Identifier: Apache-2.0 */")
print("/* Printed by codec_vectors.py with Google's protobuf for Python: do not edit. */")
for name, messages in (("client", client), ("server", server), ("content", content), ("record", record), ("tasks", tasks), ("delivered", delivered)):
    print(f"static const char *const {name}_vectors[] = {{")
    for message in messages:
        print(f'    "{message.SerializeToString().hex()}",')
    print("};")
