/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/cache_watch.h"

#include <string.h>

#include "backend/cache_mem.h"
#include "core/assert.h"
#include "sim/oracle.h"

/* The call does not happen: the process died before it. */
static bool dies(sim_cache *cache) {
  if (cache->dies_in && --cache->dies_in == 0) cache->is_dead = true;
  return cache->is_dead;
}

#define FORWARD(call) return dies(cache) ? CHAT_E_IO : cache->inner->vtable->call

/* ------------------------------------------------------------------------------------------------ cursors */

static sim_cursor *cursor_of(sim_cache *cache, const uint8_t conversation_id[16]) {
  for (uint32_t i = 0; i < cache->cursor_count; i++)
    if (memcmp(cache->cursors[i].conversation_id, conversation_id, 16) == 0) return &cache->cursors[i];
  ch_assert(cache->cursor_count < SIM_CURSORS_MAX);
  sim_cursor *made = &cache->cursors[cache->cursor_count++];
  *made = (sim_cursor){0};
  memcpy(made->conversation_id, conversation_id, 16);
  return made;
}

uint64_t sim_cache_durable_max(const sim_cache *cache, const uint8_t conversation_id[16]) {
  for (uint32_t i = 0; i < cache->cursor_count; i++)
    if (memcmp(cache->cursors[i].conversation_id, conversation_id, 16) == 0) return cache->cursors[i].durable_max;
  return 0;
}

static void rolled_back(sim_cache *cache) {
  for (uint32_t i = 0; i < cache->cursor_count; i++)
    cache->cursors[i].written = cache->cursors[i].committed;
}

static void became_durable(sim_cursor *cursor) {
  cursor->durable = cursor->committed;
  if (cursor->durable_max < cursor->durable) cursor->durable_max = cursor->durable;
}

static void committed(sim_cache *cache, bool durable) {
  for (uint32_t i = 0; i < cache->cursor_count; i++) {
    sim_cursor *cursor = &cache->cursors[i];
    uint64_t before = cursor->committed;
    cursor->committed = cursor->written;
    if (durable) became_durable(cursor);
    if (cursor->committed != before) sim_oracle_cursor(cache->device, cursor->conversation_id, before > cursor->start ? before : cursor->start, cursor->committed);
  }
}

static int learn(void *arg, const chat_cache_conversation *conversation) {
  sim_cursor *cursor = cursor_of(arg, conversation->conversation_id);
  cursor->written = cursor->committed = cursor->durable = conversation->cursor;
  cursor->start = conversation->start;
  return 0;
}

static void forget_cursors(sim_cache *cache) {
  for (uint32_t i = 0; i < cache->cursor_count; i++)
    cache->cursors[i].written = cache->cursors[i].committed = cache->cursors[i].durable = 0;
}

static void learn_all(sim_cache *cache) {
  forget_cursors(cache);
  if (cache->inner->vtable->open(cache->inner->self)) return;
  cache->inner->vtable->conversation_list(cache->inner->self, learn, cache);
  cache->inner->vtable->close(cache->inner->self);
}

/* ------------------------------------------------------------------------------------------------ calls */

static int watch_open(void *self) {
  sim_cache *cache = self;
  FORWARD(open)(cache->inner->self);
}

static void watch_close(void *self) {
  sim_cache *cache = self;
  if (!cache->is_dead) cache->inner->vtable->close(cache->inner->self);
}

static int watch_set_aside(void *self, char *name, size_t len) {
  sim_cache *cache = self;
  forget_cursors(cache);
  FORWARD(set_aside)(cache->inner->self, name, len);
}

static int watch_wipe(void *self) {
  sim_cache *cache = self;
  forget_cursors(cache);
  FORWARD(wipe)(cache->inner->self);
}

static int watch_begin(void *self) {
  sim_cache *cache = self;
  FORWARD(begin)(cache->inner->self);
}

static int watch_commit(void *self, int durable) {
  sim_cache *cache = self;
  int error = dies(cache) ? CHAT_E_IO : cache->inner->vtable->commit(cache->inner->self, durable);
  if (!error) committed(cache, durable);
  return error;
}

static void watch_rollback(void *self) {
  sim_cache *cache = self;
  rolled_back(cache);
  if (!cache->is_dead) cache->inner->vtable->rollback(cache->inner->self);
}

static void watch_interrupt(void *self) {
  (void)self;
}

static int watch_value_get(void *self, const char *name, chat_bytes *value) {
  sim_cache *cache = self;
  FORWARD(value_get)(cache->inner->self, name, value);
}

static int watch_value_put(void *self, const char *name, chat_bytes value) {
  sim_cache *cache = self;
  FORWARD(value_put)(cache->inner->self, name, value);
}

static int watch_outbox_put(void *self, const chat_outbox_row *row) {
  sim_cache *cache = self;
  FORWARD(outbox_put)(cache->inner->self, row);
}

static int watch_outbox_remove(void *self, const uint8_t client_id[16]) {
  sim_cache *cache = self;
  FORWARD(outbox_remove)(cache->inner->self, client_id);
}

static int watch_outbox_list(void *self, int (*visit)(void *arg, const chat_outbox_row *row), void *arg) {
  sim_cache *cache = self;
  FORWARD(outbox_list)(cache->inner->self, visit, arg);
}

