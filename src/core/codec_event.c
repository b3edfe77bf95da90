/* SPDX-License-Identifier: Apache-2.0 */
/* Messages that the wire, the log and the link have in common, and events encoded once for a whole fan-out. */
#include <string.h>

#include "chat.pb-c.h"
#include "core/codec_parts.h"

/* Keys as they stand on the wire: number * 8 + wire type. */
enum { KEY_SERVER_LIVE = 8 * 8 + 2, KEY_LIVE_PREVIOUS = 1 * 8, KEY_LIVE_POSITION = 2 * 8, KEY_LIVE_EVENTS = 3 * 8 + 2, KEY_DELIVERED_EVENTS = 1 * 8 + 2 };
enum { LIVE_HEAD_LEN_MAX = 2 * 11, PREFIX_LEN_MAX = 10 + 1 + 10 };

/* --- Event: an event of the embedder's server has no device, and need not have a sender --- */

void ch_event_pack(ch_pack *pack, const void *from, void *to) {
  const chat_row *row = from;
  Ch__Event *event = to;
  (void)pack;
  event->conversation_id = ch_pack_id(row->conversation_id);
  event->seq = row->seq;
  event->msg_no = row->msg_no;
  event->message_id = row->message_id;
  event->created_ms = row->created_ms;
  event->sender = ch_pack_bytes(row->sender);
  event->device_id = ch_pack_id_or_none(row->device_id);
  event->client_seq = row->client_seq;
  event->client_id = ch_pack_id_or_none(row->client_id);
  event->type = row->type;
  event->payload = ch_pack_bytes(row->payload);
}

void ch_event_unpack(ch_unpack *unpack, const void *from, void *to) {
  const Ch__Event *event = from;
  chat_row *row = to;
  ch_unpack_id(unpack, event->conversation_id, row->conversation_id);
  if (event->seq == 0) ch_unpack_fail(unpack, CHAT_E_INVALID);
  row->seq = event->seq;
  row->msg_no = event->msg_no;
  row->message_id = event->message_id;
  row->created_ms = event->created_ms;
  row->sender = ch_unpack_user_or_none(unpack, event->sender);
  ch_unpack_id_or_none(unpack, event->device_id, row->device_id);
  row->client_seq = event->client_seq;
  ch_unpack_id_or_none(unpack, event->client_id, row->client_id);
  row->type = event->type;
  row->payload = ch_unpack_payload(unpack, event->type, event->payload);
}

int ch_row_decode(chat_bytes bytes, ch_arena *arena, chat_row *row) {
  return ch_unpack_whole(arena, &ch__event__descriptor, bytes, ch_event_unpack, row, sizeof *row);
}

int ch_row_encode(const chat_row *row, ch_buf *out) {
  return ch_pack_whole(&ch__event__descriptor, ch_event_pack, row, out);
}

/* --- Verdict --- */

void ch_verdict_pack(ch_pack *pack, const void *from, void *to) {
  const ch_verdict *verdict = from;
  Ch__Verdict *message = to;
  (void)pack;
  message->code = (Ch__VerdictCode)verdict->code;
  message->conversation_id = ch_pack_id(verdict->conversation_id);
  message->client_id = ch_pack_id(verdict->client_id);
  message->client_seq = verdict->client_seq;
  message->last = verdict->last;
  message->head = verdict->head;
  message->error = ch_pack_error(verdict->error);
}

void ch_verdict_unpack(ch_unpack *unpack, const void *from, void *to) {
  const Ch__Verdict *message = from;
  ch_verdict *verdict = to;
  verdict->code = (ch_verdict_code)ch_unpack_choice(unpack, (uint32_t)message->code, CH_VERDICT_REFUSED, CH_VERDICT_GAP);
  ch_unpack_id(unpack, message->conversation_id, verdict->conversation_id);
  ch_unpack_id(unpack, message->client_id, verdict->client_id);
  verdict->client_seq = message->client_seq;
  verdict->last = message->last;
  verdict->head = message->head;
  verdict->error = ch_unpack_error(unpack, message->error);
}

/* --- Receipts --- */

static void mark_pack(ch_pack *pack, const void *from, void *to) {
  const chat_watermark *mark = from;
  Ch__Mark *message = to;
  (void)pack;
  message->conversation_id = ch_pack_id(mark->conversation_id);
  message->user = ch_pack_bytes(mark->user);
  message->delivered = mark->delivered;
  message->read = mark->read;
}

static void mark_unpack(ch_unpack *unpack, const void *from, void *to) {
  const Ch__Mark *message = from;
  chat_watermark *mark = to;
  ch_unpack_id(unpack, message->conversation_id, mark->conversation_id);
  mark->user = ch_unpack_user(unpack, message->user);
  mark->delivered = message->delivered;
  mark->read = message->read;
}

void ch_receipts_pack(ch_pack *pack, const void *from, void *to) {
  const ch_receipts *receipts = from;
  Ch__Receipts *message = to;
  message->n_marks = receipts->count;
  message->marks = ch_pack_list(pack, receipts->marks, receipts->count, sizeof *receipts->marks, &ch__mark__descriptor, mark_pack);
}

void ch_receipts_unpack(ch_unpack *unpack, const void *from, void *to) {
  const Ch__Receipts *message = from;
  ch_receipts *receipts = to;
  receipts->count = message->n_marks;
  receipts->marks = ch_unpack_list(unpack, message->marks, message->n_marks, sizeof *receipts->marks, mark_unpack);
}

