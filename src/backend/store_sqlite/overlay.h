/* SPDX-License-Identifier: Apache-2.0 */
/*
 * overlay.h - what tails have of one conversation, copied into an op: laid over what the tables say of it. The one with the higher cause wins, as in an APPLY: cells by position,
 * rows by message_id. Where the two are equal, they say the same.
 */
#ifndef CH_STORE_SQLITE_OVERLAY_H
#define CH_STORE_SQLITE_OVERLAY_H

#include "backend/store_sqlite/tail.h"

enum { CH_OVERLAY_TAILS = 2 }; /* the one that is being written to the tables, and the one that fills */

typedef struct ch_overlay_rows {
  chat_row *rows; /* dense */
  size_t count;
} ch_overlay_rows;

typedef struct ch_overlay {
  chat_state state; /* head cells and senders; position 0: no tail has any */
  ch_overlay_rows rows[CH_OVERLAY_TAILS];
  uint64_t position; /* consumed; 0: none */
  uint8_t log_identity[16];
} ch_overlay;

/* Under the lock of the tails. The consumed position alone. */
void ch_overlay_begin(ch_overlay *overlay, const ch_sqlstore_tail *older, const ch_sqlstore_tail *newer);
/* Head cells and senders; the rows, where range is given, that may be in its answer. CHAT_E_NOMEM. */
int ch_overlay_take(ch_overlay *overlay, const ch_sqlstore_tail *older, const ch_sqlstore_tail *newer, const uint8_t conversation_id[16], const chat_store_range *range, chat_op *op);

void ch_overlay_head(const ch_overlay *overlay, chat_state *state);
/* user NULL: all senders, else those of this one. CHAT_E_NOMEM. */
int ch_overlay_senders(const ch_overlay *overlay, chat_op *op, const chat_bytes *user, chat_state *state);
/* The row with this seq: the one given (NULL: none), or one that wins over it. */
const chat_row *ch_overlay_row(const ch_overlay *overlay, uint64_t seq, const chat_row *row);

#endif
