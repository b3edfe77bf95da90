/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hashmap.h - a map from byte strings to pointers. SipHash-2-4 under a seed that peers do not know keeps hostile keys
 * from colliding. Iteration is in the order of insertion, whatever the seed, so machines stay deterministic.
 *
 * Keys are copied, values are the caller's. The map has no bound of its own: its user states one. One thread at a
 * time.
 */
#ifndef CH_CORE_HASHMAP_H
#define CH_CORE_HASHMAP_H

#include <stddef.h>
#include <stdint.h>

#include "core/bytes.h"
#include "core/env.h"
#include "core/list.h"

enum { CH_HASHMAP_SEED_LEN = 16 };

typedef struct ch_hashmap_entry {
  struct ch_hashmap_entry *chain; /* the next one in the same bucket */
  ch_list order;
  uint64_t hash; /* kept for when the buckets grow */
  void *value;   /* never NULL; may be written */
  size_t key_len;
  uint8_t key[];
} ch_hashmap_entry;

typedef struct ch_hashmap {
  const ch_allocator *alloc;
  uint8_t seed[CH_HASHMAP_SEED_LEN];
  ch_hashmap_entry **buckets;
  size_t buckets_count; /* 0 or a power of two, at least count */
  size_t count;         /* entries */
  ch_list order;        /* entries in the order of insertion */
} ch_hashmap;

/* An empty map; allocates nothing yet. The map may not be moved afterwards. */
void ch_hashmap_init(ch_hashmap *map, const ch_allocator *alloc, const uint8_t seed[CH_HASHMAP_SEED_LEN]);
/* Gives back the map's memory, not the values. */
void ch_hashmap_fini(ch_hashmap *map);

/* The value under key; NULL when there is none. */
void *ch_hashmap_find(const ch_hashmap *map, ch_bytes key);
/* Adds value (not NULL) under key. CHAT_E_EXISTS (there is one; it stays), CHAT_E_NOMEM. */
int ch_hashmap_insert(ch_hashmap *map, ch_bytes key, void *value);
/* Takes the entry out and gives its value; NULL when there is none. Other entries stay where they are. */
void *ch_hashmap_remove(ch_hashmap *map, ch_bytes key);

/* The oldest entry, and the one inserted after entry; NULL at the end. An entry lives until it is removed: whoever
 * removes while iterating asks for the next one before. */
ch_hashmap_entry *ch_hashmap_first(const ch_hashmap *map);
ch_hashmap_entry *ch_hashmap_next(const ch_hashmap *map, const ch_hashmap_entry *entry);
/* The key of an entry; lives as long as the entry. */
ch_bytes ch_hashmap_key(const ch_hashmap_entry *entry);

#endif
