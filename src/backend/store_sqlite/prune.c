/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Retention: rows leave a conversation from its low end, so that what is gone is always "seq <= horizon". Runs are visited in the order in which they were written, which
 * is the log's; its append times never fall (docs/decisions/0003), so a stretch of younger runs means that none older is left.
 */
#include "backend/store_sqlite/apply.h"
#include "backend/store_sqlite/cells.h"
#include "backend/store_sqlite/text.h"

enum { YOUNG_RUNS_MAX = 1024 };

typedef struct pruning {
  ch_sqlstore_writer *writer;
  uint64_t before_ms;
  uint64_t left; /* rows that may still be erased */
} pruning;

/* A row above the head is not part of its conversation yet: a horizon there would cut off what is still to come. */
static uint64_t count_old(const pruning *prune, const chat_row *rows, uint64_t count, uint64_t head) {
  uint64_t old = 0;
  while (old < count && old < prune->left && rows[old].seq <= head && rows[old].created_ms < prune->before_ms)
    old++;
  return old;
}

/* What is left of a run whose first rows go. */
static int rewrite_rest(pruning *prune, uint64_t id, const chat_row *rows, uint64_t count) {
  ch_sqlstore_run run;
  ch_sqlstore_run_init(&run, prune->writer->alloc);
  int error = 0;
  for (uint64_t i = 0; i < count && !error; i++)
    error = ch_sqlstore_run_add(&run, &rows[i]);
  if (!error) {
    error = ch_sqlite_run(prune->writer->db, SQL_RUN_UPDATE, "uuuuuub", id, run.first_seq, run.count, run.first_ms, run.last_ms, (uint64_t)CH_STORE_RUN_FORMAT,
                           ch_buf_bytes(&run.body));
  }
  ch_sqlstore_run_fini(&run);
  return error;
}

static int erase_rows(pruning *prune, uint64_t conv, const ch_sqlstore_stored_run *run, const chat_row *rows, uint64_t old) {
  ch_sqlite_db *db = prune->writer->db;
  int error = ch_sqlite_run(db, SQL_HORIZON_PUT, "uu", conv, run->first_seq + old - 1);
  for (uint64_t i = 0; i < old && !error && !prune->writer->no_index; i++)
    error = ch_sqlstore_text_erase(db, prune->writer->alloc, conv, run->id, &rows[i]);
  if (error) return error;
  if (old == run->count) return ch_sqlite_run(db, SQL_RUN_DELETE, "u", run->id);
  return rewrite_rest(prune, run->id, rows + old, run->count - old);
}

/* Erases what is old in the lowest run of a conversation, where that run does not begin above `last_first`. 1: the run is gone, another may follow; 0: done; or negative. */
static int prune_lowest(pruning *prune, uint64_t conv, uint64_t last_first) {
  static const uint8_t no_id[16];
  sqlite3_stmt *statement;
  ch_sqlstore_stored_run run;
  chat_row rows[CH_STORE_RUN_EVENTS_MAX];
  int more = ch_sqlite_query(prune->writer->db, SQL_RUN_LOWEST, &statement, "u", conv);
  if (!more) more = ch_sqlite_step(statement);
  if (more <= 0) return more;
  uint64_t old = 0;
  int error = ch_sqlstore_run_column(statement, &run);
  if (!error && run.first_seq <= last_first) {
    error = ch_sqlstore_run_decode(&run, no_id, rows);
    if (!error) old = count_old(prune, rows, run.count, ch_sqlite_u64(statement, 5));
    if (!error && old > 0) error = erase_rows(prune, conv, &run, rows, old);
  }
  ch_sqlite_end(statement);
  prune->left -= old;
  if (error) return error;
  return old == run.count && prune->left > 0;
}

typedef struct age {
  uint64_t id, conv, first_seq, first_ms;
} age;

/* The next runs in the order in which they were written: their number, or negative. */
static int next_ages(ch_sqlite_db *db, uint64_t after, age ages[256]) {
  sqlite3_stmt *statement;
  int count = 0, more = ch_sqlite_query(db, SQL_RUN_AGES, &statement, "u", after);
  if (more) return more;
  while ((more = ch_sqlite_step(statement)) > 0 && count < 256)
    ages[count++] = (age){ch_sqlite_u64(statement, 0), ch_sqlite_u64(statement, 1), ch_sqlite_u64(statement, 2),
                          ch_sqlite_u64(statement, 3)};
  return more < 0 ? more : count;
}

static int prune_run(pruning *prune, const age *run) {
  int more;
  while ((more = prune_lowest(prune, run->conv, run->first_seq)) > 0) continue;
  return more;
}

static int prune_all(pruning *prune) {
  uint64_t after = 0;
  int young = 0, count;
  age ages[256];
  while ((count = next_ages(prune->writer->db, after, ages)) > 0) {
    for (int i = 0; i < count; i++) {
      if (prune->left == 0 || young == YOUNG_RUNS_MAX) return 0;
      young = ages[i].first_ms < prune->before_ms ? 0 : young + 1;
      int error = young ? 0 : prune_run(prune, &ages[i]);
      if (error) return error;
    }
    after = ages[count - 1].id;
  }
  return count;
}

int ch_sqlstore_prune(ch_sqlstore_writer *writer, chat_op *op) {
  chat_store_prune *ask = (chat_store_prune *)op;
  pruning prune = {.writer = writer, .before_ms = ask->before_ms, .left = ask->limit};
  ask->pruned = 0;
  if (ask->limit == 0) return CHAT_E_INVALID;
  int error = prune_all(&prune);
  if (!error) ask->pruned = ask->limit - prune.left;
  return error;
}
