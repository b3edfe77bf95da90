/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/store_sqlite/cells.h"

#include <string.h>

static uint64_t load_u64(const uint8_t *from) {
  uint64_t value = 0;
  for (int i = 0; i < 8; i++)
    value = value << 8 | from[i];
  return value;
}

static void save_u64(uint8_t *to, uint64_t value) {
  for (int i = 7; i >= 0; i--, value >>= 8)
    to[i] = (uint8_t)value;
}

size_t ch_sqlstore_intervals_encode(const chat_interval *intervals, size_t count, uint8_t out[CH_STORE_INTERVALS_LEN]) {
  for (size_t i = 0; i < count; i++) {
    save_u64(out + 16 * i, intervals[i].joined);
    save_u64(out + 16 * i + 8, intervals[i].left);
  }
  return 16 * count;
}

int ch_sqlstore_intervals_decode(chat_bytes bytes, chat_interval out[CHAT_MEMBER_INTERVALS_MAX]) {
  if (bytes.len % 16 != 0 || bytes.len > CH_STORE_INTERVALS_LEN) return CHAT_E_CORRUPT;
  for (size_t i = 0; i < bytes.len / 16; i++)
    out[i] = (chat_interval){load_u64(bytes.data + 16 * i), load_u64(bytes.data + 16 * i + 8)};
  return (int)(bytes.len / 16);
}

size_t ch_sqlstore_party_encode(chat_bytes user, const uint8_t device_id[16], uint8_t out[CH_STORE_PARTY_LEN]) {
  out[0] = (uint8_t)user.len;
  if (user.len > 0) memcpy(out + 1, user.data, user.len);
  memcpy(out + 1 + user.len, device_id, 16);
  return 1 + user.len + 16;
}

static int head_columns(sqlite3_stmt *statement, chat_op *op, chat_state *state) {
  state->kind = ch_sqlite_u32(statement, COLUMN_KIND);
  state->history_from_start = ch_sqlite_u32(statement, COLUMN_FROM_START);
  state->head = ch_sqlite_u64(statement, COLUMN_HEAD);
  state->msg_no = ch_sqlite_u64(statement, COLUMN_MSG_NO);
  state->message_id = ch_sqlite_u64(statement, COLUMN_MESSAGE_ID);
  state->position = ch_sqlite_u64(statement, COLUMN_POSITION);
  state->member_count = ch_sqlite_u64(statement, COLUMN_MEMBER_COUNT);
  state->active_ms = ch_sqlite_u64(statement, COLUMN_ACTIVE_MS);
  return ch_sqlite_copy(statement, COLUMN_TITLE, op, &state->title);
}

int ch_sqlstore_head_cells(ch_sqlite_db *db, const uint8_t conversation_id[16], chat_op *op, chat_state *state, uint64_t *conv, uint64_t *horizon) {
  *state = (chat_state){0};
  *conv = *horizon = 0;
  memcpy(state->conversation_id, conversation_id, 16);
  sqlite3_stmt *statement;
  int more = ch_sqlite_query(db, SQL_CONVERSATION, &statement, "k", conversation_id);
  if (!more) more = ch_sqlite_step(statement);
  if (more <= 0) return more;
  *conv = ch_sqlite_u64(statement, COLUMN_CONV);
  *horizon = ch_sqlite_u64(statement, COLUMN_HORIZON);
  int error = head_columns(statement, op, state);
  ch_sqlite_end(statement);
  return error;
}

static int intervals_column(sqlite3_stmt *statement, chat_op *op, chat_member *member) {
  chat_interval intervals[CHAT_MEMBER_INTERVALS_MAX];
  int count = ch_sqlstore_intervals_decode(ch_sqlite_bytes(statement, COLUMN_INTERVALS), intervals);
  if (count <= 0) return count;
  member->intervals = chat_op_alloc(op, (size_t)count * sizeof *intervals);
  if (!member->intervals) return CHAT_E_NOMEM;
  memcpy(member->intervals, intervals, (size_t)count * sizeof *intervals);
  member->interval_count = (size_t)count;
  return 0;
}

int ch_sqlstore_member_column(sqlite3_stmt *statement, chat_op *op, chat_member *member) {
  *member = (chat_member){
      .role = ch_sqlite_u32(statement, COLUMN_ROLE),
      .position = ch_sqlite_u64(statement, COLUMN_MEMBER_POSITION),
      .delivered = ch_sqlite_u64(statement, COLUMN_DELIVERED),
      .read = ch_sqlite_u64(statement, COLUMN_READ),
  };
  int error = ch_sqlite_copy(statement, COLUMN_USER, op, &member->user);
  return error ? error : intervals_column(statement, op, member);
}

int ch_sqlstore_member(ch_sqlite_db *db, uint64_t conv, chat_bytes user, chat_op *op, chat_member *member) {
  *member = (chat_member){0};
  sqlite3_stmt *statement;
  int more = ch_sqlite_query(db, SQL_MEMBER, &statement, "ub", conv, user);
  if (!more) more = ch_sqlite_step(statement);
  if (more <= 0) return more;
  int error = ch_sqlstore_member_column(statement, op, member);
  ch_sqlite_end(statement);
  return error ? error : 1;
}

int ch_sqlstore_run_column(sqlite3_stmt *statement, ch_sqlstore_stored_run *run) {
  *run = (ch_sqlstore_stored_run){
      .id = ch_sqlite_u64(statement, 0),
      .first_seq = ch_sqlite_u64(statement, 1),
      .count = ch_sqlite_u64(statement, 2),
      .format = ch_sqlite_u32(statement, 3),
      .body = ch_sqlite_bytes(statement, 4),
  };
  return run->count > 0 && run->count <= CH_STORE_RUN_EVENTS_MAX ? 0 : CHAT_E_CORRUPT;
}
