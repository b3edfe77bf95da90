/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/store_sqlite/index.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "backend/store_sqlite/cells.h"
#include "backend/store_sqlite/query.h"
#include "backend/store_sqlite/text.h"
#include "core/bytes.h"

/* A step is a transaction: the more is in it, the less is merged later. Some 32,768 messages take 0.1 s; what FTS5 keeps in memory of them is bounded by itself (hashsize, 1 MiB). */
enum { STEP_EVENTS = 32768, STEP_ERASED = 256, DOCUMENT_LEN_MAX = 2 * 1024 * 1024 };

#define INDEX_VERSION 2 /* of another one is made anew */
#define TEXT_OF(number) TEXT(number)
#define TEXT(number) #number

/* automerge 16: segments of a level are merged when there are that many (FTS5's own is 4), so that a message is written anew half as often; a search looks into more of them. */
static const char schema[] =
    "CREATE VIRTUAL TABLE words USING fts5 (text, content = '', columnsize = 0, detail = none,"
    " tokenize = '" CH_STORE_TOKENIZER_NAME " " CH_STORE_TOKENIZER_OPTION " " CH_STORE_TOKENIZER_VALUE "');"
    "INSERT INTO words (words, rank) VALUES ('automerge', 16), ('crisismerge', 64);"
    "CREATE TABLE doc (id INTEGER PRIMARY KEY, conv INTEGER NOT NULL, first_seq INTEGER NOT NULL, count INTEGER NOT NULL);"
    "CREATE TABLE progress (store BLOB NOT NULL, run INTEGER NOT NULL, erased INTEGER NOT NULL, position INTEGER NOT NULL);"
    "INSERT INTO progress VALUES (x'', 0, 0, 0);"
    "PRAGMA user_version = " TEXT_OF(INDEX_VERSION) ";";

const char *const ch_sqlstore_index_sql[INDEX_COUNT] = {
    [INDEX_CURSOR] = "SELECT store, run, erased, position FROM progress",
    [INDEX_CURSOR_PUT] = "UPDATE progress SET store = ?, run = ?, erased = ?, position = ?",
    [INDEX_FREE] = "SELECT max(id) FROM doc WHERE id >= ?1 AND id < ?1 + 4096",
    [INDEX_DOC_PUT] = "INSERT INTO doc VALUES (?, ?, ?, ?)",
    [INDEX_TEXT_PUT] = "INSERT INTO words (rowid, text) VALUES (?, CAST(? AS TEXT))",
    [INDEX_DOC] = "SELECT id, conv, first_seq, count FROM doc WHERE id = ?",
    [INDEX_DOC_FIND] = "SELECT id, conv, first_seq, count FROM doc WHERE id >= ?1 AND id < ?2 AND conv = ?3 AND first_seq <= ?4 AND first_seq + count > ?4 ORDER BY id LIMIT 1",
    [INDEX_DOC_DELETE] = "DELETE FROM doc WHERE id = ?",
    [INDEX_TEXT_DELETE] = "INSERT INTO words (words, rowid, text) VALUES ('delete', ?, CAST(? AS TEXT))",
    [INDEX_FIND] = "SELECT rowid FROM words WHERE words MATCH CAST(?1 AS TEXT) AND rowid < ?2 ORDER BY rowid DESC",
};

typedef struct progress {
  uint8_t store[16];
  uint64_t run, erased, position;
} progress;

/* ------------------------------------------------------------------------------------------------ open */

static int cursor_read(ch_sqlite_db *index, progress *out) {
  sqlite3_stmt *statement;
  int more = ch_sqlite_query(index, INDEX_CURSOR, &statement, "");
  if (!more) more = ch_sqlite_step(statement);
  if (more <= 0) return more ? more : CHAT_E_CORRUPT;
  *out = (progress){.run = ch_sqlite_u64(statement, CURSOR_RUN),
                    .erased = ch_sqlite_u64(statement, CURSOR_ERASED),
                    .position = ch_sqlite_u64(statement, CURSOR_POSITION)};
  int error = ch_sqlite_id(statement, CURSOR_STORE, out->store);
  ch_sqlite_end(statement);
  return error;
}

