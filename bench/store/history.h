/* SPDX-License-Identifier: Apache-2.0 */
/*
 * history.h - a store full of history: direct conversations between users of their own, messages of 128 bytes, eight in a row of a conversation each time that it is its turn.
 *
 * What is written has position 0: it is older than whatever a log says, so a chatd with a new log takes the store as it is. A sync from 0 does not tell of these conversations;
 * their pages can be read.
 */
#ifndef BENCH_STORE_HISTORY_H
#define BENCH_STORE_HISTORY_H

#include "store/port.h"

enum { HISTORY_STREAK = 8 };

typedef struct store_history {
  uint64_t messages; /* in all; a multiple of conversations * HISTORY_STREAK */
  uint64_t conversations;
} store_history;

/* Writes it, waits until all can be found by the full-text index (which else would go on beside whatever is measured), and syncs. */
void store_history_fill(store_port *port, const store_history *history);
/* The id of conversation `number`, and one of its two users (10 bytes with the NUL). */
void store_history_conversation(uint64_t number, uint8_t id[16], char *user);

#endif
