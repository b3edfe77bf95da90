/* SPDX-License-Identifier: Apache-2.0 */
/* history.h - what a client reads from its own cache, held against the log, written down, shown. */
#ifndef REPLAY_HISTORY_H
#define REPLAY_HISTORY_H

#include <chat/client.h>

#include "worker.h"

/* Reads the whole history through the public API and compares it message by message: order, sender, text, nothing lost, nothing twice. Where w->histories is set, writes
 * it to histories/NUMBER.jsonl. 0, or CHAT_E_* with what is wrong in `why`. */
int history_prove(const world *w, int log, int user, chat_client *client, const uint8_t conversation[16], int number, char *why, size_t why_len);
/* Prints the last messages with ticks, one hit of a search, who is present. */
void history_show(const world *w, int log, chat_client *client, const uint8_t conversation[16]);

#endif