static int store_id(ch_sqlite_db *main, uint8_t id[16]) {
  sqlite3_stmt *statement;
  int more = ch_sqlite_query(main, SQL_STORE_ID, &statement, "");
  if (!more) more = ch_sqlite_step(statement);
  if (more <= 0) return more ? more : CHAT_E_CORRUPT;
  int error = ch_sqlite_id(statement, 0, id);
  ch_sqlite_end(statement);
  return error;
}

/* An index that does not fit its store is of no use: another store's, or one that is ahead of a store restored from a copy. */
static int index_fits(ch_sqlstore_indexer *indexer) {
  uint8_t id[16];
  progress at;
  uint64_t last_run;
  int error = store_id(&indexer->main, id);
  if (!error) error = cursor_read(&indexer->index, &at);
  if (!error) error = ch_sqlite_number(&indexer->main, SQL_RUN_LAST_ID, &last_run, "");
  if (error) return error;
  return memcmp(id, at.store, sizeof id) == 0 && at.run <= last_run ? 0 : CHAT_E_CORRUPT;
}

static int index_open(ch_sqlstore_indexer *indexer, const char *path) {
  uint64_t version;
  int error = ch_sqlstore_db_open(&indexer->index, path, CH_STORE_OPEN_WRITE, ch_sqlstore_index_sql);
  if (!error) error = ch_sqlite_version(indexer->index.handle, &version);
  if (!error && version != INDEX_VERSION) error = CHAT_E_VERSION;
  return error ? error : index_fits(indexer);
}

static void remove_files(const char *path) {
  static const char *const tails[] = {"", "-wal", "-shm"};
  char name[4096];
  for (size_t i = 0; i < 3; i++) {
    snprintf(name, sizeof name, "%s%s", path, tails[i]);
    unlink(name);
  }
}

static int index_make(ch_sqlstore_indexer *indexer, const char *path) {
  uint8_t id[16];
  remove_files(path);
  int error = ch_sqlstore_db_open(&indexer->index, path, CH_STORE_OPEN_WRITE, ch_sqlstore_index_sql);
  if (!error) error = store_id(&indexer->main, id);
  if (!error) error = ch_sqlite_exec(indexer->index.handle, schema);
  if (!error) error = ch_sqlite_run(&indexer->index, INDEX_CURSOR_PUT, "kuuu", id, (uint64_t)0, (uint64_t)0, (uint64_t)0);
  return error;
}

int ch_sqlstore_indexer_open(ch_sqlstore_indexer *indexer, const chat_allocator *alloc, const char *path) {
  char name[4096];
  memset(indexer, 0, sizeof *indexer);
  indexer->alloc = alloc;
  if (snprintf(name, sizeof name, "%s-search", path) >= (int)sizeof name) return CHAT_E_INVALID;
  int error = ch_sqlstore_db_open(&indexer->main, path, CH_STORE_OPEN_READ, ch_sqlstore_sql);
  if (error) return error;
  if (index_open(indexer, name) == 0) return 0;
  ch_sqlite_close(&indexer->index);
  return index_make(indexer, name);
}

void ch_sqlstore_index_remove(const char *path) {
  char name[4096];
  if (snprintf(name, sizeof name, "%s-search", path) < (int)sizeof name) remove_files(name);
}

void ch_sqlstore_indexer_close(ch_sqlstore_indexer *indexer) {
  ch_sqlite_close(&indexer->index);
  ch_sqlite_close(&indexer->main);
}

/* ------------------------------------------------------------------------------------------------ documents */

/* One while it is made. Messages come in the order of their seq. */
typedef struct document {
  uint64_t conv, first_seq, last_seq;
  uint64_t lowest, highest; /* message_ids */
  ch_buf text;              /* empty: there is none */
} document;

/* What a step works with. */
typedef struct indexing {
  ch_sqlstore_indexer *indexer;
  document document;
  ch_arena arena; /* of what is read from rows */
  progress at;
} indexing;

