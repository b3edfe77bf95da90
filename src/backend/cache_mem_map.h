/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_mem_map.h - an ordered map from bytes to bytes that remembers how to go back: what the in-memory cache is made of.
 *
 * A skip list. Every change appends to one undo log; a transaction is a mark in it, the durable image is its beginning. So rollback, power cut and
 * durable commit are all of them "undo down to here" or "forget the log". Heights come from a hash of the key: the same calls give the same map.
 */
#ifndef CH_CACHE_MEM_MAP_H
#define CH_CACHE_MEM_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/bytes.h"
#include "core/env.h"

enum { CH_MEM_HEIGHT_MAX = 16, CH_MEM_KEY_MAX = 128 };

typedef struct ch_mem_node {
  struct ch_mem_node *before; /* at the lowest level; NULL: the first */
  uint8_t *value;
  size_t value_len;
  uint16_t key_len;
  uint8_t height;
  uint8_t key[CH_MEM_KEY_MAX];
  struct ch_mem_node *next[];
} ch_mem_node;

typedef struct ch_mem_undo ch_mem_undo;

typedef struct ch_mem_map {
  const ch_allocator *alloc;
  ch_mem_node *heads[CH_MEM_HEIGHT_MAX];
  ch_mem_node *last;
  ch_mem_undo *newest; /* undo log, newest first */
  size_t undo_count;
} ch_mem_map;

void ch_mem_map_init(ch_mem_map *map, const ch_allocator *alloc);
void ch_mem_map_fini(ch_mem_map *map);

/* 0 or CHAT_E_NOMEM, where nothing changed. put replaces. remove of what is not there is 0. */
int ch_mem_map_put(ch_mem_map *map, ch_bytes key, ch_bytes value);
int ch_mem_map_remove(ch_mem_map *map, ch_bytes key);

ch_mem_node *ch_mem_map_find(const ch_mem_map *map, ch_bytes key);
/* The first node whose key is at or behind `key`; NULL: none. */
ch_mem_node *ch_mem_map_seek(const ch_mem_map *map, ch_bytes key);
/* The last node whose key is before `key`. */
ch_mem_node *ch_mem_map_before(const ch_mem_map *map, ch_bytes key);
bool ch_mem_node_begins(const ch_mem_node *node, ch_bytes prefix);

/* Undoes until `count` changes are left in the log; forgets the log. */
void ch_mem_map_undo(ch_mem_map *map, size_t count);
void ch_mem_map_forget(ch_mem_map *map);

#endif
