/* SPDX-License-Identifier: Apache-2.0 */
/* Full text over FTS5 without a copy of the bodies: the rows have them. */
#include "backend/cache_sqlite/cache.h"
#include "core/arena.h"
#include "core/assert.h"
#include "core/wire.h"

/* What is indexed of a row; no bytes where there is nothing to find. It lives in the arena. */
static chat_bytes body_of(uint32_t type, chat_bytes payload, ch_arena *arena) {
  ch_content content;
  if (type != CHAT_TYPE_MESSAGE || ch_content_decode(type, payload, arena, &content)) return (chat_bytes){NULL, 0};
  return content.body;
}

/* FTS5 wants text, not a blob. */
static int change_index(ch_cache_sqlite *self, ch_cache_statement sql, uint64_t row, chat_bytes body) {
  sqlite3_stmt *statement;
  int error = ch_sqlite_query(&self->db, sql, &statement, "u", row);
  if (error) return error;
  sqlite3_bind_text64(statement, 2, (const char *)body.data, body.len, SQLITE_STATIC, SQLITE_UTF8);
  return ch_sqlite_step(statement);
}

static int change(ch_cache_sqlite *self, ch_cache_statement sql, uint64_t row, uint32_t type, chat_bytes payload) {
  ch_arena arena;
  ch_arena_init(&arena, self->alloc, 4096, CHAT_FRAME_MAX);
  chat_bytes body = body_of(type, payload, &arena);
  int error = body.len > 0 ? change_index(self, sql, row, body) : 0;
  ch_arena_fini(&arena);
  return error;
}

int ch_cache_unindex(ch_cache_sqlite *self, uint64_t row, uint32_t type, chat_bytes payload) {
  return change(self, CH_SQL_SEARCH_REMOVE, row, type, payload);
}

/* Of those that `unindexed` names. 1: one row is done; 0: none is left. */
static int index_named(ch_cache_sqlite *self) {
  sqlite3_stmt *next;
  int error = ch_sqlite_query(&self->db, CH_SQL_UNINDEXED_LIST, &next, "");
  if (!error) error = ch_sqlite_step(next);
  if (error <= 0) return error;
  uint64_t row = ch_sqlite_u64(next, 0);
  error = change(self, CH_SQL_SEARCH_PUT, row, (uint32_t)ch_sqlite_u64(next, 1), ch_sqlite_bytes(next, 2));
  ch_sqlite_end(next);
  if (!error) error = ch_sqlite_run(&self->db, CH_SQL_UNINDEXED_REMOVE, "u", row);
  return error ? error : 1;
}

/* The next rows by their id, at most so many. */
static int index_new(ch_cache_sqlite *self, uint32_t count_max, uint64_t *indexed, uint32_t *count) {
  sqlite3_stmt *next;
  int error = ch_sqlite_query(&self->db, CH_SQL_ROWS_NEW, &next, "uu", *indexed, (uint64_t)count_max);
  while (!error && (error = ch_sqlite_step(next)) > 0) {
    *indexed = ch_sqlite_u64(next, 0);
    error = change(self, CH_SQL_SEARCH_PUT, *indexed, (uint32_t)ch_sqlite_u64(next, 1), ch_sqlite_bytes(next, 2));
    if (error) ch_sqlite_end(next);
    ++*count;
  }
  return error || *indexed == self->indexed ? error : ch_sqlite_run(&self->db, CH_SQL_INDEXED_SET, "u", *indexed);
}

static int index_some(ch_cache_sqlite *self, uint32_t count_max, uint64_t *indexed, uint32_t *count) {
  int error = 1;
  while (*count < count_max && (error = index_named(self)) > 0)
    ++*count;
  if (error < 0 || *count == count_max) return error < 0 ? error : 0;
  return index_new(self, count_max - *count, indexed, count);
}

int ch_cache_index(void *arg, uint32_t count_max) {
  ch_cache_sqlite *self = arg;
  ch_assert(sqlite3_get_autocommit(self->db.handle));
  uint64_t indexed = self->indexed;
  uint32_t count = 0;
  int error = ch_sqlite_settle(self->db.handle);
  if (!error) error = ch_sqlite_run(&self->db, CH_SQL_BEGIN, "");
  if (error) return error;
  error = index_some(self, count_max, &indexed, &count);
  if (!error) error = ch_sqlite_run(&self->db, CH_SQL_COMMIT, "");
  if (!sqlite3_get_autocommit(self->db.handle)) ch_sqlite_run(&self->db, CH_SQL_ROLLBACK, "");
  if (!error) self->indexed = indexed;
  return error ? error : (int)count;
}

/* ------------------------------------------------------------------------------------------------ query */

static bool is_word_byte(uint8_t byte) {
  return byte >= 0x80 || (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

/* Each word quoted, so that nothing in it is an operator of FTS5; a '*' right behind the last makes it a prefix. CHAT_E_INVALID: no word. */
static int write_match(chat_bytes query, ch_buf *out) {
  size_t word_end = 0;
  ch_buf_clear(out);
  for (size_t at = 0; at < query.len;) {
    if (!is_word_byte(query.data[at])) {
      at++;
      continue;
    }
    for (word_end = at; word_end < query.len && is_word_byte(query.data[word_end]);) word_end++;
    ch_buf_put_text(out, out->len > 0 ? " \"" : "\"");
    ch_buf_put(out, (chat_bytes){query.data + at, word_end - at});
    ch_buf_put_text(out, "\"");
    at = word_end;
  }
  if (word_end == 0) return CHAT_E_INVALID;
  if (word_end < query.len && query.data[word_end] == '*') ch_buf_put_text(out, "*");
  return ch_buf_put_u8(out, 0);
}

int ch_cache_search(void *arg, chat_bytes query, const uint8_t *conversation_id, uint64_t before_message_id, uint32_t limit,
                    int (*visit)(void *visit_arg, const chat_row *row), void *visit_arg) {
  ch_cache_sqlite *self = arg;
  sqlite3_stmt *statement;
  uint64_t place = 0, before = before_message_id > 0 && before_message_id < INT64_MAX ? before_message_id : INT64_MAX;
  size_t count;
  int error = write_match(query, &self->scratch);
  if (!error && conversation_id) error = ch_cache_place_find(self, conversation_id, &place);
  if (error || (conversation_id && place == 0)) return error;
  error = ch_sqlite_query(&self->db, CH_SQL_SEARCH, &statement, "tuuuu", (const char *)self->scratch.data, (uint64_t)(conversation_id != NULL), place, before,
                           (uint64_t)limit);
  return error ? error : ch_cache_visit_rows(statement, visit, visit_arg, &count);
}
