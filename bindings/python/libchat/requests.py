# SPDX-License-Identifier: Apache-2.0
"""Every request of client.h as a method. What a request returns (something to wait for, or to await) is up to the class that these are mixed into, which brings
`_request(function, *arguments)`: it calls function(client, tag, *arguments) with a tag of its own."""

from .native import Kind, Role, client_lib, ffi

NULL = ffi.NULL


def raw_id(value):
    """16 bytes from bytes, a uuid.UUID or 32 hexadecimal digits."""
    value = bytes.fromhex(value) if isinstance(value, str) else getattr(value, "bytes", value)
    if len(value) != 16:
        raise ValueError("an id is 16 bytes")
    return bytes(value)


def raw_id_or_null(value):
    return NULL if value is None else ffi.from_buffer("uint8_t[]", raw_id(value))


def text(value):
    """(pointer, length) of a str or bytes, as two arguments."""
    value = value.encode() if isinstance(value, str) else bytes(value)
    return ffi.from_buffer("char[]", value), len(value)


def text_or_null(value):
    return (NULL, 0) if value is None else text(value)


class Texts:
    """An array of chat_text that keeps what it points to."""

    def __init__(self, values):
        self.kept = [text(value) for value in values]
        self.array = ffi.new("chat_text[]", len(self.kept))
        for slot, (data, size) in zip(self.array, self.kept):
            slot.data, slot.len = data, size


def draft(body, kind, meta, client_id):
    """(chat_draft *, what must live as long)."""
    out = ffi.new("chat_draft *")
    out.size = ffi.sizeof("chat_draft")
    kept = text(body), text_or_null(kind), text(meta), raw_id_or_null(client_id)
    (out.body, out.body_len), (out.kind, out.kind_len), (out.meta, out.meta_len), out.client_id = kept
    return out, kept


class Requests:
    # --- connection

    def set_online(self, online):
        return self._request(client_lib.chat_client_set_online, bool(online))

    def logout(self):
        return self._request(client_lib.chat_client_logout)

    def whoami(self):
        """Reply: user, device_id."""
        return self._request(client_lib.chat_client_whoami)

    # --- sending. Reply: durable in the local database, with conversation_id and client_id

    def send(self, conversation_id, body, *, kind=None, meta=b"", client_id=None):
        struct, _kept = draft(body, kind, meta, client_id)
        return self._request(client_lib.chat_client_send, raw_id(conversation_id), struct)

    def send_direct(self, user, body, *, kind=None, meta=b"", client_id=None):
        struct, _kept = draft(body, kind, meta, client_id)
        return self._request(client_lib.chat_client_send_direct, *text(user), struct)

    def retry(self, client_id):
        return self._request(client_lib.chat_client_retry, raw_id(client_id))

    def discard(self, client_id):
        return self._request(client_lib.chat_client_discard, raw_id(client_id))

    def create(self, title, members=(), *, kind=Kind.GROUP, history_from_start=False):
        users = Texts(members)
        return self._request(client_lib.chat_client_create, kind, *text(title), users.array, len(users.array), history_from_start)

    def add_members(self, conversation_id, users, role=Role.MEMBER):
        users = Texts(users)
        return self._request(client_lib.chat_client_add_members, raw_id(conversation_id), users.array, len(users.array), role)

    def remove_member(self, conversation_id, user):
        return self._request(client_lib.chat_client_remove_member, raw_id(conversation_id), *text(user))

    def leave(self, conversation_id):
        return self._request(client_lib.chat_client_leave, raw_id(conversation_id))

    def set_role(self, conversation_id, user, role):
        return self._request(client_lib.chat_client_set_role, raw_id(conversation_id), *text(user), role)

    def set_owner(self, conversation_id, user):
        return self._request(client_lib.chat_client_set_owner, raw_id(conversation_id), *text(user))

    def set_title(self, conversation_id, title):
        return self._request(client_lib.chat_client_set_title, raw_id(conversation_id), *text(title))

    def set_history_from_start(self, conversation_id, from_start):
        return self._request(client_lib.chat_client_set_history_from_start, raw_id(conversation_id), from_start)

    def make_channel(self, conversation_id):
        return self._request(client_lib.chat_client_make_channel, raw_id(conversation_id))

    # --- receipts

    def mark_read(self, conversation_id, seq):
        return self._request(client_lib.chat_client_mark_read, raw_id(conversation_id), seq)

    def open(self, conversation_id):
        return self._request(client_lib.chat_client_open, raw_id(conversation_id))

    def close_conversation(self, conversation_id):
        """chat_client_close; `close` is Python's name for the end of the client."""
        return self._request(client_lib.chat_client_close, raw_id(conversation_id))

    # --- reading

    def conversations(self, after_index=0, limit=1000):
        return self._request(client_lib.chat_client_conversations, after_index, limit)

    def conversation(self, conversation_id):
        return self._request(client_lib.chat_client_conversation, raw_id(conversation_id))

    def history(self, conversation_id, *, before_seq=0, after_seq=0, limit=50, local=False):
        return self._request(client_lib.chat_client_history, raw_id(conversation_id), before_seq, after_seq, limit, local)

    def search(self, query, conversation_id=None, *, before_message_id=0, limit=50, on_server=False):
        return self._request(client_lib.chat_client_search, *text(query), raw_id_or_null(conversation_id), before_message_id, limit, on_server)

    def members(self, conversation_id, *, after=None, limit=256):
        return self._request(client_lib.chat_client_members, raw_id(conversation_id), *text_or_null(after), limit)

    def devices(self):
        return self._request(client_lib.chat_client_devices)

    def revoke_device(self, device_id):
        return self._request(client_lib.chat_client_revoke_device, raw_id(device_id))

    def verify(self, conversation_id):
        """Reply: seq events compared, head events repaired."""
        return self._request(client_lib.chat_client_verify, raw_id(conversation_id))
