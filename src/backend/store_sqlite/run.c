/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/store_sqlite/run.h"

#include <string.h>

/* A run of one may be larger than CH_STORE_RUN_LEN_MAX: the largest payload of the protocol, with room. */
enum { BODY_LEN_MAX = 1024 * 1024, FIELDS_LEN = 64 + CHAT_USER_ID_MAX };

void ch_sqlstore_run_init(ch_sqlstore_run *run, const chat_allocator *alloc) {
  *run = (ch_sqlstore_run){0};
  ch_buf_init(&run->body, alloc, BODY_LEN_MAX);
}

void ch_sqlstore_run_fini(ch_sqlstore_run *run) {
  ch_buf_fini(&run->body);
}

void ch_sqlstore_run_clear(ch_sqlstore_run *run) {
  ch_buf_clear(&run->body);
  run->first_seq = run->count = run->first_ms = run->last_ms = 0;
}

int ch_sqlstore_run_takes(const ch_sqlstore_run *run, const chat_row *row) {
  if (run->count == 0) return 1;
  if (run->count == CH_STORE_RUN_EVENTS_MAX || row->seq != run->first_seq + run->count) return 0;
  return run->body.len + row->payload.len + FIELDS_LEN <= CH_STORE_RUN_LEN_MAX;
}

static void put_event(ch_buf *body, const chat_row *row) {
  ch_buf_put_varint(body, row->msg_no);
  ch_buf_put_u64(body, row->message_id);
  ch_buf_put_varint(body, row->created_ms);
  ch_buf_put_varint(body, row->client_seq);
  ch_buf_put_u8(body, (uint8_t)row->sender.len);
  ch_buf_put(body, row->sender);
  ch_buf_put(body, ch_bytes_of(row->device_id, sizeof row->device_id));
  ch_buf_put(body, ch_bytes_of(row->client_id, sizeof row->client_id));
  ch_buf_put_varint(body, row->type);
  ch_buf_put_varint(body, row->payload.len);
  ch_buf_put(body, row->payload);
}

int ch_sqlstore_run_add(ch_sqlstore_run *run, const chat_row *row) {
  if (row->sender.len > CHAT_USER_ID_MAX) return CHAT_E_INVALID;
  put_event(&run->body, row);
  if (run->body.error) return run->body.error;
  if (run->count == 0) run->first_seq = row->seq;
  if (run->count == 0 || row->created_ms < run->first_ms) run->first_ms = row->created_ms;
  if (row->created_ms > run->last_ms) run->last_ms = row->created_ms;
  run->count++;
  return 0;
}

static void get_id(ch_cursor *cursor, uint8_t out[16]) {
  chat_bytes bytes;
  if (ch_cursor_bytes(cursor, 16, &bytes) == 0) memcpy(out, bytes.data, 16);
}

static void get_event(ch_cursor *cursor, chat_row *row) {
  uint8_t sender_len;
  uint64_t type, payload_len;
  ch_cursor_varint(cursor, &row->msg_no);
  ch_cursor_u64(cursor, &row->message_id);
  ch_cursor_varint(cursor, &row->created_ms);
  ch_cursor_varint(cursor, &row->client_seq);
  ch_cursor_u8(cursor, &sender_len);
  ch_cursor_bytes(cursor, sender_len, &row->sender);
  get_id(cursor, row->device_id);
  get_id(cursor, row->client_id);
  ch_cursor_varint(cursor, &type);
  ch_cursor_varint(cursor, &payload_len);
  ch_cursor_bytes(cursor, (size_t)payload_len, &row->payload);
  row->type = (uint32_t)type;
}

int ch_sqlstore_run_decode(const ch_sqlstore_stored_run *run, const uint8_t conversation_id[16], chat_row *rows) {
  if (run->format != CH_STORE_RUN_FORMAT) return CHAT_E_VERSION;
  if (run->count == 0 || run->count > CH_STORE_RUN_EVENTS_MAX) return CHAT_E_CORRUPT;
  ch_cursor cursor = ch_cursor_of(run->body);
  for (uint64_t i = 0; i < run->count; i++) {
    rows[i] = (chat_row){.seq = run->first_seq + i};
    memcpy(rows[i].conversation_id, conversation_id, 16);
    get_event(&cursor, &rows[i]);
  }
  return ch_cursor_end(&cursor) ? CHAT_E_CORRUPT : 0;
}
