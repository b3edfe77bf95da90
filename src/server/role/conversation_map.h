/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conversation_map.h - the conversations of a partition whose state is in memory: those that had records lately. Bounded; the least recently used
 * are forgotten, but never within a batch, whose effects borrow from them: the sequencer trims when a batch is done.
 */
#ifndef CH_SERVER_ROLE_CONVERSATION_MAP_H
#define CH_SERVER_ROLE_CONVERSATION_MAP_H

#include "core/hashmap.h"
#include "server/role/conversation.h"

/* Cells of a channel that may stay in memory from batch to batch; with more it is forgotten and read again when needed. */
enum { CH_CHANNEL_CELLS_MAX = 4096 };

typedef struct ch_conversation_map {
  const ch_allocator *alloc;
  size_t max_count;
  ch_hashmap by_id;
  ch_list recent; /* least recently used first */
} ch_conversation_map;

void ch_conversation_map_init(ch_conversation_map *map, const ch_allocator *alloc, size_t max_count, const uint8_t seed[CH_HASHMAP_SEED_LEN]);
void ch_conversation_map_fini(ch_conversation_map *map);
/* The conversation, now the most recently used one; made (knowing nothing) where it is not here. NULL when there is no memory. */
ch_conversation *ch_conversation_map_use(ch_conversation_map *map, const uint8_t id[CHAT_CONVERSATION_ID_LEN]);
/* A batch is done with it: a channel above CH_CHANNEL_CELLS_MAX is forgotten. */
void ch_conversation_map_release(ch_conversation_map *map, ch_conversation *conversation);
/* Down to max_count. */
void ch_conversation_map_trim(ch_conversation_map *map);
/* All of them: an owner that cannot go on from what it has in memory. */
void ch_conversation_map_clear(ch_conversation_map *map);

#endif
