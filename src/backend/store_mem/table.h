/* SPDX-License-Identifier: Apache-2.0 */
/*
 * table.h - one ordered table of byte keys and values in memory, with transactions and a past to fall back to.
 *
 * Everything that the store in memory knows is in one of these, so that an op is all or nothing (rollback) and a power cut is real (back to the last sync) without
 * either being thought of anywhere else. A skip list; heights come from a counter, so the same calls give the same table.
 *
 * Values are never changed in place: put gives a new, zeroed one, the one before stays readable until the next sync. One thread at a time.
 */
#ifndef CH_STORE_MEM_TABLE_H
#define CH_STORE_MEM_TABLE_H

#include <stdbool.h>

#include "core/bytes.h"
#include "core/env.h"

enum { CH_STORE_TABLE_LEVELS = 16 };

typedef struct ch_store_node ch_store_node;

typedef struct ch_store_change { /* one journal line: what `node` held before */
  ch_store_node *node;
  void *before;
  bool is_first; /* of this node since the last sync: `before` is what a power cut brings back */
} ch_store_change;

typedef struct ch_store_table {
  const ch_allocator *alloc;
  ch_store_node *head; /* before the first; holds no value */
  uint64_t inserts;    /* drawn from for heights */
  ch_store_change *journal;
  size_t journal_count, journal_room;
} ch_store_table;

int ch_store_table_init(ch_store_table *table, const ch_allocator *alloc); /* CHAT_E_NOMEM */
void ch_store_table_fini(ch_store_table *table);

/* NULL: none. */
const void *ch_store_table_get(const ch_store_table *table, chat_bytes key);
/* As it would be after a power cut now. */
const void *ch_store_table_get_synced(const ch_store_table *table, chat_bytes key);
/* A zeroed value of len bytes under key, for the caller to fill before its next call; NULL: no memory, nothing changed. */
void *ch_store_table_put(ch_store_table *table, chat_bytes key, size_t len);
/* Takes the value away where there is one. CHAT_E_NOMEM: nothing changed. */
int ch_store_table_erase(ch_store_table *table, chat_bytes key);

/* Entries in rising order of key. The first at or above `key` (NULL where there is none), and the next. A node is valid until the next rollback or sync. */
const ch_store_node *ch_store_table_seek(const ch_store_table *table, chat_bytes key);
const ch_store_node *ch_store_node_next(const ch_store_node *node);
chat_bytes ch_store_node_key(const ch_store_node *node);
const void *ch_store_node_value(const ch_store_node *node);

/* Where the journal stands now; rollback undoes everything since. Nothing may have been synced in between. */
size_t ch_store_table_mark(const ch_store_table *table);
void ch_store_table_rollback(ch_store_table *table, size_t mark);
/* What is here is what a power cut leaves. */
void ch_store_table_sync(ch_store_table *table);

#endif
