/* SPDX-License-Identifier: Apache-2.0 */
/*
 * told.h - up to which position of "messages" the hook "after it is stored" has answered, kept in a file, so that the next server knows where to go on (role/retell.h).
 *
 * A batch's tasks are in the log before the sequencer says that the batch is done; so once the deliverer has done what was last put there then, all up to that batch is told.
 */
#ifndef CH_SERVER_TOLD_H
#define CH_SERVER_TOLD_H

#include <chat/backend.h>
#include <stdatomic.h>

#include "core/buf.h"
#include "core/op.h"
#include "server/role/deliverer.h"
#include "server/role/retell.h"
#include "server/role/sequencer.h"

typedef struct ch_told {
  const char *path;          /* borrowed; NULL: nothing is kept */
  _Atomic uint64_t position; /* any thread may read */
  uint64_t saved, save_at_ms;
  uint64_t mark, mark_tasks; /* all up to `mark` is told when the deliverer has come to `mark_tasks` */
} ch_told;

/* Reads the file; where there is none, what the store has by now counts as told. Errors of the store, CHAT_E_IO, with a sentence. */
int ch_told_open(ch_told *told, const char *path, const chat_backend *store, const chat_allocator *alloc, ch_buf *why);
/* Follows the roles; saves now and then. Gives when it is due again. */
uint64_t ch_told_turn(ch_told *told, const ch_retell *retell, const ch_sequencer_stats *sequencer, const ch_deliverer_stats *deliverer, ch_now now);
/* Saves what is not yet. A failure is made up for later, or by telling again. */
void ch_told_save(ch_told *told);

#endif
