/* SPDX-License-Identifier: Apache-2.0 */
/* auth.h - who is this, where the embedder has no hook for it: development mode, or JWT by the options. Any thread. */
#ifndef CH_SERVER_AUTH_H
#define CH_SERVER_AUTH_H

#include "core/buf.h"
#include "server/loop/options.h"
#include "server/role/gateway.h"

typedef struct ch_auth ch_auth;

/* `why` gets a sentence. CHAT_E_INVALID: neither keys nor development mode, or keys that are none; CHAT_E_IO, CHAT_E_NOMEM. */
int ch_auth_new(const chat_allocator *alloc, const ch_server_options *options, ch_auth **auth, ch_buf *why);
void ch_auth_free(ch_auth *auth);
/* Fills the results in and gives the op's status. */
int ch_auth_check(ch_auth *auth, ch_op_authenticate *op);
/* Reads the keys again. May block. */
int ch_auth_reload(ch_auth *auth, ch_buf *why);

#endif
