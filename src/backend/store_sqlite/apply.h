/* SPDX-License-Identifier: Apache-2.0 */
/*
 * apply.h - what writes: each function does one op inside the writer's transaction. Where it gives an error, the caller undoes what it wrote.
 */
#ifndef CH_STORE_SQLITE_APPLY_H
#define CH_STORE_SQLITE_APPLY_H

#include "backend/sqlite_db.h"
#include "backend/store_sqlite/tail.h"

typedef struct ch_sqlstore_writer {
  const chat_allocator *alloc;
  ch_sqlite_db *db;
  bool no_index; /* nobody is to be told of texts that are erased */
  void *result; /* in the op's memory: what the op is given when the transaction has committed; until then it says what was asked for */
} ch_sqlstore_writer;

int ch_sqlstore_apply(ch_sqlstore_writer *writer, chat_op *op);
int ch_sqlstore_watermarks(ch_sqlstore_writer *writer, chat_op *op);
void ch_sqlstore_watermarks_give(chat_op *op, const void *result);
int ch_sqlstore_device(ch_sqlstore_writer *writer, chat_op *op); /* GET too: it then sees what was put before it */
int ch_sqlstore_prune(ch_sqlstore_writer *writer, chat_op *op);

/* What a tail has of one conversation; and its consumed position, when all of them are written. */
int ch_sqlstore_apply_entry(ch_sqlstore_writer *writer, const ch_sqlstore_tail_entry *entry);
int ch_sqlstore_apply_position(ch_sqlstore_writer *writer, uint64_t position, const uint8_t log_identity[16]);

#endif
