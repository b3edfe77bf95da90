/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/cache_mem_map.h"

#include <chat/chat.h>
#include <string.h>

#include "core/assert.h"

/* One change: what was under the key before. */
struct ch_mem_undo {
  ch_mem_undo *older;
  bool existed;
  uint8_t *value;
  size_t value_len;
  uint16_t key_len;
  uint8_t key[CH_MEM_KEY_MAX];
};

void ch_mem_map_init(ch_mem_map *map, const ch_allocator *alloc) {
  *map = (ch_mem_map){.alloc = alloc};
}

static void free_node(ch_mem_map *map, ch_mem_node *node) {
  ch_free(map->alloc, node->value);
  ch_free(map->alloc, node);
}

void ch_mem_map_fini(ch_mem_map *map) {
  ch_mem_map_forget(map);
  for (ch_mem_node *node = map->heads[0], *next; node; node = next) {
    next = node->next[0];
    free_node(map, node);
  }
  ch_mem_map_init(map, map->alloc);
}

static ch_bytes key_of(const ch_mem_node *node) {
  return ch_bytes_of(node->key, node->key_len);
}

/* Where each level's last link before `key` is. */
static void find_links(const ch_mem_map *map, ch_bytes key, ch_mem_node **before) {
  ch_mem_node *at = NULL;
  for (int level = CH_MEM_HEIGHT_MAX - 1; level >= 0; level--) {
    ch_mem_node *next = at ? at->next[level] : map->heads[level];
    while (next && ch_bytes_compare(key_of(next), key) < 0) {
      at = next;
      next = at->next[level];
    }
    before[level] = at;
  }
}

ch_mem_node *ch_mem_map_before(const ch_mem_map *map, ch_bytes key) {
  ch_mem_node *before[CH_MEM_HEIGHT_MAX];
  find_links(map, key, before);
  return before[0];
}

ch_mem_node *ch_mem_map_seek(const ch_mem_map *map, ch_bytes key) {
  ch_mem_node *before = ch_mem_map_before(map, key);
  return before ? before->next[0] : map->heads[0];
}

ch_mem_node *ch_mem_map_find(const ch_mem_map *map, ch_bytes key) {
  ch_mem_node *node = ch_mem_map_seek(map, key);
  return node && ch_bytes_equal(key_of(node), key) ? node : NULL;
}

bool ch_mem_node_begins(const ch_mem_node *node, ch_bytes prefix) {
  return node->key_len >= prefix.len && memcmp(node->key, prefix.data, prefix.len) == 0;
}

/* One level more for each zero bit of a hash (FNV-1a, stirred) of the key. */
static uint8_t height_of(ch_bytes key) {
  uint64_t hash = 1469598103934665603u;
  for (size_t i = 0; i < key.len; i++)
    hash = (hash ^ key.data[i]) * 1099511628211u;
  hash ^= hash >> 29;
  uint8_t height = 1;
  while (height < CH_MEM_HEIGHT_MAX && !(hash >> height & 1))
    height++;
  return height;
}

static void link_node(ch_mem_map *map, ch_mem_node *node) {
  ch_mem_node *before[CH_MEM_HEIGHT_MAX];
  find_links(map, key_of(node), before);
  for (int level = 0; level < node->height; level++) {
    ch_mem_node **link = before[level] ? &before[level]->next[level] : &map->heads[level];
    node->next[level] = *link;
    *link = node;
  }
  node->before = before[0];
  *(node->next[0] ? &node->next[0]->before : &map->last) = node;
}

static void unlink_node(ch_mem_map *map, ch_mem_node *node) {
  ch_mem_node *before[CH_MEM_HEIGHT_MAX];
  find_links(map, key_of(node), before);
  for (int level = 0; level < node->height; level++)
    *(before[level] ? &before[level]->next[level] : &map->heads[level]) = node->next[level];
  *(node->next[0] ? &node->next[0]->before : &map->last) = node->before;
}

static ch_mem_node *new_node(ch_mem_map *map, ch_bytes key) {
  uint8_t height = height_of(key);
  ch_mem_node *node = ch_calloc(map->alloc, 1, sizeof *node + height * sizeof(ch_mem_node *));
  if (!node) return NULL;
  node->height = height;
  node->key_len = (uint16_t)key.len;
  memcpy(node->key, key.data, key.len);
  return node;
}

static ch_mem_undo *new_undo(ch_mem_map *map, ch_bytes key) {
  ch_assert(key.len > 0 && key.len <= CH_MEM_KEY_MAX);
  ch_mem_undo *undo = ch_calloc(map->alloc, 1, sizeof *undo);
  if (!undo) return NULL;
  undo->key_len = (uint16_t)key.len;
  memcpy(undo->key, key.data, key.len);
  return undo;
}

static void log_undo(ch_mem_map *map, ch_mem_undo *undo) {
  undo->older = map->newest;
  map->newest = undo;
  map->undo_count++;
}

int ch_mem_map_put(ch_mem_map *map, ch_bytes key, ch_bytes value) {
  ch_mem_undo *undo = new_undo(map, key);
  ch_mem_node *node = ch_mem_map_find(map, key), *added = node ? NULL : new_node(map, key);
  uint8_t *copy = ch_alloc(map->alloc, value.len);
  if (!undo || !(node || added) || !copy) {
    ch_free(map->alloc, undo);
    ch_free(map->alloc, added);
    ch_free(map->alloc, copy);
    return CHAT_E_NOMEM;
  }
  if (value.len > 0) memcpy(copy, value.data, value.len);
  if (added) link_node(map, node = added);
  undo->existed = !added;
  undo->value = node->value;
  undo->value_len = node->value_len;
  node->value = copy;
  node->value_len = value.len;
  log_undo(map, undo);
  return 0;
}

int ch_mem_map_remove(ch_mem_map *map, ch_bytes key) {
  ch_mem_node *node = ch_mem_map_find(map, key);
  if (!node) return 0;
  ch_mem_undo *undo = new_undo(map, key_of(node));
  if (!undo) return CHAT_E_NOMEM;
  undo->existed = true;
  undo->value = node->value;
  undo->value_len = node->value_len;
  unlink_node(map, node);
  ch_free(map->alloc, node);
  log_undo(map, undo);
  return 0;
}

/* Out of memory while going back cannot be told to anybody, so it may not happen: a node that was removed is made again. */
static void undo_one(ch_mem_map *map, ch_mem_undo *undo) {
  ch_bytes key = ch_bytes_of(undo->key, undo->key_len);
  ch_mem_node *node = ch_mem_map_find(map, key);
  if (!undo->existed) {
    ch_assert(node != NULL);
    unlink_node(map, node);
    free_node(map, node);
    return;
  }
  if (!node) {
    node = new_node(map, key);
    ch_assert(node != NULL);
    link_node(map, node);
  }
  ch_free(map->alloc, node->value);
  node->value = undo->value;
  node->value_len = undo->value_len;
}

void ch_mem_map_undo(ch_mem_map *map, size_t count) {
  while (map->undo_count > count) {
    ch_mem_undo *undo = map->newest;
    map->newest = undo->older;
    map->undo_count--;
    undo_one(map, undo);
    ch_free(map->alloc, undo);
  }
}

void ch_mem_map_forget(ch_mem_map *map) {
  for (ch_mem_undo *undo = map->newest, *older; undo; undo = older) {
    older = undo->older;
    ch_free(map->alloc, undo->value);
    ch_free(map->alloc, undo);
  }
  map->newest = NULL;
  map->undo_count = 0;
}
