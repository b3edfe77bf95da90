/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_mem.h - the store in memory: the reference of its kind and the simulator's store. Every op is done when submit returns, in one transaction under one lock.
 *
 * One table of ordered keys holds everything (store_mem/table.h), which makes an op all or nothing and a power cut real. Search scans what the user may read, newest
 * first: there is no index, nothing lags, and a search costs what there is to read.
 *
 * derives_heads: a user's sync position is the folded position of "messages", so there is one partition of it, 0 (an APPLY of another gets CHAT_E_INVALID). Without it any
 * number of partitions may be folded, and the position of a user is that of its partition of "deliveries", of which there are delivery_partitions.
 */
#ifndef CH_BACKEND_STORE_MEM_H
#define CH_BACKEND_STORE_MEM_H

#include <chat/backend.h>

typedef struct ch_store_mem_config {
  const chat_allocator *alloc;
  uint32_t derives_heads;       /* CHAT_BACKEND_DERIVES_HEADS (rule V7) */
  uint32_t delivery_partitions; /* where heads are not derived: 1 to 1,024 */
  uint32_t
      sync_every; /* a power cut loses less than this many of the last writing ops (never a PUT of a device, nor what was written before one); 0 is 1: none */
} ch_store_mem_config;

/* 0, CHAT_E_INVALID, CHAT_E_NOMEM. */
int ch_store_mem_new(const ch_store_mem_config *config, chat_backend *store);

/* ---- what only tests do */

/* The power fails: all is as at the last sync. Ops that are finished and not yet polled keep their results. */
void ch_store_mem_power_cut(chat_backend store);
/* Every row that is stored, by conversation and seq, above heads too; valid during the call, which may not call the store. visit returns non-zero to end. */
void ch_store_mem_each_row(chat_backend store, int (*visit)(void *arg, const chat_row *row), void *arg);
/* Every conversation that has a state, in order of id; as above. */
void ch_store_mem_each_conversation(chat_backend store, int (*visit)(void *arg, const uint8_t conversation_id[16]), void *arg);
/* All members and senders of a conversation, of a channel too, in memory of `op` (any op, which is not submitted). 0, CHAT_E_NOMEM. */
int ch_store_mem_state(chat_backend store, const uint8_t conversation_id[16], chat_op *op, chat_state *state);

#endif
