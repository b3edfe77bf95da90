/* SPDX-License-Identifier: Apache-2.0 */
#include "core/hashmap.h"

#include <chat/chat.h>
#include <sodium/crypto_shorthash.h>
#include <string.h>

#include "core/assert.h"

enum { FIRST_BUCKETS = 8 };

_Static_assert(CH_HASHMAP_SEED_LEN == crypto_shorthash_KEYBYTES, "the seed is SipHash's key");
_Static_assert(crypto_shorthash_BYTES == sizeof(uint64_t), "a hash is 64 bits");

static ch_hashmap_entry *entry_of(const ch_list *node) {
  return CH_LIST_ITEM(node, ch_hashmap_entry, order);
}

static uint64_t hash_of(const ch_hashmap *map, ch_bytes key) {
  uint64_t hash;
  crypto_shorthash((unsigned char *)&hash, key.data, key.len, map->seed);
  return hash;
}

void ch_hashmap_init(ch_hashmap *map, const ch_allocator *alloc, const uint8_t seed[CH_HASHMAP_SEED_LEN]) {
  *map = (ch_hashmap){.alloc = alloc};
  memcpy(map->seed, seed, CH_HASHMAP_SEED_LEN);
  ch_list_init(&map->order);
}

void ch_hashmap_fini(ch_hashmap *map) {
  ch_list *node;
  while ((node = ch_list_pop_front(&map->order)))
    ch_free(map->alloc, entry_of(node));
  ch_free(map->alloc, map->buckets);
  map->buckets = NULL;
  map->buckets_count = map->count = 0;
}

static ch_hashmap_entry **bucket_of(const ch_hashmap *map, uint64_t hash) {
  return &map->buckets[hash & (map->buckets_count - 1)];
}

/* The place that points at the entry of key, or at the NULL behind the last of its bucket. The map has buckets. */
static ch_hashmap_entry **link_of(const ch_hashmap *map, ch_bytes key, uint64_t hash) {
  ch_hashmap_entry **link = bucket_of(map, hash);
  while (*link && !ch_bytes_equal(ch_hashmap_key(*link), key))
    link = &(*link)->chain;
  return link;
}

static ch_hashmap_entry *find_entry(const ch_hashmap *map, ch_bytes key, uint64_t hash) {
  return map->buckets ? *link_of(map, key, hash) : NULL;
}

void *ch_hashmap_find(const ch_hashmap *map, ch_bytes key) {
  ch_hashmap_entry *entry = find_entry(map, key, hash_of(map, key));
  return entry ? entry->value : NULL;
}

static void add_to_bucket(ch_hashmap *map, ch_hashmap_entry *entry) {
  ch_hashmap_entry **bucket = bucket_of(map, entry->hash);
  entry->chain = *bucket;
  *bucket = entry;
}

static int grow(ch_hashmap *map) {
  size_t buckets_count = map->buckets_count > 0 ? map->buckets_count * 2 : FIRST_BUCKETS;
  ch_hashmap_entry **buckets = ch_calloc(map->alloc, buckets_count, sizeof *buckets);
  if (!buckets) return CHAT_E_NOMEM;
  ch_free(map->alloc, map->buckets);
  map->buckets = buckets;
  map->buckets_count = buckets_count;
  CH_LIST_FOR_EACH(node, &map->order)
  add_to_bucket(map, entry_of(node));
  return CHAT_OK;
}

static ch_hashmap_entry *make_entry(ch_hashmap *map, ch_bytes key, uint64_t hash, void *value) {
  ch_hashmap_entry *entry = ch_alloc(map->alloc, sizeof *entry + key.len);
  if (!entry) return NULL;
  *entry = (ch_hashmap_entry){.hash = hash, .value = value, .key_len = key.len};
  if (key.len > 0) memcpy(entry->key, key.data, key.len);
  return entry;
}

int ch_hashmap_insert(ch_hashmap *map, ch_bytes key, void *value) {
  ch_assert(value);
  uint64_t hash = hash_of(map, key);
  if (find_entry(map, key, hash)) return CHAT_E_EXISTS;
  if (map->count == map->buckets_count && grow(map)) return CHAT_E_NOMEM;
  ch_hashmap_entry *entry = make_entry(map, key, hash, value);
  if (!entry) return CHAT_E_NOMEM;
  add_to_bucket(map, entry);
  ch_list_push_back(&map->order, &entry->order);
  map->count++;
  return CHAT_OK;
}

void *ch_hashmap_remove(ch_hashmap *map, ch_bytes key) {
  ch_hashmap_entry **link = map->buckets ? link_of(map, key, hash_of(map, key)) : NULL;
  if (!link || !*link) return NULL;
  ch_hashmap_entry *entry = *link;
  void *value = entry->value;
  *link = entry->chain;
  ch_list_remove(&entry->order);
  ch_free(map->alloc, entry);
  map->count--;
  return value;
}

static ch_hashmap_entry *entry_or_end(const ch_hashmap *map, const ch_list *node) {
  return node == &map->order ? NULL : entry_of(node);
}

ch_hashmap_entry *ch_hashmap_first(const ch_hashmap *map) {
  return entry_or_end(map, map->order.next);
}

ch_hashmap_entry *ch_hashmap_next(const ch_hashmap *map, const ch_hashmap_entry *entry) {
  return entry_or_end(map, entry->order.next);
}

ch_bytes ch_hashmap_key(const ch_hashmap_entry *entry) {
  return ch_bytes_of(entry->key, entry->key_len);
}
