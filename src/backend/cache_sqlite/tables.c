/* SPDX-License-Identifier: Apache-2.0 */
/* Values, outbox, conversations, members. */
#include <string.h>

#include "backend/cache_sqlite/cache.h"

int ch_cache_place_find(ch_cache_sqlite *self, const uint8_t id[16], uint64_t *place) {
  sqlite3_stmt *statement;
  *place = self->place;
  if (self->place > 0 && memcmp(self->place_id, id, 16) == 0) return 0;
  *place = 0;
  int error = ch_sqlite_query(&self->db, CH_SQL_PLACE_FIND, &statement, "k", id);
  if (!error) error = ch_sqlite_step(statement);
  if (error <= 0) return error;
  *place = ch_sqlite_u64(statement, 0);
  ch_sqlite_end(statement);
  memcpy(self->place_id, id, 16);
  self->place = *place;
  return 0;
}

int ch_cache_place_make(ch_cache_sqlite *self, const uint8_t id[16], uint64_t *place) {
  int error = ch_cache_place_find(self, id, place);
  if (error || *place > 0) return error;
  error = ch_sqlite_run(&self->db, CH_SQL_PLACE_MAKE, "k", id);
  if (!error) *place = (uint64_t)sqlite3_last_insert_rowid(self->db.handle);
  return error;
}

/* ------------------------------------------------------------------------------------------------ values */

int ch_cache_value_get(void *arg, const char *name, chat_bytes *value) {
  ch_cache_sqlite *self = arg;
  sqlite3_stmt *statement;
  int error = ch_sqlite_query(&self->db, CH_SQL_VALUE_GET, &statement, "t", name);
  if (!error) error = ch_sqlite_step(statement);
  if (error <= 0) return error ? error : CHAT_E_NOT_FOUND;
  ch_buf_clear(&self->scratch);
  error = ch_buf_put(&self->scratch, ch_sqlite_bytes(statement, 0));
  ch_sqlite_end(statement);
  *value = ch_buf_bytes(&self->scratch);
  return error;
}

int ch_cache_value_put(void *arg, const char *name, chat_bytes value) {
  ch_cache_sqlite *self = arg;
  return value.len > 0 ? ch_sqlite_run(&self->db, CH_SQL_VALUE_PUT, "tb", name, value) : ch_sqlite_run(&self->db, CH_SQL_VALUE_REMOVE, "t", name);
}

/* ------------------------------------------------------------------------------------------------ outbox */

int ch_cache_outbox_put(void *arg, const chat_outbox_row *row) {
  ch_cache_sqlite *self = arg;
  return ch_sqlite_run(&self->db, CH_SQL_OUTBOX_PUT, "kkuuuuuubb", row->client_id, row->conversation_id, row->client_seq, row->created_ms, (uint64_t)row->type,
                        (uint64_t)row->state, (uint64_t)row->discard, (uint64_t)(int64_t)row->error, row->payload, row->peer);
}

int ch_cache_outbox_remove(void *arg, const uint8_t client_id[16]) {
  ch_cache_sqlite *self = arg;
  return ch_sqlite_run(&self->db, CH_SQL_OUTBOX_REMOVE, "k", client_id);
}

static int read_outbox_row(sqlite3_stmt *s, chat_outbox_row *row) {
  *row = (chat_outbox_row){
      .client_seq = ch_sqlite_u64(s, 2), .created_ms = ch_sqlite_u64(s, 3), .type = (uint32_t)ch_sqlite_u64(s, 4), .state = (uint32_t)ch_sqlite_u64(s, 5),
      .discard = (uint32_t)ch_sqlite_u64(s, 6), .error = (int32_t)ch_sqlite_u64(s, 7), .payload = ch_sqlite_bytes(s, 8), .peer = ch_sqlite_bytes(s, 9)};
  int error = ch_sqlite_id(s, 0, row->client_id);
  return error ? error : ch_sqlite_id(s, 1, row->conversation_id);
}

int ch_cache_outbox_list(void *arg, int (*visit)(void *visit_arg, const chat_outbox_row *row), void *visit_arg) {
  ch_cache_sqlite *self = arg;
  sqlite3_stmt *statement;
  int error = ch_sqlite_query(&self->db, CH_SQL_OUTBOX_LIST, &statement, "");
  while (!error && (error = ch_sqlite_step(statement)) > 0) {
    chat_outbox_row row;
    error = read_outbox_row(statement, &row);
    if (!error && !visit(visit_arg, &row)) continue;
    ch_sqlite_end(statement);
    return error;
  }
  return error;
}

/* ------------------------------------------------------------------------------------------------ conversations */

