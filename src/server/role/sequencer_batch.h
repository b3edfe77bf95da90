/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sequencer_batch.h - private to sequencer*.c: one batch of records and all that follows from it, until its effects are acknowledged.
 * Everything that its ops carry lives in here (the arena, the READ op, the conversations' cells), so none of it goes before they are back.
 */
#ifndef CH_SERVER_ROLE_SEQUENCER_BATCH_H
#define CH_SERVER_ROLE_SEQUENCER_BATCH_H

#include "core/hashmap.h"
#include "server/role/conversation_map.h"
#include "server/role/fanout.h"
#include "server/role/judge.h"

typedef struct ch_batch_config {
  const ch_allocator *alloc;
  uint32_t partition; /* of the log; part of message ids */
  uint32_t delivery_partitions;
  bool derives_heads;
  uint8_t seed[CH_HASHMAP_SEED_LEN];
} ch_batch_config;

typedef struct ch_batch_conversation { /* touched by the batch */
  ch_conversation *conversation;
  uint64_t since; /* its position before the batch: cells above it are touched (S2) */
  chat_bytes *wanted; /* users to ask the store for; none where all is known */
  size_t wanted_count, room_count;
  bool is_wanted; /* to be read from the store, with those users */
  const ch_audience *audience;
} ch_batch_conversation;

typedef struct ch_batch_record {
  ch_record record;
  uint64_t position, append_ms;
  size_t conversation; /* index */
} ch_batch_record;

typedef struct ch_batch_counts {
  uint64_t committed, refused, dup, gap;
} ch_batch_counts;

typedef struct ch_batch {
  const ch_batch_config *config;
  ch_arena arena;
  chat_log_read *read; /* NULL: no batch */
  uint64_t position;   /* of its last record */
  bool is_cut;         /* the record behind its last one is none */
  ch_batch_record *records;
  size_t count;
  ch_batch_conversation *conversations;
  size_t conversation_count;
  ch_hashmap asked; /* (index of conversation, user) that are in a `wanted` */
  chat_row *rows;
  size_t row_count;
  ch_fanout tasks, verdicts;
  ch_batch_counts counts;
} ch_batch;

void ch_batch_init(ch_batch *batch, const ch_batch_config *config);
void ch_batch_fini(ch_batch *batch);

/* Takes a READ with records over, decodes them and finds their conversations and what is to be loaded. The batch ends before a record that is none.
 * CHAT_E_CORRUPT: that is the first one; CHAT_E_NOMEM. */
int ch_batch_open(ch_batch *batch, chat_log_read *read, ch_conversation_map *map);
/* Judges every record that its conversation does not have yet. Everything wanted is loaded. CHAT_E_NOMEM: the conversations are in pieces. */
int ch_batch_fold(ch_batch *batch);
/* Touched cells of all its conversations, in the order in which they came up. CHAT_E_NOMEM. */
int ch_batch_states(ch_batch *batch, chat_state **states, size_t *count);
/* Forgets what was made of the records and gives the READ back, for another try. */
chat_log_read *ch_batch_reset(ch_batch *batch);
/* Done: the READ too is freed. */
void ch_batch_close(ch_batch *batch);

#endif