static int free_number(ch_sqlite_db *index, uint64_t message_id, uint64_t *id) {
  uint64_t taken;
  *id = message_id;
  for (;;) {
    int error = ch_sqlite_number(index, INDEX_FREE, &taken, "u", *id);
    if (error || taken < *id) return error;
    *id = taken + 1;
  }
}

static int put_text(ch_buf *out, chat_bytes text) {
  ch_buf_put(out, text);
  return ch_buf_put_u8(out, '\n');
}

static int put_conversation(ch_buf *out, uint64_t conv) {
  return ch_buf_printf(out, CH_STORE_INDEX_CONVERSATION, (unsigned long long)conv);
}

/* Into the index with what was collected. */
static int document_end(indexing *work) {
  document *doc = &work->document;
  ch_sqlite_db *index = &work->indexer->index;
  uint64_t id;
  if (doc->text.len == 0) return 0;
  int error = put_conversation(&doc->text, doc->conv);
  if (!error) error = free_number(index, doc->highest, &id);
  if (!error) error = ch_sqlite_run(index, INDEX_DOC_PUT, "uuuu", id, doc->conv, doc->first_seq, doc->last_seq - doc->first_seq + 1);
  if (!error) error = ch_sqlite_run(index, INDEX_TEXT_PUT, "ub", id, ch_buf_bytes(&doc->text));
  ch_buf_clear(&doc->text);
  return error;
}

static uint64_t lesser(uint64_t a, uint64_t b) {
  return a < b ? a : b;
}

static uint64_t greater(uint64_t a, uint64_t b) {
  return a > b ? a : b;
}

static int document_add(indexing *work, uint64_t conv, const chat_row *row) {
  document *doc = &work->document;
  chat_bytes text = ch_sqlstore_text(row, &work->arena);
  if (text.len == 0) return 0;
  bool fits = doc->text.len > 0 && greater(doc->highest, row->message_id) - lesser(doc->lowest, row->message_id) <= CH_STORE_INDEX_SPAN;
  int error = fits ? 0 : document_end(work);
  if (error) return error;
  if (!fits) *doc = (document){.conv = conv, .first_seq = row->seq, .lowest = row->message_id, .highest = row->message_id, .text = doc->text};
  doc->last_seq = row->seq;
  doc->lowest = lesser(doc->lowest, row->message_id);
  doc->highest = greater(doc->highest, row->message_id);
  return put_text(&doc->text, text);
}

static int documents_of(indexing *work, uint64_t conv, const chat_row *rows, uint64_t count) {
  int error = 0;
  for (uint64_t i = 0; i < count && !error; i++)
    error = document_add(work, conv, &rows[i]);
  if (!error) error = document_end(work);
  ch_arena_reset(&work->arena);
  return error;
}

/* ------------------------------------------------------------------------------------------------ runs */

static int index_run(indexing *work, sqlite3_stmt *statement, uint64_t *count) {
  static const uint8_t no_id[16];
  ch_sqlstore_stored_run run;
  chat_row rows[CH_STORE_RUN_EVENTS_MAX];
  int error = ch_sqlstore_run_column(statement, &run);
  if (!error) error = ch_sqlstore_run_decode(&run, no_id, rows);
  if (!error) error = documents_of(work, ch_sqlite_u64(statement, 5), rows, run.count);
  if (error) return error;
  work->at.run = run.id;
  *count += run.count;
  return 0;
}

/* 1: a full step; 0: nothing is left behind it. */
static int index_runs(indexing *work) {
  sqlite3_stmt *statement;
  uint64_t count = 0;
  int more = ch_sqlite_query(&work->indexer->main, SQL_RUNS_BY_ID, &statement, "uu", work->at.run, (uint64_t)STEP_EVENTS);
  if (more) return more;
  while ((more = ch_sqlite_step(statement)) > 0) {
    int error = index_run(work, statement, &count);
    if (!error && count < STEP_EVENTS) continue;
    ch_sqlite_end(statement);
    return error ? error : 1;
  }
  return more;
}

/* ------------------------------------------------------------------------------------------------ what was erased */

/* A document that has a text which was erased: the texts that it was made of, and the rows that are there now. */
typedef struct remaking {
  uint64_t id, conv, first_seq, count;
  chat_bytes texts[CH_STORE_RUN_EVENTS_MAX];
  chat_row rows[CH_STORE_RUN_EVENTS_MAX];
  uint64_t row_count;
} remaking;

