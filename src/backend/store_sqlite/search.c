/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A search walks the documents that have all words from the newest down, reads their messages as the store stands now (what was pruned is not found any more) and keeps those
 * that have all words themselves and that the user may read.
 */
#include <stdlib.h>
#include <string.h>

#include "backend/store_check.h"
#include "backend/store_sqlite/cells.h"
#include "backend/store_sqlite/index.h"
#include "backend/store_sqlite/query.h"
#include "backend/store_sqlite/read.h"
#include "backend/store_sqlite/text.h"
#include "core/bytes.h"

/* A user of more conversations than this has its hits picked out of everybody's. */
enum { NARROW_CONVERSATIONS_MAX = 256, MATCH_LEN_MAX = 16384 };

/* What was found so far. Copies are made of few that the answer does not need: what is older than all that it can take is passed over. */
typedef struct hit_list {
  chat_store_search *search;
  chat_row *rows;
  size_t count, room;
  uint64_t oldest; /* message_id of the last that the answer can need; 0: not known yet */
} hit_list;

/* One search. */
typedef struct looking {
  ch_sqlstore_reader *reader;
  ch_sqlstore_query query;
  ch_buf match;
  ch_arena arena; /* of what is read from rows */
  uint64_t only;  /* number of the one conversation that is asked for; 0: any */
  hit_list hits;
} looking;

/* A document of the index. */
typedef struct found_document {
  uint64_t number, conv, first_seq, count;
} found_document;

/* ------------------------------------------------------------------------------------------------ what to look for */

static void put_conversation(ch_buf *match, uint64_t conv, bool first) {
  ch_buf_printf(match, "%s\"" CH_STORE_INDEX_CONVERSATION "\"", first ? " AND (" : " OR ", (unsigned long long)conv);
}

/* 1: narrowed; 0: there is nothing to find; or negative. */
static int narrow_to_one(looking *look, const uint8_t id[16]) {
  int error = ch_sqlite_number(&look->reader->main, SQL_CONVERSATION, &look->only, "k", id);
  if (error || look->only == 0) return error;
  put_conversation(&look->match, look->only, true);
  return 1;
}

static int narrow_to_user(looking *look, chat_bytes user) {
  sqlite3_stmt *statement;
  size_t len = look->match.len;
  int count = 0, more = ch_sqlite_query(&look->reader->main, SQL_MEMBERSHIPS, &statement, "bu", user, (uint64_t)NARROW_CONVERSATIONS_MAX + 1);
  if (more) return more;
  while ((more = ch_sqlite_step(statement)) > 0)
    put_conversation(&look->match, ch_sqlite_u64(statement, 0), count++ == 0);
  if (more < 0 || count == 0) return more;
  if (count > NARROW_CONVERSATIONS_MAX) look->match.len = len;
  return 1;
}

static int make_match(looking *look) {
  static const uint8_t everywhere[16];
  const chat_store_search *search = look->hits.search;
  ch_sqlstore_query_put(&look->query, &look->match);
  size_t len = look->match.len;
  bool one = memcmp(search->conversation_id, everywhere, 16) != 0;
  int some = one ? narrow_to_one(look, search->conversation_id) : narrow_to_user(look, search->user);
  if (some > 0 && look->match.len > len) ch_buf_put_text(&look->match, ")");
  return look->match.error ? CHAT_E_NOMEM : some;
}

/* ------------------------------------------------------------------------------------------------ what may be shown */

/* Where in the conversation: 1; 0 where nowhere; or negative. */
static int readable_intervals(ch_sqlite_db *main, uint64_t conv, chat_bytes user, chat_interval *intervals, size_t *count) {
  sqlite3_stmt *statement;
  int more = ch_sqlite_query(main, SQL_MEMBER, &statement, "ub", conv, user);
  if (!more) more = ch_sqlite_step(statement);
  if (more <= 0) return more;
  int some = ch_sqlstore_intervals_decode(ch_sqlite_bytes(statement, COLUMN_INTERVALS), intervals);
  ch_sqlite_end(statement);
  *count = some > 0 ? (size_t)some : 0;
  return some < 0 ? some : some > 0;
}

