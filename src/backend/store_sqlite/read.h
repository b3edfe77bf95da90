/* SPDX-License-Identifier: Apache-2.0 */
/*
 * read.h - what reads: each function answers one op from one snapshot: a transaction that the caller holds on `main`, and what tails had when it began.
 */
#ifndef CH_STORE_SQLITE_READ_H
#define CH_STORE_SQLITE_READ_H

#include "backend/sqlite_db.h"
#include "backend/store_sqlite/overlay.h"
#include "backend/store_sqlite/query.h"

/* One of the reading threads. */
typedef struct ch_sqlstore_reader {
  const chat_allocator *alloc;
  ch_sqlite_db main;
  ch_sqlite_db index; /* full text; opened when first needed (handle NULL: not yet) */
  ch_sqlstore_tokenizer tokenizer; /* with it */
  ch_overlay overlay; /* for this op; empty: everything is in the tables */
} ch_sqlstore_reader;

int ch_sqlstore_state(ch_sqlstore_reader *reader, chat_op *op);
int ch_sqlstore_range(ch_sqlstore_reader *reader, chat_op *op);
int ch_sqlstore_members(ch_sqlstore_reader *reader, chat_op *op);
int ch_sqlstore_heads(ch_sqlstore_reader *reader, chat_op *op);
int ch_sqlstore_position(ch_sqlstore_reader *reader, chat_op *op); /* `synced` is the caller's to fill in */
int ch_sqlstore_devices(ch_sqlstore_reader *reader, chat_op *op);  /* device.c */
int ch_sqlstore_search(ch_sqlstore_reader *reader, chat_op *op);   /* search.c */

#endif