/* --- Typing --- */

void ch_typing_pack(ch_pack *pack, const void *from, void *to) {
  const ch_typing *typing = from;
  Ch__Typing *message = to;
  (void)pack;
  message->conversation_id = ch_pack_id(typing->conversation_id);
  message->user = ch_pack_bytes(typing->user);
  message->typing = typing->typing;
}

void ch_typing_unpack(ch_unpack *unpack, const void *from, void *to) {
  const Ch__Typing *message = from;
  ch_typing *typing = to;
  ch_unpack_id(unpack, message->conversation_id, typing->conversation_id);
  typing->user = ch_unpack_user(unpack, message->user);
  typing->typing = ch_unpack_flag(message->typing);
}

/* --- Head --- */

void ch_head_pack(ch_pack *pack, const void *from, void *to) {
  const chat_head *head = from;
  Ch__Head *message = to;
  (void)pack;
  message->conversation_id = ch_pack_id(head->conversation_id);
  message->kind = head->kind;
  message->role = head->role;
  message->head = head->head;
  message->msg_no = head->msg_no;
  message->first = head->first;
  message->delivered = head->delivered;
  message->read = head->read;
  message->active_ms = head->active_ms;
  message->title = ch_pack_bytes(head->title);
}

void ch_head_unpack(ch_unpack *unpack, const void *from, void *to) {
  const Ch__Head *message = from;
  chat_head *head = to;
  ch_unpack_id(unpack, message->conversation_id, head->conversation_id);
  head->kind = ch_unpack_choice(unpack, message->kind, CHAT_DIRECT, CHAT_CHANNEL);
  head->role = ch_unpack_choice(unpack, message->role, CHAT_ROLE_NONE, CHAT_ROLE_OWNER);
  head->head = message->head;
  head->msg_no = message->msg_no;
  head->first = message->first;
  head->delivered = message->delivered;
  head->read = message->read;
  head->active_ms = message->active_ms;
  head->title = ch_unpack_text(unpack, message->title, CHAT_TITLE_MAX);
}

/* --- events encoded once --- */

static int append_event(uint8_t key, const chat_row *row, ch_buf *out) {
  Ch__Event event = CH__EVENT__INIT;
  ch_event_pack(NULL, row, &event);
  return ch_pack_append_prefixed(key, &event.base, out);
}

int ch_delivered_add_event(const chat_row *event, ch_buf *out) {
  return append_event(KEY_DELIVERED_EVENTS, event, out);
}

static int copy_event(chat_bytes event, ch_buf *out) {
  ch_buf_put_u8(out, KEY_LIVE_EVENTS);
  ch_buf_put_varint(out, event.len);
  return ch_buf_put(out, event);
}

int ch_events_of_delivered(chat_bytes delivered, ch_buf *out) {
  size_t before_len = out->len;
  ch_cursor cursor = ch_cursor_of(delivered);
  int error = out->error;
  while (cursor.left_len > 0 && !error) {
    ch_field field;
    error = ch_read_field(&cursor, &field);
    if (!error && field.number == KEY_DELIVERED_EVENTS >> 3) error = copy_event(field.bytes, out);
  }
  if (error) out->len = before_len;
  return error;
}

int ch_events_encode(const chat_row *events, size_t count, ch_buf *out) {
  size_t before_len = out->len;
  int error = CHAT_OK;
  for (size_t i = 0; i < count && !error; i++)
    error = append_event(KEY_LIVE_EVENTS, &events[i], out);
  if (error) out->len = before_len;
  return error;
}

/* A field of proto3 is not on the wire where it is 0. */
static void put_number(ch_buf *buf, uint8_t key, uint64_t value) {
  if (value == 0) return;
  ch_buf_put_u8(buf, key);
  ch_buf_put_varint(buf, value);
}

int ch_live_encode_shared(uint64_t previous, uint64_t position, chat_bytes encoded_events, ch_buf *out) {
  uint8_t head_bytes[LIVE_HEAD_LEN_MAX + 1], prefix_bytes[PREFIX_LEN_MAX + 1], body_bytes[PREFIX_LEN_MAX + 1];
  ch_buf head = {.data = head_bytes, .cap_len = LIVE_HEAD_LEN_MAX, .max_len = LIVE_HEAD_LEN_MAX};
  ch_buf body = {.data = body_bytes, .cap_len = PREFIX_LEN_MAX, .max_len = PREFIX_LEN_MAX};
  ch_buf prefix = {.data = prefix_bytes, .cap_len = PREFIX_LEN_MAX, .max_len = PREFIX_LEN_MAX};
  put_number(&head, KEY_LIVE_PREVIOUS, previous);
  put_number(&head, KEY_LIVE_POSITION, position);
  ch_buf_put_u8(&body, KEY_SERVER_LIVE);
  ch_buf_put_varint(&body, head.len + encoded_events.len);
  ch_buf_put_varint(&prefix, body.len + head.len + encoded_events.len);
  if (out->error) return out->error;
  if (prefix.len + body.len + head.len + encoded_events.len > out->max_len - out->len) return CHAT_E_TOO_LARGE;
  size_t before_len = out->len;
  ch_buf_put(out, ch_buf_bytes(&prefix));
  ch_buf_put(out, ch_buf_bytes(&body));
  ch_buf_put(out, ch_buf_bytes(&head));
  if (ch_buf_put(out, encoded_events)) out->len = before_len;
  return out->error;
}