/* The document with this message: 1; 0: there is none (any more); or negative. */
static int find_document(ch_sqlite_db *index, uint64_t conv, uint64_t seq, uint64_t message_id, remaking *doc) {
  sqlite3_stmt *statement;
  int more = ch_sqlite_query(index, INDEX_DOC_FIND, &statement, "uuuu", message_id, message_id + CH_STORE_INDEX_REACH, conv, seq);
  if (!more) more = ch_sqlite_step(statement);
  if (more <= 0) return more;
  *doc = (remaking){.id = ch_sqlite_u64(statement, DOC_ID),
                    .conv = conv,
                    .first_seq = ch_sqlite_u64(statement, DOC_FIRST_SEQ),
                    .count = ch_sqlite_u64(statement, DOC_COUNT)};
  ch_sqlite_end(statement);
  return doc->count <= CH_STORE_RUN_EVENTS_MAX ? 1 : CHAT_E_CORRUPT;
}

/* Of several that one place has had since the document was made, the first was in it. */
static int take_erased(indexing *work, remaking *doc) {
  sqlite3_stmt *statement;
  int more = ch_sqlite_query(&work->indexer->main, SQL_ERASED_OF, &statement, "uuuu", work->at.erased, doc->conv, doc->first_seq, doc->first_seq + doc->count);
  if (more) return more;
  while ((more = ch_sqlite_step(statement)) > 0) {
    chat_bytes *text = &doc->texts[ch_sqlite_u64(statement, 0) - doc->first_seq], erased = ch_sqlite_bytes(statement, 1);
    if (text->len > 0) continue;
    *text = ch_bytes_of(ch_arena_dup(&work->arena, erased.data, erased.len), erased.len);
    if (text->data) continue;
    ch_sqlite_end(statement);
    return CHAT_E_NOMEM;
  }
  return more;
}

static int add_texts(indexing *work, remaking *doc, ch_buf *out) {
  for (uint64_t i = 0; i < doc->row_count; i++) {
    chat_bytes *text = &doc->texts[doc->rows[i].seq - doc->first_seq];
    if (text->len == 0) *text = ch_sqlstore_text(&doc->rows[i], &work->arena);
  }
  for (uint64_t i = 0; i < doc->count; i++)
    if (doc->texts[i].len > 0) put_text(out, doc->texts[i]);
  return put_conversation(out, doc->conv);
}

static int delete_document(indexing *work, remaking *doc) {
  ch_buf *text = &work->document.text; /* empty between two documents */
  ch_sqlite_db *index = &work->indexer->index;
  int error = take_erased(work, doc);
  if (!error) error = add_texts(work, doc, text);
  if (!error) error = ch_sqlite_run(index, INDEX_TEXT_DELETE, "ub", doc->id, ch_buf_bytes(text));
  ch_buf_clear(text);
  return error ? error : ch_sqlite_run(index, INDEX_DOC_DELETE, "u", doc->id);
}

/* Rows go from the low end of a run, so that where the last is gone they all are. They borrow from the run. */
static void rows_within(remaking *doc, const chat_row *rows, uint64_t count) {
  for (uint64_t i = 0; i < count; i++)
    if (rows[i].seq >= doc->first_seq && rows[i].seq - doc->first_seq < doc->count) doc->rows[doc->row_count++] = rows[i];
}

static int remake_from(indexing *work, remaking *doc, sqlite3_stmt *statement) {
  static const uint8_t no_id[16];
  ch_sqlstore_stored_run run;
  chat_row rows[CH_STORE_RUN_EVENTS_MAX];
  int error = ch_sqlstore_run_column(statement, &run);
  if (!error) error = ch_sqlstore_run_decode(&run, no_id, rows);
  if (error) return error;
  rows_within(doc, rows, run.count);
  error = delete_document(work, doc);
  return error ? error : documents_of(work, doc->conv, doc->rows, doc->row_count);
}

