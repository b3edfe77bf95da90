# SPDX-License-Identifier: Apache-2.0
"""What the library tells, copied out of its memory: one small dataclass for each struct of the headers.

The annotations say how a field is copied; its name is that of the C field. A struct may grow: fields that are not named here are not looked at.
"""

import dataclasses
import enum
import typing

from .native import EventType, Kind, Role, ServerEventType, State, Tick, Type, ffi

record = dataclasses.dataclass(frozen=True, slots=True, repr=False)


class Record:
    __slots__ = ()

    def __repr__(self):
        """What is set, ids as digits."""
        values = ((field.name, getattr(self, field.name)) for field in dataclasses.fields(self))
        shown = (f"{name}={value.hex() if name.endswith('_id') and isinstance(value, bytes) else repr(value)}" for name, value in values if _says_something(value))
        return f"{type(self).__name__}({', '.join(shown)})"


def _says_something(value):
    return any(value) if isinstance(value, bytes) else bool(value)


@record
class Message(Record):
    """One event of a conversation: a message, or a change of its members or title. seq 0: still in the outbox."""

    conversation_id: bytes
    client_id: bytes
    device_id: bytes
    seq: int
    msg_no: int
    message_id: int
    created_ms: int
    client_seq: int
    type: Type
    tick: Tick
    own: bool
    status: int
    sender: str
    kind: str
    body: bytes
    meta: bytes
    users: list[str]
    role: Role
    history_from_start: bool
    title: str
    payload: bytes
    gap_before: int

    @property
    def text(self):
        return self.body.decode(errors="replace")


@record
class Conversation(Record):
    conversation_id: bytes
    kind: Kind
    role: Role
    head: int
    cursor: int
    unread: int
    delivered: int
    read: int
    active_ms: int
    pending: int
    member_count: int
    title: str
    peer: str


@record
class Member(Record):
    user: str
    role: Role
    online: bool
    seen_ms: int
    delivered: int
    read: int


@record
class Device(Record):
    device_id: bytes
    name: str
    created_ms: int
    seen_ms: int
    revoked: bool
    current: bool


@record
class Event(Record):
    type: EventType
    status: int
    tag: int
    state: State
    online: bool
    seq: int
    head: int
    delivered: int
    read: int
    until_ms: int
    seen_ms: int
    conversation_id: bytes
    client_id: bytes
    device_id: bytes
    user: str
    text: str
    messages: list[Message]
    conversations: list[Conversation]
    members: list[Member]
    devices: list[Device]
    more: bool

    @property
    def message(self):
        """The one message of a MESSAGE, OUTBOX or DRAFT event."""
        return self.messages[0] if self.messages else None

    @property
    def conversation(self):
        return self.conversations[0] if self.conversations else None


@record
class Login(Record):
    token: bytes
    address: str
    client: str
    device_id: bytes


@record
class Incoming(Record):
    conversation_id: bytes
    client_id: bytes
    type: Type
    user: str
    device_id: bytes
    kind: str
    body: bytes
    meta: bytes
    payload: bytes
    peer: str


@record
class Asked(Record):
    """May `user` do `action` to, with or in …?"""

    action: int
    user: str
    other: str
    conversation_id: bytes


@record
class Stored(Record):
    conversation_id: bytes
    seq: int
    msg_no: int
    message_id: int
    created_ms: int
    type: Type
    sender: str
    client_id: bytes
    kind: str
    body: bytes
    meta: bytes
    payload: bytes


@record
class ServerEvent(Record):
    type: ServerEventType
    status: int
    tag: int
    count: int
    conversation_id: bytes
    client_id: bytes
    stored: list[Stored]
    head: int
    text: str


# --- copying -------------------------------------------------------------------------------------------------------------


def _bytes(view):
    return bytes(ffi.buffer(view.data, view.len)) if view.len else b""


def _str(view):
    # The library has checked that it is UTF-8; were it ever not, an event must not get lost by that.
    return _bytes(view).decode(errors="surrogateescape")


def _enumerator(kind):
    def copy(number):
        try:
            return kind(number)
        except ValueError:  # of a later version: stays a number
            return number

    return copy


def _list(item, name):
    count_name = name.removesuffix("s") + "_count"

    def copy(struct):
        array = getattr(struct, name)
        return [item(array[i]) for i in range(getattr(struct, count_name))]

    return copy


def _scalar(annotation, c_type):
    if annotation is bytes and c_type.kind == "array":
        return bytes
    if annotation is bytes:
        return _bytes
    if annotation is str:
        return _str
    if issubclass(annotation, enum.Enum):
        return _enumerator(annotation)
    return annotation  # int, bool


def _field(name, annotation, c_type):
    if typing.get_origin(annotation) is list:
        (item,) = typing.get_args(annotation)
        return _list(_str if item is str else copier(item), name)
    convert = _scalar(annotation, c_type)
    return lambda struct: convert(getattr(struct, name))


_structs = {
    Message: "chat_message",
    Conversation: "chat_conversation",
    Member: "chat_member_info",
    Device: "chat_device_info",
    Event: "chat_event",
    Login: "chat_login",
    Incoming: "chat_incoming",
    Asked: "chat_action",
    Stored: "chat_stored",
    ServerEvent: "chat_server_event",
}
_copiers = {}


def copier(cls):
    """A function that makes a cls from a pointer to its struct."""
    if cls not in _copiers:
        c_fields = dict(ffi.typeof(_structs[cls]).fields)
        fields = [_field(name, annotation, c_fields[name].type) for name, annotation in typing.get_type_hints(cls).items()]
        _copiers[cls] = lambda struct: cls(*(field(struct) for field in fields))
    return _copiers[cls]


copy_event = copier(Event)
copy_server_event = copier(ServerEvent)
