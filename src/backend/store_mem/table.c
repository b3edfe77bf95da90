/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/store_mem/table.h"

#include <string.h>

#include "core/assert.h"

struct ch_store_node {
  void *value;       /* NULL: erased, or put and rolled back to nothing; skipped by everything that reads */
  bool is_journaled; /* a line of the journal names it, so it may not be freed */
  uint32_t levels;
  size_t key_len;
  uint8_t *key;
  ch_store_node *next[];
};

/* ------------------------------------------------------------------------------------------------ skip list */

/* One more level with probability 1/4, from a hash of the insert's number (the finaliser of splitmix64). */
static uint32_t draw_levels(ch_store_table *table) {
  uint64_t x = ++table->inserts * UINT64_C(0x9e3779b97f4a7c15);
  x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
  x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
  x ^= x >> 31;
  uint32_t levels = 1;
  for (; levels < CH_STORE_TABLE_LEVELS && (x & 3) == 0; x >>= 2)
    levels++;
  return levels;
}

static ch_store_node *make_node(const ch_allocator *alloc, chat_bytes key, uint32_t levels) {
  size_t len = sizeof(ch_store_node) + levels * sizeof(ch_store_node *);
  ch_store_node *node = ch_calloc(alloc, 1, len + key.len);
  if (!node) return NULL;
  node->levels = levels;
  node->key_len = key.len;
  node->key = (uint8_t *)node + len;
  if (key.len > 0) memcpy(node->key, key.data, key.len);
  return node;
}

/* For each level the last node below key: where a node of that key is linked in or out. Gives the lowest. */
static ch_store_node *find_before(const ch_store_table *table, chat_bytes key, ch_store_node *before[CH_STORE_TABLE_LEVELS]) {
  ch_store_node *node = table->head;
  for (uint32_t level = CH_STORE_TABLE_LEVELS; level-- > 0;) {
    while (node->next[level] && ch_bytes_compare(ch_store_node_key(node->next[level]), key) < 0)
      node = node->next[level];
    before[level] = node;
  }
  return node;
}

static ch_store_node *find(const ch_store_table *table, chat_bytes key) {
  ch_store_node *before[CH_STORE_TABLE_LEVELS];
  ch_store_node *node = find_before(table, key, before)->next[0];
  return node && ch_bytes_equal(ch_store_node_key(node), key) ? node : NULL;
}

static ch_store_node *find_or_insert(ch_store_table *table, chat_bytes key) {
  ch_store_node *before[CH_STORE_TABLE_LEVELS];
  ch_store_node *node = find_before(table, key, before)->next[0];
  if (node && ch_bytes_equal(ch_store_node_key(node), key)) return node;
  node = make_node(table->alloc, key, draw_levels(table));
  if (!node) return NULL;
  for (uint32_t level = 0; level < node->levels; level++) {
    node->next[level] = before[level]->next[level];
    before[level]->next[level] = node;
  }
  return node;
}

static void unlink_node(ch_store_table *table, ch_store_node *node) {
  ch_store_node *before[CH_STORE_TABLE_LEVELS];
  find_before(table, ch_store_node_key(node), before);
  for (uint32_t level = 0; level < node->levels; level++)
    before[level]->next[level] = node->next[level];
  ch_free(table->alloc, node);
}

/* ------------------------------------------------------------------------------------------------ journal */

static int journal_reserve(ch_store_table *table) {
  if (table->journal_count < table->journal_room) return 0;
  size_t room = table->journal_room ? table->journal_room * 2 : 64;
  ch_store_change *journal = ch_realloc(table->alloc, table->journal, room, sizeof *journal);
  if (!journal) return CHAT_E_NOMEM;
  table->journal = journal;
  table->journal_room = room;
  return 0;
}

static void set_value(ch_store_table *table, ch_store_node *node, void *value) {
  ch_assert(table->journal_count < table->journal_room);
  table->journal[table->journal_count++] = (ch_store_change){node, node->value, !node->is_journaled};
  node->is_journaled = true;
  node->value = value;
}

/* The journal names this node no more. */
static void release(ch_store_table *table, ch_store_node *node) {
  node->is_journaled = false;
  if (!node->value) unlink_node(table, node);
}

size_t ch_store_table_mark(const ch_store_table *table) {
  return table->journal_count;
}

void ch_store_table_rollback(ch_store_table *table, size_t mark) {
  ch_assert(mark <= table->journal_count);
  while (table->journal_count > mark) {
    ch_store_change *change = &table->journal[--table->journal_count];
    ch_free(table->alloc, change->node->value);
    change->node->value = change->before;
    if (change->is_first) release(table, change->node);
  }
}

void ch_store_table_sync(ch_store_table *table) {
  for (size_t i = 0; i < table->journal_count; i++)
    ch_free(table->alloc, table->journal[i].before);
  for (size_t i = 0; i < table->journal_count; i++) {
    if (table->journal[i].is_first) release(table, table->journal[i].node);
  }
  table->journal_count = 0;
}

/* ------------------------------------------------------------------------------------------------ reading and writing */

const void *ch_store_table_get(const ch_store_table *table, chat_bytes key) {
  const ch_store_node *node = find(table, key);
  return node ? node->value : NULL;
}

const void *ch_store_table_get_synced(const ch_store_table *table, chat_bytes key) {
  const ch_store_node *node = find(table, key);
  if (!node || !node->is_journaled) return node ? node->value : NULL;
  const ch_store_change *change = table->journal;
  while (change->node != node)
    change++;
  return change->before;
}

void *ch_store_table_put(ch_store_table *table, chat_bytes key, size_t len) {
  if (journal_reserve(table)) return NULL;
  void *value = ch_calloc(table->alloc, 1, len);
  ch_store_node *node = value ? find_or_insert(table, key) : NULL;
  if (node)
    set_value(table, node, value);
  else
    ch_free(table->alloc, value);
  return node ? value : NULL;
}

int ch_store_table_erase(ch_store_table *table, chat_bytes key) {
  ch_store_node *node = find(table, key);
  if (!node || !node->value) return 0;
  if (journal_reserve(table)) return CHAT_E_NOMEM;
  set_value(table, node, NULL);
  return 0;
}

static const ch_store_node *skip_erased(const ch_store_node *node) {
  while (node && !node->value)
    node = node->next[0];
  return node;
}

const ch_store_node *ch_store_table_seek(const ch_store_table *table, chat_bytes key) {
  ch_store_node *before[CH_STORE_TABLE_LEVELS];
  return skip_erased(find_before(table, key, before)->next[0]);
}

const ch_store_node *ch_store_node_next(const ch_store_node *node) {
  return skip_erased(node->next[0]);
}

chat_bytes ch_store_node_key(const ch_store_node *node) {
  return (chat_bytes){node->key, node->key_len};
}

const void *ch_store_node_value(const ch_store_node *node) {
  return node->value;
}

/* ------------------------------------------------------------------------------------------------ life */

int ch_store_table_init(ch_store_table *table, const ch_allocator *alloc) {
  *table = (ch_store_table){.alloc = alloc};
  table->head = make_node(alloc, (chat_bytes){0}, CH_STORE_TABLE_LEVELS);
  return table->head ? 0 : CHAT_E_NOMEM;
}

void ch_store_table_fini(ch_store_table *table) {
  for (size_t i = 0; i < table->journal_count; i++)
    ch_free(table->alloc, table->journal[i].before);
  ch_free(table->alloc, table->journal);
  for (ch_store_node *node = table->head; node;) {
    ch_store_node *next = node->next[0];
    ch_free(table->alloc, node->value);
    ch_free(table->alloc, node);
    node = next;
  }
}
