/* SPDX-License-Identifier: Apache-2.0 */
/*
 * retell.h - the role that tells the embedder's hook "after it is stored" what a server before this one has stored and may not have told. A pure machine.
 *
 * Where the store derives heads, the topic "deliveries" is lost with the process, and with it what the deliverer had not come to. So a position of the topic "messages" is kept
 * up to which the hook has answered; from there to what the store had at the start the log is read once more, each record's row is looked for in its conversation, and told.
 *
 *   POSITION asks the store how far it is             → READ, DONE (nothing was left)
 *   READ     asks the log for the records behind      → FIND, DONE (at the end, or they were cut)
 *   FIND     looks for a record's row, newest first   → TELL, FIND (the next page, or record), READ
 *   TELL     asks the hook, until it answers with 0   → FIND, READ, DONE
 *   DONE     final
 *
 * One op at a time; what failed is asked again after a while.
 */
#ifndef CH_SERVER_RETELL_H
#define CH_SERVER_RETELL_H

#include "core/env.h"
#include "core/op.h"

typedef struct ch_retell ch_retell;

typedef struct ch_retell_config {
  uint64_t told; /* as kept */
  uint32_t retry_ms;
} ch_retell_config;

int ch_retell_new(const ch_env *env, const ch_retell_config *config, ch_retell **retell); /* CHAT_E_NOMEM */
void ch_retell_free(ch_retell *retell);
ch_role ch_retell_role(ch_retell *retell);
/* Everything up to here is told. */
uint64_t ch_retell_told(const ch_retell *retell);
bool ch_retell_is_done(const ch_retell *retell);

#endif
