# SPDX-License-Identifier: Apache-2.0
"""A second chat client, written from docs/protocol.md and proto/chat.proto alone: it uses no code of the library.

It keeps what a client must keep in an SQLite file, sends by the rules C1 to C8, receives by V2 to V8, and acknowledges. It does no more than that on
purpose: no reconnecting by itself, no threads, one `turn` at a time, so that a test can stop it (or kill it) anywhere."""
import asyncio
import sqlite3
import time

from wire import Connection, DEADLINE_S, ERRORS, NUMBERS, body_of, client_message, direct_id, group_id, pb, uuid7

ANSWER, VERDICT, RANGE = pb.AnswerCode, pb.VerdictCode, pb.RangeStatus
PAGE = 200
ACCEPTED_AGAIN_S = 10  # C3: an accepted row without an end
MESSAGE, CREATE, ADD, REMOVE, RETIRED = 1, 2, 3, 4, 11

SCHEMA = """
CREATE TABLE me (only_row INTEGER PRIMARY KEY CHECK (only_row = 1), user BLOB, device_id BLOB, device_session INTEGER, position INTEGER);
CREATE TABLE conversation (id BLOB PRIMARY KEY, cursor INTEGER DEFAULT 0, head INTEGER DEFAULT 0, next_seq INTEGER DEFAULT 1, role INTEGER DEFAULT 0,
                           delivered INTEGER DEFAULT 0, read INTEGER DEFAULT 0);
CREATE TABLE event (conversation_id BLOB, seq INTEGER, sender BLOB, client_id BLOB, bytes BLOB, PRIMARY KEY (conversation_id, seq));
CREATE TABLE outbox (conversation_id BLOB, client_id BLOB, client_seq INTEGER, type INTEGER, payload BLOB, peer BLOB, state TEXT, error INTEGER DEFAULT 0,
                     PRIMARY KEY (conversation_id, client_id));
CREATE TABLE mark (conversation_id BLOB, user BLOB, delivered INTEGER, read INTEGER, PRIMARY KEY (conversation_id, user));
"""
ENDED = ("committed", "refused", "conflict", "draft")
NOT_ENDED = "state NOT IN ('committed', 'refused', 'conflict', 'draft', 'restored')"  # restored: waits for what the history says


class Refused(Exception):
    """Hello was answered with an error."""

    def __init__(self, error):
        super().__init__(ERRORS.get(error.code, error.code))
        self.code = error.code


class Store:
    """The client's database. Every method that changes it commits durably before it returns (C1, V8)."""

    def __init__(self, path):
        self.db = sqlite3.connect(path, isolation_level=None)
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.execute("PRAGMA synchronous = FULL")
        if not self.db.execute("SELECT 1 FROM sqlite_master").fetchone():
            self.db.executescript("BEGIN;" + SCHEMA + "INSERT INTO me VALUES (1, x'', x'', 0, 0); COMMIT;")

    def close(self):
        self.db.close()

    def rows(self, sql, *values):
        return self.db.execute(sql, values).fetchall()

    def one(self, sql, *values):
        row = self.db.execute(sql, values).fetchone()
        return row[0] if row else None

    def change(self, *statements):
        """(sql, values…) each, in one transaction."""
        self.db.execute("BEGIN IMMEDIATE")
        try:
            for sql, *values in statements:
                self.db.execute(sql, values)
        except BaseException:
            self.db.execute("ROLLBACK")
            raise
        self.db.execute("COMMIT")

    def conversation(self, conversation_id):
        self.change(("INSERT OR IGNORE INTO conversation (id) VALUES (?)", conversation_id))


