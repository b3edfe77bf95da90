/* SPDX-License-Identifier: Apache-2.0 */
/* Rows, and what of the history they cover. Rows lie in the order in which they came, beside a narrow index: random inserts into a wide tree cost three times as much. */
#include <string.h>

#include "backend/cache_sqlite/cache.h"
#include "core/bytes.h"

enum { COLUMN_UNINDEXED = 12 }; /* of CH_SQL_ROW_AT; in front of it the row's own, as read_row has them */

/* As a bound in a comparison: SQLite's numbers are signed. */
static uint64_t bound(uint64_t seq) {
  return seq > INT64_MAX ? INT64_MAX : seq;
}

static int read_row(sqlite3_stmt *s, chat_row *row) {
  *row = (chat_row){.seq = ch_sqlite_u64(s, 2), .msg_no = ch_sqlite_u64(s, 3), .message_id = ch_sqlite_u64(s, 4), .created_ms = ch_sqlite_u64(s, 5),
                    .client_seq = ch_sqlite_u64(s, 6), .sender = ch_sqlite_bytes(s, 7), .type = (uint32_t)ch_sqlite_u64(s, 10), .payload = ch_sqlite_bytes(s, 11)};
  int error = ch_sqlite_id(s, 1, row->conversation_id);
  if (!error) error = ch_sqlite_id(s, 8, row->device_id);
  return error ? error : ch_sqlite_id(s, 9, row->client_id);
}

int ch_cache_visit_rows(sqlite3_stmt *statement, int (*visit)(void *arg, const chat_row *row), void *arg, size_t *count) {
  int error;
  *count = 0;
  while ((error = ch_sqlite_step(statement)) > 0) {
    chat_row row;
    error = read_row(statement, &row);
    if (!error) ++*count;
    if (!error && !visit(arg, &row)) continue;
    ch_sqlite_end(statement);
    break;
  }
  return error;
}

static bool is_same(const chat_row *a, const chat_row *b) {
  return a->msg_no == b->msg_no && a->message_id == b->message_id && a->created_ms == b->created_ms && a->client_seq == b->client_seq && a->type == b->type &&
         memcmp(a->device_id, b->device_id, 16) == 0 && memcmp(a->client_id, b->client_id, 16) == 0 && ch_bytes_equal(a->sender, b->sender) &&
         ch_bytes_equal(a->payload, b->payload);
}

/* What is above `indexed` is looked at by its id; below it a number may be given again that a removed row had. */
static int note_unindexed(ch_cache_sqlite *self, uint64_t id) {
  return id > self->indexed ? 0 : ch_sqlite_run(&self->db, CH_SQL_UNINDEXED_PUT, "u", id);
}

/* 1: there was none of this number; 0: there is one; or an error. */
static int insert_row(ch_cache_sqlite *self, uint64_t place, const chat_row *r) {
  int error = ch_sqlite_run(&self->db, CH_SQL_ROW_PUT, "uuuuuubkkub", place, r->seq, r->msg_no, r->message_id, r->created_ms, r->client_seq, r->sender, r->device_id,
                             r->client_id, (uint64_t)r->type, r->payload);
  if (error || sqlite3_changes(self->db.handle) == 0) return error;
  error = note_unindexed(self, (uint64_t)sqlite3_last_insert_rowid(self->db.handle));
  return error ? error : 1;
}

/* Out of the index with what the statement stands on, unless it is not in it yet. */
static int unindex_here(ch_cache_sqlite *self, sqlite3_stmt *at, const chat_row *stored) {
  if (sqlite3_column_int(at, COLUMN_UNINDEXED)) return 0;
  return ch_cache_unindex(self, ch_sqlite_u64(at, 0), stored->type, stored->payload);
}

static int update_row(ch_cache_sqlite *self, uint64_t id, const chat_row *r) {
  int error = ch_sqlite_run(&self->db, CH_SQL_ROW_UPDATE, "uuuubkkubu", r->msg_no, r->message_id, r->created_ms, r->client_seq, r->sender, r->device_id, r->client_id,
                             (uint64_t)r->type, r->payload, id);
  return error ? error : note_unindexed(self, id);
}

static int replace_row(ch_cache_sqlite *self, uint64_t place, const chat_row *row) {
  sqlite3_stmt *at;
  chat_row stored;
  int error = ch_sqlite_query(&self->db, CH_SQL_ROW_AT, &at, "uu", place, row->seq);
  if (!error) error = ch_sqlite_step(at);
  if (error <= 0) return error ? error : CHAT_E_CORRUPT; /* its index says that it is there */
  error = read_row(at, &stored);
  uint64_t id = ch_sqlite_u64(at, 0);
  bool changes = !error && !is_same(&stored, row);
  if (changes) error = unindex_here(self, at, &stored);
  ch_sqlite_end(at);
  return error || !changes ? error : update_row(self, id, row);
}

/* Most are new: they are looked for by being inserted. */
int ch_cache_row_put(void *arg, const chat_row *row) {
  ch_cache_sqlite *self = arg;
  uint64_t place;
  int error = ch_cache_place_make(self, row->conversation_id, &place);
  if (error) return error;
  int is_new = insert_row(self, place, row);
  if (is_new != 0) return is_new < 0 ? is_new : 0;
  return replace_row(self, place, row);
}