/* Its id and head: 1; 0: there is none; or negative. */
static int conversation_of(ch_sqlite_db *main, uint64_t conv, uint8_t id[16], uint64_t *head) {
  sqlite3_stmt *statement;
  int more = ch_sqlite_query(main, SQL_CONVERSATION_ID, &statement, "u", conv);
  if (!more) more = ch_sqlite_step(statement);
  if (more <= 0) return more;
  int error = ch_sqlite_id(statement, 0, id);
  *head = ch_sqlite_u64(statement, 1);
  ch_sqlite_end(statement);
  return error ? error : 1;
}

static int row_copy(chat_op *op, const chat_row *row, chat_row *out) {
  *out = *row;
  out->sender = chat_op_copy(op, row->sender);
  out->payload = chat_op_copy(op, row->payload);
  return (row->sender.len > 0 && !out->sender.data) || (row->payload.len > 0 && !out->payload.data) ? CHAT_E_NOMEM : 0;
}

/* ------------------------------------------------------------------------------------------------ hits */

static int newest_first(const void *left, const void *right) {
  const chat_row *a = left, *b = right;
  if (a->message_id != b->message_id) return a->message_id > b->message_id ? -1 : 1;
  return memcmp(a->conversation_id, b->conversation_id, sizeof a->conversation_id);
}

/* The answer, and one more that says that there is one. */
static void drop_older(hit_list *hits) {
  size_t wanted = (size_t)hits->search->limit + 1;
  if (hits->count < 2 * wanted) return;
  qsort(hits->rows, hits->count, sizeof *hits->rows, newest_first);
  hits->count = wanted;
  hits->oldest = hits->rows[wanted - 1].message_id;
}

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

static int add_hit(hit_list *hits, const chat_row *row) {
  drop_older(hits);
  chat_row *out = room_for_one(hits);
  if (!out) return CHAT_E_NOMEM;
  int error = row_copy(&hits->search->op, row, out);
  if (!error) hits->count++;
  return error;
}

static bool is_asked_for(const hit_list *hits, const chat_row *row) {
  uint64_t before = hits->search->before_message_id;
  return (before == 0 || row->message_id < before) && row->message_id >= hits->oldest;
}

/* ------------------------------------------------------------------------------------------------ the walk */

/* What of a document may be shown. */
typedef struct shown {
  chat_interval intervals[CHAT_MEMBER_INTERVALS_MAX];
  size_t interval_count;
  uint8_t conversation_id[16];
  uint64_t first_seq, last_seq;
} shown;

static int take_row(looking *look, const shown *may, const chat_row *row) {
  if (row->seq < may->first_seq || row->seq > may->last_seq || !is_asked_for(&look->hits, row)) return 0;
  if (!ch_store_may_read(may->intervals, may->interval_count, row->seq)) return 0;
  int found = ch_sqlstore_query_finds(&look->query, &look->reader->tokenizer, ch_sqlstore_text(row, &look->arena));
  ch_arena_reset(&look->arena);
  return found > 0 ? add_hit(&look->hits, row) : found;
}

static int take_run(looking *look, const shown *may, sqlite3_stmt *statement) {
  ch_sqlstore_stored_run run;
  chat_row rows[CH_STORE_RUN_EVENTS_MAX];
  int error = ch_sqlstore_run_column(statement, &run);
  if (!error) error = ch_sqlstore_run_decode(&run, may->conversation_id, rows);
  for (uint64_t i = 0; i < run.count && !error; i++)
    error = take_row(look, may, &rows[i]);
  return error;
}

/* Its messages are in one run: those of them that were not pruned. */
static int take_messages(looking *look, const shown *may, uint64_t conv, uint64_t last_seq) {
  sqlite3_stmt *statement;
  int more = ch_sqlite_query(&look->reader->main, SQL_RUN_COVERING, &statement, "uu", conv, last_seq);
  if (!more) more = ch_sqlite_step(statement);
  if (more <= 0) return more;
  int error = take_run(look, may, statement);
  ch_sqlite_end(statement);
  return error;
}

