/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hooks.h - the embedder as one more backend: ops of the kinds CH_OP_* become tickets and come back when they are answered, or with CHAT_E_TIMEOUT at
 * the deadline.
 *
 * A ticket may outlive its op (a late answer, a server that stopped), so it holds a copy of what the hook was shown. Whoever moves it from ASKED decides
 * the op's status; if that was the deadline, the answer that comes later only frees it.
 */
#ifndef CH_SERVER_HOOKS_H
#define CH_SERVER_HOOKS_H

#include <chat/server.h>

#include "core/op.h"
#include "server/loop/auth.h"

typedef struct ch_hooks_config {
  const chat_allocator *alloc;
  chat_clock clock;
  chat_hooks hooks;     /* missing ones NULL */
  ch_auth *auth;        /* where there is no hook `authenticate`; borrowed */
  uint64_t deadline_ms; /* of an answer */
} ch_hooks_config;

/* What a row says that needs no memory of its own; the rest of `stored` stays as it is. */
void ch_stored_fill(const chat_row *row, chat_stored *stored);

/* CHAT_E_NOMEM. */
int ch_hooks_new(const ch_hooks_config *config, chat_backend *backend);
/* Answers, with CHAT_E_TIMEOUT, what is overdue at this port; gives the elapsed time at which the next is, CH_NEVER_MS for none. */
uint64_t ch_hooks_expire(void *port, uint64_t now_ms);

#endif