int ch_cache_conversation_put(void *arg, const chat_cache_conversation *c) {
  ch_cache_sqlite *self = arg;
  return ch_sqlite_run(&self->db, CH_SQL_CONVERSATION_PUT, "kuuuuuuuuuuuuuuuuubb", c->conversation_id, (uint64_t)c->kind, (uint64_t)c->role,
                        (uint64_t)c->history_from_start, (uint64_t)c->members_stale, c->head, c->msg_no, c->cursor, c->start, c->floor, c->read_msg_no,
                        c->delivered, c->read, c->delivered_sent, c->read_sent, c->next_client_seq, c->active_ms, c->member_count, c->title, c->peer);
}

static int read_conversation(sqlite3_stmt *s, chat_cache_conversation *c) {
  *c = (chat_cache_conversation){.kind = (uint32_t)ch_sqlite_u64(s, 1),
                                 .role = (uint32_t)ch_sqlite_u64(s, 2),
                                 .history_from_start = (uint32_t)ch_sqlite_u64(s, 3),
                                 .members_stale = (uint32_t)ch_sqlite_u64(s, 4),
                                 .head = ch_sqlite_u64(s, 5),
                                 .msg_no = ch_sqlite_u64(s, 6),
                                 .cursor = ch_sqlite_u64(s, 7),
                                 .start = ch_sqlite_u64(s, 8),
                                 .floor = ch_sqlite_u64(s, 9),
                                 .read_msg_no = ch_sqlite_u64(s, 10),
                                 .delivered = ch_sqlite_u64(s, 11),
                                 .read = ch_sqlite_u64(s, 12),
                                 .delivered_sent = ch_sqlite_u64(s, 13),
                                 .read_sent = ch_sqlite_u64(s, 14),
                                 .next_client_seq = ch_sqlite_u64(s, 15),
                                 .active_ms = ch_sqlite_u64(s, 16),
                                 .member_count = ch_sqlite_u64(s, 17),
                                 .title = ch_sqlite_bytes(s, 18),
                                 .peer = ch_sqlite_bytes(s, 19)};
  return ch_sqlite_id(s, 0, c->conversation_id);
}

int ch_cache_conversation_list(void *arg, int (*visit)(void *visit_arg, const chat_cache_conversation *conversation), void *visit_arg) {
  ch_cache_sqlite *self = arg;
  sqlite3_stmt *statement;
  int error = ch_sqlite_query(&self->db, CH_SQL_CONVERSATION_LIST, &statement, "");
  while (!error && (error = ch_sqlite_step(statement)) > 0) {
    chat_cache_conversation conversation;
    error = read_conversation(statement, &conversation);
    if (!error && !visit(visit_arg, &conversation)) continue;
    ch_sqlite_end(statement);
    return error;
  }
  return error;
}

/* ------------------------------------------------------------------------------------------------ members */

int ch_cache_members_replace(void *arg, const uint8_t id[16], const chat_cache_member *members, size_t count) {
  ch_cache_sqlite *self = arg;
  uint64_t place;
  int error = ch_cache_place_make(self, id, &place);
  if (!error) error = ch_sqlite_run(&self->db, CH_SQL_MEMBERS_CLEAR, "u", place);
  for (const chat_cache_member *m = members; !error && m < members + count; m++)
    error = ch_sqlite_run(&self->db, CH_SQL_MEMBER_PUT, "ubuuu", place, m->user, (uint64_t)m->role, m->delivered, m->read);
  return error;
}

int ch_cache_member_mark(void *arg, const uint8_t id[16], chat_bytes user, uint64_t delivered, uint64_t read) {
  ch_cache_sqlite *self = arg;
  uint64_t place;
  int error = ch_cache_place_find(self, id, &place);
  if (error || place == 0) return error ? error : CHAT_E_NOT_FOUND;
  error = ch_sqlite_run(&self->db, CH_SQL_MEMBER_MARK, "uuub", delivered, read, place, user);
  return error ? error : sqlite3_changes(self->db.handle) > 0 ? 0 : CHAT_E_NOT_FOUND;
}

int ch_cache_members_list(void *arg, const uint8_t conversation_id[16], int (*visit)(void *visit_arg, const chat_cache_member *member), void *visit_arg) {
  ch_cache_sqlite *self = arg;
  sqlite3_stmt *statement;
  uint64_t place;
  int error = ch_cache_place_find(self, conversation_id, &place);
  if (error || place == 0) return error;
  error = ch_sqlite_query(&self->db, CH_SQL_MEMBERS_LIST, &statement, "u", place);
  while (!error && (error = ch_sqlite_step(statement)) > 0) {
    chat_cache_member member = {ch_sqlite_bytes(statement, 0), (uint32_t)ch_sqlite_u64(statement, 1), ch_sqlite_u64(statement, 2), ch_sqlite_u64(statement, 3)};
    error = 0;
    if (!visit(visit_arg, &member)) continue;
    ch_sqlite_end(statement);
    break;
  }
  return error;
}
