/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/store_sqlite/index.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "backend/store_sqlite/cells.h"
#include "backend/store_sqlite/text.h"
#include "core/bytes.h"

enum { STEP_RUNS = 32, STEP_ERASED = 256 };

/* `conv` holds the conversation's number as a word, so that a search is narrowed to conversations by the index itself. */
static const char schema[] =
    "CREATE VIRTUAL TABLE words USING fts5 (text, conv, content = '', columnsize = 0, tokenize = 'unicode61 remove_diacritics 2');"
    "CREATE TABLE doc (id INTEGER PRIMARY KEY, conv INTEGER NOT NULL, seq INTEGER NOT NULL, message_id INTEGER NOT NULL);"
    "CREATE TABLE progress (store BLOB NOT NULL, run INTEGER NOT NULL, erased INTEGER NOT NULL, position INTEGER NOT NULL);"
    "INSERT INTO progress VALUES (x'', 0, 0, 0);"
    "PRAGMA user_version = 1;";

const char *const ch_sqlstore_index_sql[INDEX_COUNT] = {
    [INDEX_CURSOR] = "SELECT store, run, erased, position FROM progress",
    [INDEX_CURSOR_PUT] = "UPDATE progress SET store = ?, run = ?, erased = ?, position = ?",
    [INDEX_FREE] = "SELECT max(id) FROM doc WHERE id >= ?1 AND id < ?1 + 4096",
    [INDEX_DOC_PUT] = "INSERT INTO doc VALUES (?, ?, ?, ?)",
    [INDEX_TEXT_PUT] = "INSERT INTO words (rowid, text, conv) VALUES (?1, CAST(?2 AS TEXT), 'c' || ?3)",
    [INDEX_DOC] = "SELECT conv, seq, message_id FROM doc WHERE id = ?",
    [INDEX_DOC_FIND] = "SELECT id FROM doc WHERE id >= ?1 AND id < ?1 + 8192 AND conv = ?2 AND seq = ?3",
    [INDEX_DOC_DELETE] = "DELETE FROM doc WHERE id = ?",
    [INDEX_TEXT_DELETE] = "INSERT INTO words (words, rowid, text, conv) VALUES ('delete', ?1, CAST(?2 AS TEXT), 'c' || ?3)",
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
  int error = ch_sqlstore_db_open(&indexer->index, path, CH_STORE_OPEN_WRITE, ch_sqlstore_index_sql);
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

/* ------------------------------------------------------------------------------------------------ step */

static int free_number(ch_sqlite_db *index, uint64_t message_id, uint64_t *id) {
  uint64_t taken;
  *id = message_id;
  for (;;) {
    int error = ch_sqlite_number(index, INDEX_FREE, &taken, "u", *id);
    if (error || taken < *id) return error;
    *id = taken + 1;
  }
}

static int index_row(ch_sqlstore_indexer *indexer, uint64_t conv, const chat_row *row, ch_arena *arena) {
  chat_bytes text = ch_sqlstore_text(row, arena);
  if (text.len == 0) return 0;
  uint64_t id;
  int error = free_number(&indexer->index, row->message_id, &id);
  if (!error) error = ch_sqlite_run(&indexer->index, INDEX_DOC_PUT, "uuuu", id, conv, row->seq, row->message_id);
  return error ? error : ch_sqlite_run(&indexer->index, INDEX_TEXT_PUT, "ubu", id, text, conv);
}

static int index_run(ch_sqlstore_indexer *indexer, sqlite3_stmt *statement, ch_arena *arena, uint64_t *last) {
  static const uint8_t no_id[16];
  ch_sqlstore_stored_run run;
  chat_row rows[CH_STORE_RUN_EVENTS_MAX];
  int error = ch_sqlstore_run_column(statement, &run);
  if (!error) error = ch_sqlstore_run_decode(&run, no_id, rows);
  uint64_t conv = ch_sqlite_u64(statement, 5);
  for (uint64_t i = 0; i < run.count && !error; i++) {
    error = index_row(indexer, conv, &rows[i], arena);
    ch_arena_reset(arena);
  }
  if (!error) *last = run.id;
  return error;
}

/* 1: a full step; 0: nothing is left behind it. */
static int index_runs(ch_sqlstore_indexer *indexer, progress *at) {
  sqlite3_stmt *statement;
  ch_arena arena;
  int count = 0, error = 0;
  int more = ch_sqlite_query(&indexer->main, SQL_RUNS_BY_ID, &statement, "uu", at->run, (uint64_t)STEP_RUNS);
  if (more) return more;
  ch_arena_init(&arena, indexer->alloc, 4096, CH_STORE_TEXT_ARENA_LEN);
  while (!error && (more = ch_sqlite_step(statement)) > 0) {
    error = index_run(indexer, statement, &arena, &at->run);
    count++;
  }
  ch_arena_fini(&arena);
  if (error) ch_sqlite_end(statement);
  if (error || more < 0) return error ? error : more;
  return count == STEP_RUNS;
}

/* A text that was pruned before its run was indexed is not in the index. */
static int forget(ch_sqlite_db *index, sqlite3_stmt *erased, uint64_t run_cursor) {
  uint64_t conv = ch_sqlite_u64(erased, 1), id;
  if (ch_sqlite_u64(erased, 4) > run_cursor) return 0;
  int error = ch_sqlite_number(index, INDEX_DOC_FIND, &id, "uuu", ch_sqlite_u64(erased, 3), conv, ch_sqlite_u64(erased, 2));
  if (error || id == 0) return error;
  error = ch_sqlite_run(index, INDEX_TEXT_DELETE, "ubu", id, ch_sqlite_bytes(erased, 5), conv);
  return error ? error : ch_sqlite_run(index, INDEX_DOC_DELETE, "u", id);
}

static int forget_erased(ch_sqlstore_indexer *indexer, progress *at) {
  sqlite3_stmt *statement;
  int count = 0;
  int more = ch_sqlite_query(&indexer->main, SQL_ERASED, &statement, "uu", at->erased, (uint64_t)STEP_ERASED);
  if (more) return more;
  while ((more = ch_sqlite_step(statement)) > 0) {
    int error = forget(&indexer->index, statement, at->run);
    if (error) {
      ch_sqlite_end(statement);
      return error;
    }
    at->erased = ch_sqlite_u64(statement, 0);
    count++;
  }
  return more < 0 ? more : count == STEP_ERASED;
}

/* Forgetting comes first: what was pruned in this snapshot is no longer among its runs, so it cannot be indexed after it was forgotten. */
static int step(ch_sqlstore_indexer *indexer) {
  progress at;
  uint64_t position;
  int error = cursor_read(&indexer->index, &at);
  if (!error) error = ch_sqlite_number(&indexer->main, SQL_CONSUMED, &position, "uu", (uint64_t)CHAT_TOPIC_MESSAGES, (uint64_t)0);
  if (error) return error;
  int more_erased = forget_erased(indexer, &at);
  if (more_erased < 0) return more_erased;
  int more_runs = index_runs(indexer, &at);
  if (more_runs < 0) return more_runs;
  if (!more_runs) at.position = position;
  error = ch_sqlite_run(&indexer->index, INDEX_CURSOR_PUT, "kuuu", at.store, at.run, at.erased, at.position);
  return error ? error : more_erased || more_runs;
}

int ch_sqlstore_indexer_step(ch_sqlstore_indexer *indexer, uint64_t *erased) {
  progress at;
  int error = ch_sqlite_settle(indexer->main.handle);
  if (!error) error = ch_sqlite_settle(indexer->index.handle);
  if (!error) error = ch_sqlite_exec(indexer->main.handle, "BEGIN");
  if (!error) error = ch_sqlite_exec(indexer->index.handle, "BEGIN IMMEDIATE");
  int more = error ? error : step(indexer);
  if (more >= 0) {
    error = ch_sqlite_exec(indexer->index.handle, "COMMIT");
    if (error) more = error;
  }
  if (more < 0) ch_sqlite_exec(indexer->index.handle, "ROLLBACK");
  ch_sqlite_exec(indexer->main.handle, "COMMIT");
  *erased = more >= 0 && cursor_read(&indexer->index, &at) == 0 ? at.erased : 0;
  return more;
}
