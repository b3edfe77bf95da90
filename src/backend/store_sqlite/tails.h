/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tails.h - the two tails of a store, and the way from them into the tables (docs/decisions/0008): one fills while what is in the other is written, sorted by conversation, in one transaction with
 * the consumed position. A tail is emptied behind its commit, so at any moment tables and tails together have everything that was acknowledged.
 *
 * Any thread puts and looks, under the lock; one thread flushes.
 */
#ifndef CH_STORE_SQLITE_TAILS_H
#define CH_STORE_SQLITE_TAILS_H

#include <pthread.h>

#include "backend/store_sqlite/apply.h"
#include "backend/store_sqlite/overlay.h"

typedef struct ch_sqlstore_tails {
  const chat_allocator *alloc;
  pthread_mutex_t lock;
  ch_sqlstore_tail tails[CH_OVERLAY_TAILS];
  int filling;      /* index of the one that fills */
  size_t rows_max;  /* of the one that fills, if the other one is still being written; 0: nothing is taken */
  size_t len_max;   /* bytes of each */
  bool no_index;    /* nobody is to be told of texts that are erased; false where it is not set */
  bool has_failed;  /* the last flush: until one succeeds nothing is taken, so that whoever writes hears why */
} ch_sqlstore_tails;

int ch_sqlstore_tails_init(ch_sqlstore_tails *tails, const chat_allocator *alloc, size_t rows_max, size_t len_max); /* CHAT_E_NOMEM */
void ch_sqlstore_tails_fini(ch_sqlstore_tails *tails);

typedef enum ch_sqlstore_tails_taken {
  CH_TAILS_NOT = 0,   /* it is for the tables */
  CH_TAILS_TAKEN = 1,
  CH_TAILS_BEGUN = 2, /* taken, as the first of its tail */
  CH_TAILS_FULL = 3   /* taken, and it is time to flush */
} ch_sqlstore_tails_taken;
ch_sqlstore_tails_taken ch_sqlstore_tails_put(ch_sqlstore_tails *tails, const chat_store_apply *apply, chat_op *scratch);
bool ch_sqlstore_tails_are_empty(ch_sqlstore_tails *tails);

/* Everything that was taken before the call. Where it fails the tails stay as they are. consumed: raised to what is in the tables now. */
int ch_sqlstore_tails_flush(ch_sqlstore_tails *tails, ch_sqlite_db *db, uint64_t *consumed);

#endif