static int remake(indexing *work, remaking *doc) {
  sqlite3_stmt *statement;
  int more = ch_sqlite_query(&work->indexer->main, SQL_RUN_COVERING, &statement, "uu", doc->conv, doc->first_seq + doc->count - 1);
  if (!more) more = ch_sqlite_step(statement);
  if (more < 0) return more;
  if (more == 0) return delete_document(work, doc);
  int error = remake_from(work, doc, statement);
  ch_sqlite_end(statement);
  return error;
}

/* A text that was erased before its run was indexed is not in the index, and one of a document that was made anew is no more. */
static int forget(indexing *work, sqlite3_stmt *erased) {
  remaking doc;
  if (ch_sqlite_u64(erased, 4) > work->at.run) return 0;
  int found = find_document(&work->indexer->index, ch_sqlite_u64(erased, 1), ch_sqlite_u64(erased, 2), ch_sqlite_u64(erased, 3), &doc);
  if (found > 0) found = remake(work, &doc);
  ch_arena_reset(&work->arena);
  return found;
}

/* 1: a full step; 0: nothing is left behind it. */
static int forget_erased(indexing *work) {
  sqlite3_stmt *statement;
  int count = 0;
  int more = ch_sqlite_query(&work->indexer->main, SQL_ERASED, &statement, "uu", work->at.erased, (uint64_t)STEP_ERASED);
  if (more) return more;
  while ((more = ch_sqlite_step(statement)) > 0) {
    int error = forget(work, statement);
    if (error) {
      ch_sqlite_end(statement);
      return error;
    }
    work->at.erased = ch_sqlite_u64(statement, 0);
    count++;
  }
  return more < 0 ? more : count == STEP_ERASED;
}

/* ------------------------------------------------------------------------------------------------ step */

/* Forgetting comes first, and to its end: what was erased in this snapshot is no longer among its runs, so it cannot be indexed after it was forgotten, nor forgotten where it was never indexed. */
static int go_on(indexing *work) {
  uint64_t position;
  int error = ch_sqlite_number(&work->indexer->main, SQL_CONSUMED, &position, "uu", (uint64_t)CHAT_TOPIC_MESSAGES, (uint64_t)0);
  if (error) return error;
  int more = forget_erased(work);
  if (more == 0) more = index_runs(work);
  if (more == 0) work->at.position = position;
  return more;
}

static int step(ch_sqlstore_indexer *indexer, progress *at) {
  indexing work = {.indexer = indexer, .at = *at};
  ch_arena_init(&work.arena, indexer->alloc, 16384, (size_t)CH_STORE_RUN_EVENTS_MAX * CH_STORE_TEXT_ARENA_LEN);
  ch_buf_init(&work.document.text, indexer->alloc, DOCUMENT_LEN_MAX);
  int more = go_on(&work);
  ch_buf_fini(&work.document.text);
  ch_arena_fini(&work.arena);
  bool moved = work.at.run != at->run || work.at.erased != at->erased || work.at.position != at->position;
  if (more < 0 || !moved) return more;
  *at = work.at;
  int error = ch_sqlite_run(&indexer->index, INDEX_CURSOR_PUT, "kuuu", at->store, at->run, at->erased, at->position);
  return error ? error : more;
}

int ch_sqlstore_indexer_step(ch_sqlstore_indexer *indexer, uint64_t *erased) {
  progress at = {.erased = 0};
  int error = ch_sqlite_settle(indexer->main.handle);
  if (!error) error = ch_sqlite_settle(indexer->index.handle);
  if (!error) error = ch_sqlite_exec(indexer->main.handle, "BEGIN");
  if (!error) error = ch_sqlite_exec(indexer->index.handle, "BEGIN IMMEDIATE");
  if (!error) error = cursor_read(&indexer->index, &at);
  int more = error ? error : step(indexer, &at);
  if (more >= 0) {
    error = ch_sqlite_exec(indexer->index.handle, "COMMIT");
    if (error) more = error;
  }
  if (more < 0) ch_sqlite_exec(indexer->index.handle, "ROLLBACK");
  ch_sqlite_exec(indexer->main.handle, "COMMIT");
  *erased = more >= 0 ? at.erased : 0;
  return more;
}
