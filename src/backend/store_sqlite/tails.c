/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/store_sqlite/tails.h"

#include <stdlib.h>
#include <string.h>

#include "backend/store_sqlite/schema.h"
#include "core/env.h"

int ch_sqlstore_tails_init(ch_sqlstore_tails *tails, const chat_allocator *alloc, size_t rows_max, size_t len_max) {
  uint8_t seed[CH_HASHMAP_SEED_LEN];
  *tails = (ch_sqlstore_tails){.alloc = alloc, .rows_max = rows_max, .len_max = len_max};
  sqlite3_randomness(sizeof seed, seed);
  for (int i = 0; i < CH_OVERLAY_TAILS; i++)
    ch_sqlstore_tail_init(&tails->tails[i], alloc, 2 * len_max, seed);
  return pthread_mutex_init(&tails->lock, NULL) == 0 ? 0 : CHAT_E_NOMEM;
}

void ch_sqlstore_tails_fini(ch_sqlstore_tails *tails) {
  for (int i = 0; i < CH_OVERLAY_TAILS; i++)
    ch_sqlstore_tail_fini(&tails->tails[i]);
  pthread_mutex_destroy(&tails->lock);
}

static ch_sqlstore_tail *filling(ch_sqlstore_tails *tails) {
  return &tails->tails[tails->filling];
}

static ch_sqlstore_tail *written(ch_sqlstore_tails *tails) {
  return &tails->tails[1 - tails->filling];
}

/* ------------------------------------------------------------------------------------------------ put */

static bool is_full(const ch_sqlstore_tails *tails, const ch_sqlstore_tail *tail) {
  return tail->row_count >= tails->rows_max || tail->arena.used_len >= tails->len_max;
}

static ch_sqlstore_tails_taken put(ch_sqlstore_tails *tails, const chat_store_apply *apply, chat_op *scratch) {
  ch_sqlstore_tail *tail = filling(tails);
  bool was_empty = ch_sqlstore_tail_is_empty(tail);
  if (tails->has_failed || (is_full(tails, tail) && !ch_sqlstore_tail_is_empty(written(tails)))) return CH_TAILS_NOT;
  if (ch_sqlstore_tail_put(tail, apply, scratch) <= 0) return CH_TAILS_NOT;
  return is_full(tails, tail) ? CH_TAILS_FULL : was_empty ? CH_TAILS_BEGUN : CH_TAILS_TAKEN;
}

ch_sqlstore_tails_taken ch_sqlstore_tails_put(ch_sqlstore_tails *tails, const chat_store_apply *apply, chat_op *scratch) {
  if (tails->rows_max == 0) return CH_TAILS_NOT;
  pthread_mutex_lock(&tails->lock);
  ch_sqlstore_tails_taken taken = put(tails, apply, scratch);
  pthread_mutex_unlock(&tails->lock);
  return taken;
}

static bool are_empty(ch_sqlstore_tails *tails) {
  return ch_sqlstore_tail_is_empty(filling(tails)) && ch_sqlstore_tail_is_empty(written(tails));
}

bool ch_sqlstore_tails_are_empty(ch_sqlstore_tails *tails) {
  pthread_mutex_lock(&tails->lock);
  bool empty = are_empty(tails);
  pthread_mutex_unlock(&tails->lock);
  return empty;
}

/* ------------------------------------------------------------------------------------------------ flush */

/* Neighbours in the tables are written together. */
static int entry_order(const void *left, const void *right) {
  const ch_sqlstore_tail_entry *a = *(ch_sqlstore_tail_entry *const *)left, *b = *(ch_sqlstore_tail_entry *const *)right;
  return memcmp(a->state.conversation_id, b->state.conversation_id, 16);
}

static size_t collect(const ch_sqlstore_tail *tail, ch_sqlstore_tail_entry **entries) {
  size_t count = 0;
  for (const ch_hashmap_entry *at = ch_hashmap_first(&tail->entries); at; at = ch_hashmap_next(&tail->entries, at)) {
    ch_sqlstore_tail_entry *entry = at->value;
    if (entry->state.position > 0) entries[count++] = entry;
  }
  qsort(entries, count, sizeof(ch_sqlstore_tail_entry *), entry_order);
  return count;
}

static int write_entries(ch_sqlstore_writer *writer, const ch_sqlstore_tail *tail, ch_sqlstore_tail_entry **entries, size_t count) {
  int error = 0;
  for (size_t i = 0; i < count && !error; i++)
    error = ch_sqlstore_apply_entry(writer, entries[i]);
  return error || tail->position == 0 ? error : ch_sqlstore_apply_position(writer, tail->position, tail->log_identity);
}

/* The other tail does not change meanwhile, so it is read without the lock. */
static int write_tail(ch_sqlstore_tails *tails, ch_sqlite_db *db) {
  const ch_sqlstore_tail *tail = written(tails);
  ch_sqlstore_writer writer = {.alloc = tails->alloc, .db = db, .no_index = tails->no_index};
  ch_sqlstore_tail_entry **entries = ch_alloc(tails->alloc, (tail->entries.count + 1) * sizeof *entries);
  if (!entries) return CHAT_E_NOMEM;
  int error = ch_sqlite_settle(db->handle);
  if (!error) error = ch_sqlite_run(db, SQL_BEGIN_WRITE, "");
  if (!error) error = write_entries(&writer, tail, entries, collect(tail, entries));
  if (!error) error = ch_sqlite_run(db, SQL_COMMIT, "");
  if (error && !sqlite3_get_autocommit(db->handle)) ch_sqlite_run(db, SQL_ROLLBACK, "");
  ch_free(tails->alloc, entries);
  return error;
}

/* false: there is nothing to write. */
static bool take_over(ch_sqlstore_tails *tails) {
  pthread_mutex_lock(&tails->lock);
  if (ch_sqlstore_tail_is_empty(written(tails))) tails->filling = 1 - tails->filling;
  bool any = !ch_sqlstore_tail_is_empty(written(tails));
  pthread_mutex_unlock(&tails->lock);
  return any;
}

static void settle(ch_sqlstore_tails *tails, int error, uint64_t *consumed) {
  pthread_mutex_lock(&tails->lock);
  ch_sqlstore_tail *tail = written(tails);
  tails->has_failed = error != 0;
  if (!error && tail->position > *consumed) *consumed = tail->position;
  if (!error) ch_sqlstore_tail_clear(tail);
  pthread_mutex_unlock(&tails->lock);
}

static int flush_one(ch_sqlstore_tails *tails, ch_sqlite_db *db, uint64_t *consumed) {
  if (!take_over(tails)) return 0;
  int error = write_tail(tails, db);
  settle(tails, error, consumed);
  return error;
}

/* What a flush before this one has left comes first. */
int ch_sqlstore_tails_flush(ch_sqlstore_tails *tails, ch_sqlite_db *db, uint64_t *consumed) {
  bool is_left = !ch_sqlstore_tail_is_empty(written(tails));
  int error = flush_one(tails, db, consumed);
  return error || !is_left ? error : flush_one(tails, db, consumed);
}