static int watch_conversation_put(void *self, const chat_cache_conversation *conversation) {
  sim_cache *cache = self;
  int error = dies(cache) ? CHAT_E_IO : cache->inner->vtable->conversation_put(cache->inner->self, conversation);
  if (error) return error;
  sim_cursor *cursor = cursor_of(cache, conversation->conversation_id);
  cursor->written = conversation->cursor;
  cursor->start = conversation->start;
  return 0;
}

static int watch_conversation_list(void *self, int (*visit)(void *arg, const chat_cache_conversation *conversation), void *arg) {
  sim_cache *cache = self;
  FORWARD(conversation_list)(cache->inner->self, visit, arg);
}

static int watch_members_replace(void *self, const uint8_t id[16], const chat_cache_member *members, size_t count) {
  sim_cache *cache = self;
  FORWARD(members_replace)(cache->inner->self, id, members, count);
}

static int watch_member_mark(void *self, const uint8_t id[16], chat_bytes user, uint64_t delivered, uint64_t read) {
  sim_cache *cache = self;
  FORWARD(member_mark)(cache->inner->self, id, user, delivered, read);
}

static int watch_members_list(void *self, const uint8_t id[16], int (*visit)(void *arg, const chat_cache_member *member), void *arg) {
  sim_cache *cache = self;
  FORWARD(members_list)(cache->inner->self, id, visit, arg);
}

static int watch_row_put(void *self, const chat_row *row) {
  sim_cache *cache = self;
  FORWARD(row_put)(cache->inner->self, row);
}

static int watch_row_remove(void *self, const uint8_t id[16], uint64_t seq) {
  sim_cache *cache = self;
  FORWARD(row_remove)(cache->inner->self, id, seq);
}

static int watch_rows(void *self, const uint8_t id[16], uint64_t low, uint64_t high, uint32_t limit, int newest_first, int (*visit)(void *arg, const chat_row *row),
                      void *arg) {
  sim_cache *cache = self;
  FORWARD(rows)(cache->inner->self, id, low, high, limit, newest_first, visit, arg);
}

static int watch_row_by_client_id(void *self, const uint8_t id[16], const uint8_t client_id[16], int (*visit)(void *arg, const chat_row *row), void *arg) {
  sim_cache *cache = self;
  FORWARD(row_by_client_id)(cache->inner->self, id, client_id, visit, arg);
}

static int watch_cover(void *self, const uint8_t id[16], uint64_t low, uint64_t high) {
  sim_cache *cache = self;
  FORWARD(cover)(cache->inner->self, id, low, high);
}

static int watch_covered(void *self, const uint8_t id[16], int (*visit)(void *arg, uint64_t low, uint64_t high), void *arg) {
  sim_cache *cache = self;
  FORWARD(covered)(cache->inner->self, id, visit, arg);
}

static int watch_history_forget(void *self, const uint8_t id[16]) {
  sim_cache *cache = self;
  FORWARD(history_forget)(cache->inner->self, id);
}

static int watch_search(void *self, chat_bytes query, const uint8_t *id, uint64_t before_message_id, uint32_t limit, int (*visit)(void *arg, const chat_row *row), void *arg) {
  sim_cache *cache = self;
  FORWARD(search)(cache->inner->self, query, id, before_message_id, limit, visit, arg);
}

static int watch_index(void *self, uint32_t count_max) {
  sim_cache *cache = self;
  FORWARD(index)(cache->inner->self, count_max);
}

static void watch_free(void *self) {
  (void)self; /* the device ends it */
}

static const chat_cache_vtable vtable = {
    .size = sizeof(chat_cache_vtable),
    .name = "cache_watch",
    .open = watch_open,
    .close = watch_close,
    .set_aside = watch_set_aside,
    .wipe = watch_wipe,
    .begin = watch_begin,
    .commit = watch_commit,
    .rollback = watch_rollback,
    .interrupt = watch_interrupt,
    .value_get = watch_value_get,
    .value_put = watch_value_put,
    .outbox_put = watch_outbox_put,
    .outbox_remove = watch_outbox_remove,
    .outbox_list = watch_outbox_list,
    .conversation_put = watch_conversation_put,
    .conversation_list = watch_conversation_list,
    .members_replace = watch_members_replace,
    .member_mark = watch_member_mark,
    .members_list = watch_members_list,
    .row_put = watch_row_put,
    .row_remove = watch_row_remove,
    .rows = watch_rows,
    .row_by_client_id = watch_row_by_client_id,
    .cover = watch_cover,
    .covered = watch_covered,
    .history_forget = watch_history_forget,
    .search = watch_search,
    .index = watch_index,
    .free = watch_free,
};

/* ------------------------------------------------------------------------------------------------ life */

void sim_cache_init(sim_cache *cache, sim_device *device) {
  *cache = (sim_cache){.base = {&vtable, cache}, .device = device};
  ch_assert(chat_cache_mem_new(NULL, &cache->inner) == 0);
}

void sim_cache_fini(sim_cache *cache) {
  cache->inner->vtable->free(cache->inner->self);
}

void sim_cache_died(sim_cache *cache, bool power_cut) {
  cache->is_dead = false;
  cache->dies_in = 0;
  if (power_cut)
    ch_cache_mem_power_cut(cache->inner);
  else
    cache->inner->vtable->close(cache->inner->self);
  learn_all(cache);
}

void sim_cache_replace(sim_cache *cache, chat_cache *inner) {
  cache->inner->vtable->free(cache->inner->self);
  cache->inner = inner;
  learn_all(cache);
}
