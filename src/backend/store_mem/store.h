/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store.h - the inside of the store in memory: what its files share. Each op function runs under the store's lock, in a transaction that ../store_mem.c rolls back
 * when it returns an error; what it returns is the op's status.
 */
#ifndef CH_STORE_MEM_STORE_H
#define CH_STORE_MEM_STORE_H

#include <pthread.h>

#include "backend/store_mem.h"
#include "backend/store_mem/cell.h"

typedef struct ch_store_mem {
  ch_store_mem_config config;
  chat_backend_vtable vtable; /* the store's own: its flags follow the config */
  pthread_mutex_t lock;       /* everything below */
  ch_store_table table;
  uint32_t unsynced; /* writing ops since the last sync */
} ch_store_mem;

/* write.c */
int ch_store_do_apply(ch_store_mem *store, chat_op *op);
int ch_store_do_watermarks(ch_store_mem *store, chat_op *op);
int ch_store_do_write_heads(ch_store_mem *store, chat_op *op);
int ch_store_do_prune(ch_store_mem *store, chat_op *op);
/* read.c */
int ch_store_do_state(ch_store_mem *store, chat_op *op);
int ch_store_do_range(ch_store_mem *store, chat_op *op);
int ch_store_do_position(ch_store_mem *store, chat_op *op);
int ch_store_do_members(ch_store_mem *store, chat_op *op);
/* heads.c, search.c */
int ch_store_do_heads(ch_store_mem *store, chat_op *op);
int ch_store_do_search(ch_store_mem *store, chat_op *op);
/* device.c */
int ch_store_do_device(ch_store_mem *store, chat_op *op);
int ch_store_do_devices(ch_store_mem *store, chat_op *op);

/* read.c: into the op's memory; 0 or CHAT_E_NOMEM. */
int ch_store_out_bytes(chat_op *op, chat_bytes bytes, chat_bytes *out);
int ch_store_out_row(chat_op *op, const chat_row *row, chat_row *out);
int ch_store_out_head(chat_op *op, const ch_stored_head *cell, const uint8_t conversation_id[16],
                      chat_state *out);                                            /* cell NULL: does not exist */
int ch_store_out_whole(const ch_store_mem *store, chat_op *op, chat_state *state); /* all members and senders of state->conversation_id */
/* `count` items (at least one is allocated), zeroed; NULL: no memory. */
void *ch_store_out_array(chat_op *op, size_t count, size_t item_len);

uint64_t ch_store_horizon(const ch_store_mem *store, const uint8_t conversation_id[16]);

#endif
