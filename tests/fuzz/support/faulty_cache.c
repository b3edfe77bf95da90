/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/support/faulty_cache.h"

#include "backend/cache_mem.h"
#include "core/assert.h"

static int fault(fuzz_cache *cache) {
  if (cache->fails_in == 0 || --cache->fails_in > 0) return 0;
  if (cache->fails > 1) {
    cache->fails--;
    cache->fails_in = 1;
  }
  return cache->error;
}

#define FORWARD(call, ...)                                                                                                                 \
  fuzz_cache *cache = self;                                                                                                                \
  int error = fault(cache);                                                                                                                \
  return error ? error : cache->inner->vtable->call(cache->inner->self, ##__VA_ARGS__)

static int faulty_open(void *self) {
  FORWARD(open);
}
static void faulty_close(void *self) {
  fuzz_cache *cache = self;
  cache->inner->vtable->close(cache->inner->self);
}
static int faulty_set_aside(void *self, char *name, size_t len) {
  FORWARD(set_aside, name, len);
}
static int faulty_wipe(void *self) {
  FORWARD(wipe);
}
static int faulty_begin(void *self) {
  FORWARD(begin);
}
static int faulty_commit(void *self, int durable) {
  FORWARD(commit, durable);
}
static void faulty_rollback(void *self) {
  fuzz_cache *cache = self;
  cache->inner->vtable->rollback(cache->inner->self);
}
static void faulty_interrupt(void *self) {
  (void)self;
}
static int faulty_value_get(void *self, const char *name, chat_bytes *value) {
  FORWARD(value_get, name, value);
}
static int faulty_value_put(void *self, const char *name, chat_bytes value) {
  FORWARD(value_put, name, value);
}
static int faulty_outbox_put(void *self, const chat_outbox_row *row) {
  FORWARD(outbox_put, row);
}
static int faulty_outbox_remove(void *self, const uint8_t client_id[16]) {
  FORWARD(outbox_remove, client_id);
}
static int faulty_outbox_list(void *self, int (*visit)(void *arg, const chat_outbox_row *row), void *arg) {
  FORWARD(outbox_list, visit, arg);
}
static int faulty_conversation_put(void *self, const chat_cache_conversation *conversation) {
  FORWARD(conversation_put, conversation);
}
static int faulty_conversation_list(void *self, int (*visit)(void *arg, const chat_cache_conversation *conversation), void *arg) {
  FORWARD(conversation_list, visit, arg);
}
static int faulty_members_replace(void *self, const uint8_t conversation_id[16], const chat_cache_member *members, size_t count) {
  FORWARD(members_replace, conversation_id, members, count);
}
static int faulty_member_mark(void *self, const uint8_t conversation_id[16], chat_bytes user, uint64_t delivered, uint64_t read) {
  FORWARD(member_mark, conversation_id, user, delivered, read);
}
static int faulty_members_list(void *self, const uint8_t conversation_id[16], int (*visit)(void *arg, const chat_cache_member *member),
                               void *arg) {
  FORWARD(members_list, conversation_id, visit, arg);
}
static int faulty_row_put(void *self, const chat_row *row) {
  FORWARD(row_put, row);
}
static int faulty_row_remove(void *self, const uint8_t conversation_id[16], uint64_t seq) {
  FORWARD(row_remove, conversation_id, seq);
}
static int faulty_rows(void *self, const uint8_t conversation_id[16], uint64_t low, uint64_t high, uint32_t limit, int newest_first,
                       int (*visit)(void *arg, const chat_row *row), void *arg) {
  FORWARD(rows, conversation_id, low, high, limit, newest_first, visit, arg);
}
static int faulty_row_by_client_id(void *self, const uint8_t conversation_id[16], const uint8_t client_id[16],
                                   int (*visit)(void *arg, const chat_row *row), void *arg) {
  FORWARD(row_by_client_id, conversation_id, client_id, visit, arg);
}
static int faulty_cover(void *self, const uint8_t conversation_id[16], uint64_t low, uint64_t high) {
  FORWARD(cover, conversation_id, low, high);
}
static int faulty_covered(void *self, const uint8_t conversation_id[16], int (*visit)(void *arg, uint64_t low, uint64_t high), void *arg) {
  FORWARD(covered, conversation_id, visit, arg);
}
static int faulty_history_forget(void *self, const uint8_t conversation_id[16]) {
  FORWARD(history_forget, conversation_id);
}
static int faulty_search(void *self, chat_bytes query, const uint8_t *conversation_id, uint64_t before_message_id, uint32_t limit,
                         int (*visit)(void *arg, const chat_row *row), void *arg) {
  FORWARD(search, query, conversation_id, before_message_id, limit, visit, arg);
}
static int faulty_index(void *self, uint32_t count_max) {
  FORWARD(index, count_max);
}
static void faulty_free(void *self) {
  (void)self;
}

static const chat_cache_vtable vtable = {
    .size = sizeof vtable,
    .name = "faulty",
    .open = faulty_open,
    .close = faulty_close,
    .set_aside = faulty_set_aside,
    .wipe = faulty_wipe,
    .begin = faulty_begin,
    .commit = faulty_commit,
    .rollback = faulty_rollback,
    .interrupt = faulty_interrupt,
    .value_get = faulty_value_get,
    .value_put = faulty_value_put,
    .outbox_put = faulty_outbox_put,
    .outbox_remove = faulty_outbox_remove,
    .outbox_list = faulty_outbox_list,
    .conversation_put = faulty_conversation_put,
    .conversation_list = faulty_conversation_list,
    .members_replace = faulty_members_replace,
    .member_mark = faulty_member_mark,
    .members_list = faulty_members_list,
    .row_put = faulty_row_put,
    .row_remove = faulty_row_remove,
    .rows = faulty_rows,
    .row_by_client_id = faulty_row_by_client_id,
    .cover = faulty_cover,
    .covered = faulty_covered,
    .history_forget = faulty_history_forget,
    .search = faulty_search,
    .index = faulty_index,
    .free = faulty_free,
};

void fuzz_cache_init(fuzz_cache *cache, const chat_allocator *alloc) {
  *cache = (fuzz_cache){.base = {&vtable, cache}};
  int error = chat_cache_mem_new(alloc, &cache->inner);
  ch_assert(!error);
}

void fuzz_cache_fini(fuzz_cache *cache) {
  cache->inner->vtable->free(cache->inner->self);
}
