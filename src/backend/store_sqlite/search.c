/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A search walks the index from the newest document down and keeps what the user may read, as the store stands now: rows that were pruned are not found any more.
 */
#include <stdlib.h>
#include <string.h>

#include "backend/store_check.h"
#include "backend/store_sqlite/cells.h"
#include "backend/store_sqlite/index.h"
#include "backend/store_sqlite/read.h"
#include "backend/store_sqlite/text.h"
#include "core/bytes.h"

/* A user of more conversations than this has its hits picked out of everybody's. */
enum { NARROW_CONVERSATIONS_MAX = 256, MATCH_LEN_MAX = 16384 };

typedef struct hit_list {
  chat_store_search *search;
  chat_row *rows;
  size_t count, room;
} hit_list;

/* ------------------------------------------------------------------------------------------------ what to look for */

static void put_conversation(ch_buf *match, uint64_t conv, bool first) {
  ch_buf_printf(match, "%s\"c%llu\"", first ? " AND conv:(" : " OR ", (unsigned long long)conv);
}

/* 1: narrowed; 0: there is nothing to find; or negative. */
static int narrow_to_one(ch_sqlite_db *main, const uint8_t id[16], ch_buf *match) {
  sqlite3_stmt *statement;
  int more = ch_sqlite_query(main, SQL_CONVERSATION, &statement, "k", id);
  if (!more) more = ch_sqlite_step(statement);
  if (more <= 0) return more;
  put_conversation(match, ch_sqlite_u64(statement, COLUMN_CONV), true);
  ch_sqlite_end(statement);
  return 1;
}

static int narrow_to_user(ch_sqlite_db *main, chat_bytes user, ch_buf *match) {
  sqlite3_stmt *statement;
  size_t len = match->len;
  int count = 0, more = ch_sqlite_query(main, SQL_MEMBERSHIPS, &statement, "bu", user, (uint64_t)NARROW_CONVERSATIONS_MAX + 1);
  if (more) return more;
  while ((more = ch_sqlite_step(statement)) > 0)
    put_conversation(match, ch_sqlite_u64(statement, 0), count++ == 0);
  if (more < 0 || count == 0) return more;
  if (count > NARROW_CONVERSATIONS_MAX) match->len = len;
  return 1;
}

static int make_match(ch_sqlite_db *main, const chat_store_search *search, ch_buf *match) {
  static const uint8_t everywhere[16];
  int error = ch_sqlstore_match(search->query, match);
  if (error) return error;
  size_t len = match->len;
  bool one = memcmp(search->conversation_id, everywhere, 16) != 0;
  int some = one ? narrow_to_one(main, search->conversation_id, match) : narrow_to_user(main, search->user, match);
  if (some > 0 && match->len > len) ch_buf_put_text(match, ")");
  return match->error ? CHAT_E_NOMEM : some;
}

/* ------------------------------------------------------------------------------------------------ what may be shown */

/* 1, 0 or negative. */
static int is_readable(ch_sqlite_db *main, uint64_t conv, uint64_t seq, chat_bytes user) {
  sqlite3_stmt *statement;
  chat_interval intervals[CHAT_MEMBER_INTERVALS_MAX];
  int more = ch_sqlite_query(main, SQL_MEMBER, &statement, "ub", conv, user);
  if (!more) more = ch_sqlite_step(statement);
  if (more <= 0) return more;
  int count = ch_sqlstore_intervals_decode(ch_sqlite_bytes(statement, COLUMN_INTERVALS), intervals);
  ch_sqlite_end(statement);
  return count < 0 ? count : ch_store_may_read(intervals, (size_t)count, seq);
}

static int row_copy(chat_op *op, const chat_row *row, chat_row *out) {
  *out = *row;
  out->sender = chat_op_copy(op, row->sender);
  out->payload = chat_op_copy(op, row->payload);
  return (row->sender.len > 0 && !out->sender.data) || (row->payload.len > 0 && !out->payload.data) ? CHAT_E_NOMEM : 0;
}

/* The row as it now stands: 1; 0 where it was pruned; or negative. */
static int read_row(ch_sqlite_db *main, uint64_t conv, uint64_t seq, const uint8_t id[16], chat_op *op, chat_row *out) {
  sqlite3_stmt *statement;
  ch_sqlstore_stored_run run;
  chat_row rows[CH_STORE_RUN_EVENTS_MAX];
  int more = ch_sqlite_query(main, SQL_RUN_COVERING, &statement, "uu", conv, seq);
  if (!more) more = ch_sqlite_step(statement);
  if (more <= 0) return more;
  int error = ch_sqlstore_run_column(statement, &run);
  bool there = !error && seq < run.first_seq + run.count;
  if (there) error = ch_sqlstore_run_decode(&run, id, rows);
  if (there && !error) error = row_copy(op, &rows[seq - run.first_seq], out);
  ch_sqlite_end(statement);
  return error ? error : there;
}

/* Its id, where seq is at or below its head: 1; 0 where not; or negative. */
static int conversation_of(ch_sqlite_db *main, uint64_t conv, uint64_t seq, uint8_t id[16]) {
  sqlite3_stmt *statement;
  int more = ch_sqlite_query(main, SQL_CONVERSATION_ID, &statement, "u", conv);
  if (!more) more = ch_sqlite_step(statement);
  if (more <= 0) return more;
  int error = ch_sqlite_id(statement, 0, id);
  bool there = seq <= ch_sqlite_u64(statement, 1);
  ch_sqlite_end(statement);
  return error ? error : there;
}