static int take_document(looking *look, const found_document *doc) {
  shown may = {.first_seq = doc->first_seq, .last_seq = doc->first_seq + doc->count - 1};
  uint64_t head;
  if (look->only && doc->conv != look->only) return 0;
  int some = readable_intervals(&look->reader->main, doc->conv, look->hits.search->user, may.intervals, &may.interval_count);
  if (some > 0) some = conversation_of(&look->reader->main, doc->conv, may.conversation_id, &head);
  if (some <= 0) return some;
  if (may.last_seq > head) may.last_seq = head;
  return take_messages(look, &may, doc->conv, doc->first_seq + doc->count - 1);
}

static int take_number(looking *look, uint64_t number) {
  sqlite3_stmt *statement;
  int more = ch_sqlite_query(&look->reader->index, INDEX_DOC, &statement, "u", number);
  if (!more) more = ch_sqlite_step(statement);
  if (more <= 0) return more;
  found_document doc = {number, ch_sqlite_u64(statement, DOC_CONV), ch_sqlite_u64(statement, DOC_FIRST_SEQ), ch_sqlite_u64(statement, DOC_COUNT)};
  ch_sqlite_end(statement);
  return take_document(look, &doc);
}

/* A document's number is at least the message_ids in it, so no later hit is newer than `number`: enough is known when limit + 1 hits are not older. */
static bool enough(const hit_list *hits, uint64_t number) {
  size_t settled = 0;
  if (hits->count <= hits->search->limit) return false;
  for (size_t i = 0; i < hits->count; i++)
    settled += hits->rows[i].message_id >= number;
  return settled > hits->search->limit;
}

/* Documents with a message older than `before` have lower numbers than this. */
static uint64_t bound(const chat_store_search *search) {
  uint64_t before = search->before_message_id;
  return before == 0 || before > INT64_MAX - CH_STORE_INDEX_REACH ? (uint64_t)INT64_MAX : before + CH_STORE_INDEX_REACH;
}

static int walk(looking *look) {
  sqlite3_stmt *statement;
  int more = ch_sqlite_query(&look->reader->index, INDEX_FIND, &statement, "bu", ch_buf_bytes(&look->match), bound(look->hits.search));
  if (more) return more;
  while ((more = ch_sqlite_step(statement)) > 0) {
    uint64_t number = ch_sqlite_u64(statement, 0);
    int error = take_number(look, number);
    if (error || enough(&look->hits, number)) {
      ch_sqlite_end(statement);
      return error;
    }
  }
  return more;
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

static int find(looking *look) {
  if (look->query.finds_nothing) return 0;
  int some = make_match(look);
  if (some <= 0) return some;
  int error = walk(look);
  if (!error) give(&look->hits);
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

static int search_snapshot(looking *look) {
  ch_sqlite_db *index = &look->reader->index;
  int error = ch_sqlite_settle(index->handle);
  if (!error) error = ch_sqlite_exec(index->handle, "BEGIN");
  if (error) return error;
  error = indexed_position(index, &look->hits.search->indexed_position);
  if (!error) error = find(look);
  ch_sqlite_exec(index->handle, "COMMIT");
  return error;
}

int ch_sqlstore_search(ch_sqlstore_reader *reader, chat_op *op) {
  chat_store_search *search = (chat_store_search *)op;
  looking look = {.reader = reader, .hits = {.search = search}};
  search->rows = NULL;
  search->row_count = 0;
  search->more = 0;
  if (!ch_store_search_valid(search)) return CHAT_E_INVALID;
  int error = ch_sqlstore_query_init(&look.query, &reader->tokenizer, search->query);
  if (error) return error;
  ch_buf_init(&look.match, reader->alloc, MATCH_LEN_MAX);
  ch_arena_init(&look.arena, reader->alloc, 16384, CH_STORE_TEXT_ARENA_LEN);
  error = search_snapshot(&look);
  ch_arena_fini(&look.arena);
  ch_buf_fini(&look.match);
  return error;
}
