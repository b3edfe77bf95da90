/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tail.h - what was applied and is not in the tables yet (docs/decisions/0008): in memory, by conversation, rows and head cells and senders. Who reads lays it over what the tables say.
 *
 * A tail takes what ordinary messages bring and nothing else (ch_sqlstore_tail_put); all else goes into the tables at once. The caller locks.
 */
#ifndef CH_STORE_SQLITE_TAIL_H
#define CH_STORE_SQLITE_TAIL_H

#include <chat/backend.h>
#include <stdbool.h>

#include "core/arena.h"
#include "core/hashmap.h"

/* A conversation. `staged` is of the APPLY that is being put, and 0 between two. */
typedef struct ch_sqlstore_tail_entry {
  chat_state state; /* head cells, and the senders that were touched; no members */
  size_t sender_room, staged_senders;
  chat_row *rows; /* dense */
  size_t row_count, row_room, staged_rows;
  uint64_t staged_next; /* seq that the next row must have; 0: any */
  bool is_staged;
} ch_sqlstore_tail_entry;

typedef struct ch_sqlstore_tail {
  ch_arena arena;
  ch_hashmap entries; /* conversation_id → ch_sqlstore_tail_entry */
  size_t row_count;
  uint64_t position; /* consumed; 0: none */
  uint8_t log_identity[16];
} ch_sqlstore_tail;

void ch_sqlstore_tail_init(ch_sqlstore_tail *tail, const chat_allocator *alloc, size_t len_max, const uint8_t seed[CH_HASHMAP_SEED_LEN]);
void ch_sqlstore_tail_fini(ch_sqlstore_tail *tail);
/* Empty again. */
void ch_sqlstore_tail_clear(ch_sqlstore_tail *tail);
bool ch_sqlstore_tail_is_empty(const ch_sqlstore_tail *tail);

/* All or nothing. 1: it is in the tail. 0: it is none for a tail: a member is touched, a row is not the next one behind those that are here or has no state that covers it, a cell is older than
 * the one that is here. CHAT_E_NOMEM: also where the tail is at len_max. */
int ch_sqlstore_tail_put(ch_sqlstore_tail *tail, const chat_store_apply *apply, chat_op *scratch);
ch_sqlstore_tail_entry *ch_sqlstore_tail_find(const ch_sqlstore_tail *tail, const uint8_t conversation_id[16]);

#endif