class Client:
    def __init__(self, path, url, token):
        self.store = Store(path)
        self.url, self.token = url, token
        self.options = {}        # of the WebSocket, such as ssl
        self.connection = None
        self.welcome = None
        self.goodbye = None
        self._fresh = set()      # client_ids entered in this session and not yet sent (C4)
        self._accepted_at = {}   # client_id → when, in this session
        self._told = 0           # V2
        self._sync_tag = self._sync_again = None
        self._ranges = {}        # tag → conversation_id
        self._dups = {}          # client_id → (conversation_id, client_seq, head) (C7)
        self._receipts = {}      # tag → (conversation_id, delivered, read)
        self._last_out = 0.0
        self.typing, self.presence = [], []

    # --- session ---------------------------------------------------------------------------------------------------------

    async def connect(self):
        device_id, device_session = self.store.rows("SELECT device_id, device_session FROM me")[0]
        self._fresh.clear()
        self.connection = await Connection.open(self.url, **self.options)
        reply = await self.connection.hello(self.token, device_id=device_id, device_session=device_session)
        name, body = body_of(reply)
        if name == "error":
            await self.connection.close()
            raise Refused(body)
        assert name == "welcome", name
        self.welcome = body
        self.store.change(("UPDATE me SET user = ?, device_id = ?, device_session = ?", body.user, body.device_id, body.device_session))
        await self._put(confirm_session=pb.ConfirmSession(device_session=body.device_session))
        self._told = self._position()
        self._sync_tag = self._sync_again = None
        self._ranges.clear()
        self._dups.clear()
        self._receipts.clear()
        self._accepted_at.clear()
        for (conversation_id, client_id) in self.store.rows(f"SELECT conversation_id, client_id FROM outbox WHERE {NOT_ENDED} "
                                                            "ORDER BY conversation_id, client_seq"):
            await self._put_send(conversation_id, client_id)  # C3
        await self.sync()

    async def become_new_device(self):
        """The database is a copy ("Restored databases"): nothing of the old device's may be sent before it is known what became of it."""
        old = self.store.one("SELECT device_id FROM me")
        self.store.change((f"UPDATE outbox SET state = 'restored' WHERE {NOT_ENDED}",), ("UPDATE conversation SET next_seq = 1",),
                          ("UPDATE me SET device_id = x'', device_session = 0",))
        places = self.store.rows("SELECT DISTINCT conversation_id, peer FROM outbox WHERE state = 'restored'")
        await self.connect()
        retired = {where: await self.post(where, RETIRED, pb.DeviceRetiredContent(device_id=old), peer) for where, peer in places}
        await self.until(lambda: all(self.state(client_id) in ENDED for client_id in retired.values()) and self.in_step())
        for where, client_id in retired.items():
            await self._settle_restored(where, is_closed=self.state(client_id) == "committed")

    async def _settle_restored(self, conversation_id, is_closed):
        for (client_id,) in self.store.rows("SELECT client_id FROM outbox WHERE conversation_id = ? AND state = 'restored' ORDER BY client_seq", conversation_id):
            if self.store.one("SELECT 1 FROM event WHERE conversation_id = ? AND client_id = ? AND sender = ?", conversation_id, client_id, self.user):
                self._end(client_id, "committed")
            elif is_closed:
                await self._number_anew(conversation_id, client_id)
            else:
                self._end(client_id, "draft")

    async def close(self):
        if self.connection:
            await self.connection.close()
        self.connection = None

    async def drop(self):
        """The connection is gone without a word."""
        self.connection.socket.transport.abort()
        self.connection = None

    @property
    def user(self):
        return self.store.one("SELECT user FROM me")

    def _position(self):
        return self.store.one("SELECT position FROM me")

    async def _put(self, **body):
        tag = self.connection.next_tag()
        await self.connection.put(client_message(tag, **body))
        self._last_out = time.monotonic()
        return tag

    async def heartbeat(self):
        await self._put(heartbeat=pb.Heartbeat())

    async def turn(self, timeout_s):
        """Handles one message, if one comes in time; else what time asks for. Closed: the session is over."""
        try:
            message = await self.connection.read(timeout_s)
        except asyncio.TimeoutError:
            message = None
        if message:
            await self._handle(message)
        if time.monotonic() - self._last_out > self.welcome.limits.heartbeat_ms / 1000:
            await self.heartbeat()
        await self._send_accepted_again()

    async def until(self, condition, timeout_s=DEADLINE_S):
        end = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < end, "not in time"
            await self.turn(0.2)

    async def _handle(self, message):
        name, body = body_of(message)
        handler = getattr(self, f"_on_{name}", None)
        if handler:
            await handler(message.tag, body)

    async def _on_goodbye(self, _tag, goodbye):
        self.goodbye = goodbye

    # --- sending ---------------------------------------------------------------------------------------------------------

    def compose(self, conversation_id, kind, content, peer=b"", client_id=None):
        """Enters a message into the outbox (C1); it goes out with `flush` or at the next connect. Gives its client_id."""
        client_id = client_id or uuid7()
        self.store.conversation(conversation_id)
        number = self.store.one("SELECT next_seq FROM conversation WHERE id = ?", conversation_id)
        self.store.change(("INSERT INTO outbox VALUES (?, ?, ?, ?, ?, ?, 'queued', 0)", conversation_id, client_id, number, kind,
                           content.SerializeToString(), peer),
                          ("UPDATE conversation SET next_seq = ? WHERE id = ?", number + 1, conversation_id))
        self._fresh.add(client_id)
        return client_id

    async def post(self, conversation_id, kind, content, peer=b"", client_id=None):
        client_id = self.compose(conversation_id, kind, content, peer, client_id)
        await self._put_send(conversation_id, client_id)
        return client_id

    async def say(self, conversation_id, text, peer=b""):
        return await self.post(conversation_id, MESSAGE, pb.MessageContent(body=text), peer)

    async def say_to(self, user, text):
        return await self.say(direct_id(self.user, user), text, user)

    async def create(self, title, *members, **fields):
        client_id = uuid7()
        conversation_id = group_id(self.user, client_id)
        await self.post(conversation_id, CREATE, pb.CreateContent(kind=2, title=title, members=members, **fields), client_id=client_id)
        return conversation_id

    async def discard(self, conversation_id, client_id):
        """C8. True: it never went out and is gone; else its verdict will end it."""
        if self.state(client_id) == "queued":
            self.store.change(("DELETE FROM outbox WHERE client_id = ?", client_id))
            return True
        self.store.change(("UPDATE outbox SET state = 'discarding' WHERE client_id = ?", client_id))
        await self._put_send(conversation_id, client_id)
        return False

    def state(self, client_id):
        return self.store.one("SELECT state FROM outbox WHERE client_id = ?", client_id)

    def error(self, client_id):
        return ERRORS.get(self.store.one("SELECT error FROM outbox WHERE client_id = ?", client_id))

    def _prev(self, conversation_id, number):
        """C2."""
        return self.store.one(f"SELECT max(client_seq) FROM outbox WHERE conversation_id = ? AND client_seq < ? AND {NOT_ENDED}",
                              conversation_id, number) or 0

    async def _put_send(self, conversation_id, client_id):
        number, kind, payload, peer, state = self.store.rows("SELECT client_seq, type, payload, peer, state FROM outbox WHERE conversation_id = ? "
                                                             "AND client_id = ?", conversation_id, client_id)[0]
        retry = 0 if client_id in self._fresh and state == "queued" else 1  # C4
        self._fresh.discard(client_id)
        if state in ("queued", "accepted"):
            self.store.change(("UPDATE outbox SET state = 'sent' WHERE client_id = ?", client_id))
        self._accepted_at.pop(client_id, None)
        send = pb.Send(conversation_id=conversation_id, client_id=client_id, client_seq=number, prev=self._prev(conversation_id, number), retry=retry)
        if state == "discarding":
            send.discard = 1
        else:
            send.type, send.payload, send.peer = kind, payload, peer
        await self._put(send=send)

    def _row_named(self, body):
        """C6: the state of the row that still has these two, and has not ended."""
        state = self.store.one("SELECT state FROM outbox WHERE conversation_id = ? AND client_id = ? AND client_seq = ?", body.conversation_id,
                               body.client_id, body.client_seq)
        return None if state in ENDED else state

    def _end(self, client_id, state, error=0):
        self.store.change(("UPDATE outbox SET state = ?, error = ? WHERE client_id = ?", state, error, client_id))

    async def _on_answer(self, _tag, answer):
        state = self._row_named(answer)
        if not state:
            return
        if answer.code == ANSWER.ACCEPTED:
            self._accepted_at[answer.client_id] = time.monotonic()
            if state != "discarding":
                self.store.change(("UPDATE outbox SET state = 'accepted' WHERE client_id = ?", answer.client_id))
        elif answer.code == ANSWER.REFUSED:
            self._end(answer.client_id, "refused", answer.error)
        else:  # C5: GAP, UNKNOWN, RETRY
            await asyncio.sleep(answer.retry_after_ms / 1000)
            await self._put_send(answer.conversation_id, answer.client_id)

    async def _on_verdict(self, _tag, verdict):
        if not self._row_named(verdict):
            return
        if verdict.code == VERDICT.VERDICT_REFUSED:
            self._end(verdict.client_id, "refused", verdict.error)
        elif verdict.code == VERDICT.VERDICT_GAP:
            await self._put_send(verdict.conversation_id, verdict.client_id)
        elif verdict.code == VERDICT.VERDICT_DUP:
            self._dups[verdict.client_id] = (verdict.conversation_id, verdict.client_seq, verdict.head)
            await self._fetch(verdict.conversation_id)

    async def _judge_dups(self, conversation_id, head):
        """C7, after a fetch that was answered from a state with this head."""
        for client_id, (where, number, wanted) in list(self._dups.items()):
            if where != conversation_id or head < wanted:
                continue
            del self._dups[client_id]
            if self.store.one("SELECT client_seq FROM outbox WHERE client_id = ?", client_id) == number:
                await self._end_dup(where, client_id)

    async def _end_dup(self, conversation_id, client_id):
        found = self.store.one("SELECT bytes FROM event WHERE conversation_id = ? AND client_id = ?", conversation_id, client_id)
        if found:
            self.store.change(self._ending(pb.Event.FromString(found)))
        elif self.state(client_id) == "discarding":
            self._end(client_id, "refused", NUMBERS["CANCELED"])
        elif self.state(client_id) not in ENDED:
            await self._number_anew(conversation_id, client_id)

    async def _number_anew(self, conversation_id, client_id):
        fresh = self.store.one("SELECT next_seq FROM conversation WHERE id = ?", conversation_id)
        self.store.change(("UPDATE outbox SET client_seq = ?, state = 'queued' WHERE client_id = ?", fresh, client_id),
                          ("UPDATE conversation SET next_seq = ? WHERE id = ?", fresh + 1, conversation_id))
        await self._put_send(conversation_id, client_id)

    @staticmethod
    def _ending(event):
        """The statement that ends the row of an own event."""
        return ("UPDATE outbox SET state = CASE WHEN type = ? AND payload = ? THEN 'committed' ELSE 'conflict' END WHERE conversation_id = ? "
                "AND client_id = ?", event.type, event.payload, event.conversation_id, event.client_id)

    async def _send_accepted_again(self):
        for client_id, since in list(self._accepted_at.items()):
            if time.monotonic() - since > ACCEPTED_AGAIN_S and self.state(client_id) not in ENDED:
                await self._put_send(self.store.one("SELECT conversation_id FROM outbox WHERE client_id = ?", client_id), client_id)

    # --- receiving -------------------------------------------------------------------------------------------------------

    async def sync(self):
        if self._sync_tag:
            self._sync_again = True
        else:
            self._sync_tag = await self._put(sync=pb.Sync(position=self._position()))

    async def _on_sync_reply(self, _tag, reply):
        statements = [("UPDATE me SET position = ?", reply.position)]
        for head in reply.heads:
            statements.append(("INSERT OR IGNORE INTO conversation (id) VALUES (?)", head.conversation_id))
            statements.append(("UPDATE conversation SET head = max(head, ?), role = ?, delivered = max(delivered, ?), read = max(read, ?) WHERE id = ?",
                               head.head, head.role, head.delivered, head.read, head.conversation_id))
        self.store.change(*statements)
        self._told = reply.position if reply.reset else max(self._told, reply.position)
        self._sync_tag = None
        if reply.more or self._sync_again:
            self._sync_again = None
            await self.sync()
        await self._fetch_all()

    async def _fetch_all(self):
        """V4."""
        for (conversation_id,) in self.store.rows("SELECT id FROM conversation WHERE cursor < head"):
            await self._fetch(conversation_id)

    async def _fetch(self, conversation_id):
        cursor = self.store.one("SELECT cursor FROM conversation WHERE id = ?", conversation_id)
        tag = await self._put(range=pb.Range(conversation_id=conversation_id, low=cursor, limit=PAGE))
        self._ranges[tag] = conversation_id

    async def _on_range_reply(self, tag, reply):
        if self._ranges.pop(tag, None) is None:
            return
        if reply.status == RANGE.RANGE_RESET:
            await self.sync()
            return
        self._commit_events(reply.conversation_id, reply.events, reply.low, max(reply.high, reply.floor), reply.head)
        if reply.status == RANGE.RANGE_MORE:
            await self._fetch(reply.conversation_id)
        else:
            await self._judge_dups(reply.conversation_id, reply.head)

    def _commit_events(self, conversation_id, events, low, high, head):
        """Rows, cursor and ends of outbox rows in one transaction. (low, high] is whole; the cursor moves only if it is not below low."""
        cursor = self.store.one("SELECT cursor FROM conversation WHERE id = ?", conversation_id) or 0
        statements = [("INSERT OR IGNORE INTO conversation (id) VALUES (?)", conversation_id),
                      ("UPDATE conversation SET head = max(head, ?) WHERE id = ?", head, conversation_id)]
        if low <= cursor < high:
            statements.append(("UPDATE conversation SET cursor = ? WHERE id = ?", high, conversation_id))
        device_id = self.store.one("SELECT device_id FROM me")
        for event in events:
            statements.append(("INSERT OR REPLACE INTO event VALUES (?, ?, ?, ?, ?)", conversation_id, event.seq, event.sender, event.client_id,
                               event.SerializeToString()))
            if event.sender == self.user and event.device_id == device_id:
                statements.append(self._ending(event))
        self.store.change(*statements)

    async def _on_live(self, _tag, live):
        for event in live.events:
            cursor = self.store.one("SELECT cursor FROM conversation WHERE id = ?", event.conversation_id) or 0
            if event.seq == cursor + 1:
                self._commit_events(event.conversation_id, [event], cursor, event.seq, event.seq)
            else:  # not held for 300 ms here: fetched at once
                self._note_head(event.conversation_id, event.seq)
        for hint in live.heads:
            self._note_head(hint.conversation_id, hint.head)
        if live.position:
            await self._note_position(live)
        await self._fetch_all()

    def _note_head(self, conversation_id, head):
        self.store.conversation(conversation_id)
        self.store.change(("UPDATE conversation SET head = max(head, ?) WHERE id = ?", head, conversation_id))

    async def _note_position(self, live):
        """V2."""
        if live.previous and live.previous <= self._told:
            self._told = max(self._told, live.position)
        else:
            await self.sync()

    async def _on_heartbeat_reply(self, _tag, reply):
        if not reply.pos or reply.pos > self._told:
            await self.sync()
        await self._fetch_all()

    async def _on_error(self, tag, _error):
        self._ranges.pop(tag, None)
        self._receipts.pop(tag, None)
        if tag == self._sync_tag:
            self._sync_tag = None
            await asyncio.sleep(_error.retry_after_ms / 1000)
            await self.sync()

    async def _on_typing(self, _tag, typing):
        self.typing.append(typing)

    async def _on_presence(self, _tag, presence):
        self.presence.append(presence)

    def events(self, conversation_id):
        return [pb.Event.FromString(row[0]) for row in self.store.rows("SELECT bytes FROM event WHERE conversation_id = ? ORDER BY seq", conversation_id)]

    def texts(self, conversation_id):
        return [pb.MessageContent.FromString(e.payload).body for e in self.events(conversation_id) if e.type == MESSAGE]

    def cursor(self, conversation_id):
        return self.store.one("SELECT cursor FROM conversation WHERE id = ?", conversation_id) or 0

    def conversations(self):
        return [row[0] for row in self.store.rows("SELECT id FROM conversation")]

    def in_step(self):
        return self._sync_tag is None and not self._ranges and not self.store.rows("SELECT 1 FROM conversation WHERE cursor < head")

    # --- receipts --------------------------------------------------------------------------------------------------------

    async def acknowledge(self, conversation_id, read=False):
        """DELIVERED (V8) up to the cursor, and READ if the person saw it."""
        cursor = self.cursor(conversation_id)
        tag = await self._put(receipt=pb.Receipt(conversation_id=conversation_id, delivered=cursor, read=cursor if read else 0))
        self._receipts[tag] = (conversation_id, cursor, cursor if read else 0)

    async def _on_ok(self, tag, _ok):
        if tag in self._receipts:
            conversation_id, delivered, read = self._receipts.pop(tag)
            self.store.change(("UPDATE conversation SET delivered = max(delivered, ?), read = max(read, ?) WHERE id = ?", delivered, read, conversation_id))

    async def _on_receipts(self, _tag, receipts):
        self.store.change(*[("INSERT INTO mark VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET delivered = max(delivered, excluded.delivered), "
                             "read = max(read, excluded.read)", m.conversation_id, m.user, m.delivered, m.read) for m in receipts.marks])

    async def ask_receipts(self, *conversation_ids):
        await self._put(get_receipts=pb.GetReceipts(conversation_ids=conversation_ids))

    def mark(self, conversation_id, user):
        """(delivered, read) of a member, as far as it was told."""
        rows = self.store.rows("SELECT delivered, read FROM mark WHERE conversation_id = ? AND user = ?", conversation_id, user)
        return rows[0] if rows else (0, 0)
