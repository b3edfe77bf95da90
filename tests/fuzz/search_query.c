/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What people search for, and in what: the same messages in both caches and in what the store holds them against. Whatever a query is, it is refused for having no word or it is no syntax
 * error; all refuse the same ones; for words of ASCII, where nothing is folded but case, they find the same messages; and what has SQLite's tokenizer finds the same in whatever is UTF-8.
 *
 * Input: the query, and bodies, each a piece (fuzz.h).
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/cache_mem.h"
#include "backend/cache_sqlite/cache_sqlite.h"
#include "backend/store_sqlite/query.h"
#include "core/wire.h"
#include "fuzz/fuzz.h"
#include "fuzz/support/damage.h"

enum { BODIES_MAX = 6, QUERY_MAX = 256, BODY_MAX = 1024 };

static char folder[FUZZ_PATH_LEN];
static chat_cache *caches[2]; /* in memory, in SQLite */
static ch_sqlstore_tokenizer tokenizer;

static const uint8_t conversation[16] = {2, 1};

static chat_row row_of(uint64_t seq, chat_bytes payload) {
  chat_row row = {.seq = seq,
                  .msg_no = seq,
                  .message_id = seq,
                  .created_ms = 1,
                  .client_seq = seq,
                  .sender = ch_bytes_text("ann"),
                  .type = CHAT_TYPE_MESSAGE,
                  .payload = payload};
  memcpy(row.conversation_id, conversation, 16);
  memset(row.client_id, (int)seq, 16);
  return row;
}

static void put(const chat_cache *cache, const chat_bytes *bodies, size_t count) {
  const chat_cache_vtable *v = cache->vtable;
  ch_buf payload;
  ch_buf_init(&payload, NULL, CHAT_FRAME_MAX);
  int error = v->begin(cache->self);
  if (!error) error = v->history_forget(cache->self, conversation);
  for (uint64_t i = 0; !error && i < count; i++) {
    ch_buf_clear(&payload);
    error = ch_content_encode(&(ch_content){.type = CHAT_TYPE_MESSAGE, .body = bodies[i]}, &payload);
    chat_row row = row_of(i + 1, ch_buf_bytes(&payload));
    if (!error) error = v->row_put(cache->self, &row);
  }
  if (!error) error = v->commit(cache->self, 0);
  while (!error && v->index(cache->self, 100) > 0)
    continue;
  ch_assert(!error);
  ch_buf_fini(&payload);
}

/* Bit n: message n was found. */
static int find(void *arg, const chat_row *row) {
  *(unsigned *)arg |= 1u << row->seq;
  return 0;
}

static bool is_ascii(chat_bytes bytes) {
  for (size_t i = 0; i < bytes.len; i++)
    if (bytes.data[i] >= 0x80 || bytes.data[i] == 0) return false;
  return true;
}

static bool has_word(chat_bytes query) {
  for (size_t i = 0; i < query.len; i++)
    if (isalnum(query.data[i]) || query.data[i] >= 0x80) return true;
  return false;
}

/* The server's store: the expression for its index has to be one, and each message is held against the query. */
static unsigned found_by_store(chat_bytes query, const chat_bytes *bodies, size_t count) {
  ch_sqlstore_query parsed;
  unsigned found = 0;
  int error = ch_sqlstore_query_init(&parsed, &tokenizer, query);
  ch_assert(error == (has_word(query) ? 0 : CHAT_E_INVALID));
  for (size_t i = 0; !error && i < count; i++) {
    int finds = ch_sqlstore_query_finds(&parsed, &tokenizer, bodies[i]);
    ch_assert(finds >= 0);
    if (finds) found |= 2u << i;
  }
  return found;
}

static void search(chat_bytes query, const chat_bytes *bodies, size_t count) {
  unsigned found[2] = {0, 0};
  bool is_plain = is_ascii(query), is_text = ch_utf8_valid(query);
  for (size_t i = 0; i < count; i++) {
    is_plain = is_plain && is_ascii(bodies[i]);
    is_text = is_text && ch_utf8_valid(bodies[i]);
  }
  for (int i = 0; i < 2; i++) {
    put(caches[i], bodies, count);
    int error = caches[i]->vtable->search(caches[i]->self, query, NULL, 0, 100, find, &found[i]);
    ch_assert(error == (has_word(query) ? 0 : CHAT_E_INVALID));
  }
  ch_assert(!is_plain || found[0] == found[1]);
  unsigned by_store = found_by_store(query, bodies, count);
  ch_assert(!is_text || by_store == found[1]);
}

static void close_caches(void) {
  ch_sqlstore_tokenizer_fini(&tokenizer);
  for (int i = 0; i < 2; i++)
    caches[i]->vtable->free(caches[i]->self);
  fuzz_folder_remove(folder);
}

static void open_tokenizer(void) {
  sqlite3 *db;
  ch_assert(sqlite3_open(":memory:", &db) == SQLITE_OK && ch_sqlstore_tokenizer_init(&tokenizer, db) == 0);
  sqlite3_close(db);
}

static void open_caches(void) {
  char path[FUZZ_PATH_LEN + 8];
  fuzz_folder_make(folder);
  snprintf(path, sizeof path, "%s/db", folder);
  ch_assert(chat_cache_mem_new(NULL, &caches[0]) == 0 && ch_cache_sqlite_new(NULL, path, &caches[1]) == 0);
  for (int i = 0; i < 2; i++)
    ch_assert(caches[i]->vtable->open(caches[i]->self) == 0);
  open_tokenizer();
  atexit(close_caches);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  fuzz_input input = {data, len};
  chat_bytes bodies[BODIES_MAX];
  size_t count = 0;
  if (!caches[0]) open_caches();
  chat_bytes query = fuzz_piece(&input);
  if (query.len > QUERY_MAX) query.len = QUERY_MAX;
  for (; input.len > 0 && count < BODIES_MAX; count++) {
    bodies[count] = fuzz_piece(&input);
    if (bodies[count].len > BODY_MAX) bodies[count].len = BODY_MAX;
  }
  search(query, bodies, count);
  return 0;
}