int ch_cache_row_remove(void *arg, const uint8_t conversation_id[16], uint64_t seq) {
  ch_cache_sqlite *self = arg;
  sqlite3_stmt *at;
  chat_row stored;
  uint64_t place;
  int error = ch_cache_place_find(self, conversation_id, &place);
  if (error || place == 0) return error;
  error = ch_sqlite_query(&self->db, CH_SQL_ROW_AT, &at, "uu", place, seq);
  if (!error) error = ch_sqlite_step(at);
  if (error <= 0) return error;
  uint64_t id = ch_sqlite_u64(at, 0);
  error = read_row(at, &stored);
  if (!error) error = unindex_here(self, at, &stored);
  ch_sqlite_end(at);
  if (!error) error = ch_sqlite_run(&self->db, CH_SQL_UNINDEXED_REMOVE, "u", id);
  return error ? error : ch_sqlite_run(&self->db, CH_SQL_ROW_REMOVE, "u", id);
}

int ch_cache_rows(void *arg, const uint8_t conversation_id[16], uint64_t low, uint64_t high, uint32_t limit, int newest_first,
                  int (*visit)(void *visit_arg, const chat_row *row), void *visit_arg) {
  ch_cache_sqlite *self = arg;
  sqlite3_stmt *statement;
  uint64_t place;
  size_t count;
  int error = ch_cache_place_find(self, conversation_id, &place);
  if (error || place == 0 || low >= high) return error;
  error = ch_sqlite_query(&self->db, newest_first ? CH_SQL_ROWS_NEWEST : CH_SQL_ROWS_OLDEST, &statement, "uuuu", place, bound(low), bound(high), (uint64_t)limit);
  return error ? error : ch_cache_visit_rows(statement, visit, visit_arg, &count);
}

int ch_cache_row_by_client_id(void *arg, const uint8_t conversation_id[16], const uint8_t client_id[16], int (*visit)(void *visit_arg, const chat_row *row),
                              void *visit_arg) {
  ch_cache_sqlite *self = arg;
  sqlite3_stmt *statement;
  uint64_t place;
  size_t count = 0;
  int error = ch_cache_place_find(self, conversation_id, &place);
  if (!error && place > 0) {
    error = ch_sqlite_query(&self->db, CH_SQL_ROW_BY_CLIENT_ID, &statement, "uk", place, client_id);
    if (!error) error = ch_cache_visit_rows(statement, visit, visit_arg, &count);
  }
  return error ? error : count > 0 ? 0 : CHAT_E_NOT_FOUND;
}

/* ------------------------------------------------------------------------------------------------ what is covered */

/* One interval that overlaps or touches [low, high], taken out and joined with them: 1; none: 0. */
static int join_one(ch_cache_sqlite *self, uint64_t place, uint64_t *low, uint64_t *high) {
  sqlite3_stmt *statement;
  int error = ch_sqlite_query(&self->db, CH_SQL_COVER_TOUCHING, &statement, "uuu", place, *high, *low);
  if (!error) error = ch_sqlite_step(statement);
  if (error <= 0) return error;
  uint64_t found_low = ch_sqlite_u64(statement, 0), found_high = ch_sqlite_u64(statement, 1);
  ch_sqlite_end(statement);
  if (found_low < *low) *low = found_low;
  if (found_high > *high) *high = found_high;
  error = ch_sqlite_run(&self->db, CH_SQL_COVER_REMOVE, "uu", place, found_low);
  return error ? error : 1;
}

int ch_cache_cover(void *arg, const uint8_t conversation_id[16], uint64_t low, uint64_t high) {
  ch_cache_sqlite *self = arg;
  uint64_t place;
  if (low >= high) return 0;
  int error = ch_cache_place_make(self, conversation_id, &place);
  if (error) return error;
  high = bound(high);
  while ((error = join_one(self, place, &low, &high)) > 0)
    ;
  return error ? error : ch_sqlite_run(&self->db, CH_SQL_COVER_PUT, "uuu", place, low, high);
}

int ch_cache_covered(void *arg, const uint8_t conversation_id[16], int (*visit)(void *visit_arg, uint64_t low, uint64_t high), void *visit_arg) {
  ch_cache_sqlite *self = arg;
  sqlite3_stmt *statement;
  uint64_t place;
  int error = ch_cache_place_find(self, conversation_id, &place);
  if (error || place == 0) return error;
  error = ch_sqlite_query(&self->db, CH_SQL_COVERED, &statement, "u", place);
  while (!error && (error = ch_sqlite_step(statement)) > 0) {
    error = 0;
    if (!visit(visit_arg, ch_sqlite_u64(statement, 0), ch_sqlite_u64(statement, 1))) continue;
    ch_sqlite_end(statement);
    break;
  }
  return error;
}

/* ------------------------------------------------------------------------------------------------ forgetting */

enum { FORGET_ROWS = 256 }; /* found, then removed, since a statement that goes over rows does not like that they go */

typedef struct seq_page {
  uint64_t seqs[FORGET_ROWS];
  size_t count;
} seq_page;

static int collect_seq(void *arg, const chat_row *row) {
  seq_page *page = arg;
  page->seqs[page->count++] = row->seq;
  return page->count == FORGET_ROWS;
}

int ch_cache_history_forget(void *arg, const uint8_t conversation_id[16]) {
  ch_cache_sqlite *self = arg;
  seq_page page = {.count = 0};
  uint64_t place;
  int error = ch_cache_place_find(self, conversation_id, &place);
  if (error || place == 0) return error;
  do {
    page.count = 0;
    error = ch_cache_rows(self, conversation_id, 0, INT64_MAX, FORGET_ROWS, 0, collect_seq, &page);
    for (size_t i = 0; i < page.count && !error; i++)
      error = ch_cache_row_remove(self, conversation_id, page.seqs[i]);
  } while (page.count > 0 && !error);
  return error ? error : ch_sqlite_run(&self->db, CH_SQL_COVER_CLEAR, "u", place);
}