/* ------------------------------------------------------------------------------------------------ the walk */

static chat_row *room_for_one(hit_list *hits) {
  if (hits->count < hits->room) return &hits->rows[hits->count];
  size_t room = hits->room ? hits->room * 2 : 16;
  chat_row *rows = chat_op_alloc(&hits->search->op, room * sizeof *rows);
  if (!rows) return NULL;
  if (hits->count > 0) memcpy(rows, hits->rows, hits->count * sizeof *rows);
  hits->rows = rows;
  hits->room = room;
  return &rows[hits->count];
}

static int take_document(ch_sqlite_db *main, uint64_t conv, uint64_t seq, hit_list *hits) {
  uint8_t id[16];
  int some = is_readable(main, conv, seq, hits->search->user);
  if (some > 0) some = conversation_of(main, conv, seq, id);
  if (some <= 0) return some;
  chat_row *row = room_for_one(hits);
  if (!row) return CHAT_E_NOMEM;
  some = read_row(main, conv, seq, id, &hits->search->op, row);
  if (some > 0) hits->count++;
  return some < 0 ? some : 0;
}

static int take_number(ch_sqlstore_reader *reader, uint64_t number, hit_list *hits) {
  sqlite3_stmt *statement;
  int more = ch_sqlite_query(&reader->index, INDEX_DOC, &statement, "u", number);
  if (!more) more = ch_sqlite_step(statement);
  if (more <= 0) return more;
  uint64_t conv = ch_sqlite_u64(statement, 0), seq = ch_sqlite_u64(statement, 1), message_id = ch_sqlite_u64(statement, 2);
  ch_sqlite_end(statement);
  if (hits->search->before_message_id && message_id >= hits->search->before_message_id) return 0;
  return take_document(&reader->main, conv, seq, hits);
}

/* A document's number is at least its message_id, so no later hit is newer than `number`: enough is known when limit + 1 hits are not older. */
static bool enough(const hit_list *hits, uint64_t number) {
  size_t settled = 0;
  if (hits->count <= hits->search->limit) return false;
  for (size_t i = 0; i < hits->count; i++)
    settled += hits->rows[i].message_id >= number;
  return settled > hits->search->limit;
}

/* Numbers of documents older than `before` may lie above it by as many as share their message_ids. */
static uint64_t bound(const chat_store_search *search) {
  uint64_t before = search->before_message_id;
  return before == 0 || before > INT64_MAX - 8192 ? (uint64_t)INT64_MAX : before + 8192;
}

static int walk(ch_sqlstore_reader *reader, chat_bytes match, hit_list *hits) {
  sqlite3_stmt *statement;
  int more = ch_sqlite_query(&reader->index, INDEX_FIND, &statement, "bu", match, bound(hits->search));
  if (more) return more;
  while ((more = ch_sqlite_step(statement)) > 0) {
    uint64_t number = ch_sqlite_u64(statement, 0);
    int error = take_number(reader, number, hits);
    if (error || enough(hits, number)) {
      ch_sqlite_end(statement);
      return error;
    }
  }
  return more;
}

static int newest_first(const void *left, const void *right) {
  const chat_row *a = left, *b = right;
  if (a->message_id != b->message_id) return a->message_id > b->message_id ? -1 : 1;
  return memcmp(a->conversation_id, b->conversation_id, sizeof a->conversation_id);
}

/* Cut at the limit, but not between rows of one message_id, which the next page could not ask for. */
static void give(hit_list *hits) {
  chat_store_search *search = hits->search;
  size_t count = hits->count;
  if (count > 0) qsort(hits->rows, count, sizeof *hits->rows, newest_first);
  if (count > search->limit) {
    count = search->limit;
    while (count > 0 && hits->rows[count - 1].message_id == hits->rows[count].message_id)
      count--;
    if (count == 0) count = search->limit;
  }
  search->rows = hits->rows;
  search->row_count = count;
  search->more = count < hits->count;
}

static int find(ch_sqlstore_reader *reader, chat_store_search *search, ch_buf *match) {
  hit_list hits = {.search = search};
  int some = make_match(&reader->main, search, match);
  if (some <= 0) return some;
  int error = walk(reader, ch_buf_bytes(match), &hits);
  if (!error) give(&hits);
  return error;
}

/* The index is looked at first, so that what it says to be indexed is in the store's snapshot. */
static int indexed_position(ch_sqlite_db *index, uint64_t *position) {
  sqlite3_stmt *statement;
  int more = ch_sqlite_query(index, INDEX_CURSOR, &statement, "");
  if (!more) more = ch_sqlite_step(statement);
  if (more <= 0) return more;
  *position = ch_sqlite_u64(statement, CURSOR_POSITION);
  ch_sqlite_end(statement);
  return 0;
}

int ch_sqlstore_search(ch_sqlstore_reader *reader, chat_op *op) {
  chat_store_search *search = (chat_store_search *)op;
  ch_buf match;
  search->rows = NULL;
  search->row_count = 0;
  search->more = 0;
  if (!ch_store_search_valid(search)) return CHAT_E_INVALID;
  int error = ch_sqlite_settle(reader->index.handle);
  if (!error) error = ch_sqlite_exec(reader->index.handle, "BEGIN");
  if (error) return error;
  ch_buf_init(&match, reader->alloc, MATCH_LEN_MAX);
  error = indexed_position(&reader->index, &search->indexed_position);
  if (!error) error = find(reader, search, &match);
  ch_buf_fini(&match);
  ch_sqlite_exec(reader->index.handle, "COMMIT");
  return error;
}
