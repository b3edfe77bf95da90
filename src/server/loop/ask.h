/* SPDX-License-Identifier: Apache-2.0 */
/* ask.h - one op to a backend and its answer, before there are loops: blocks. */
#ifndef CH_SERVER_ASK_H
#define CH_SERVER_ASK_H

#include <chat/backend.h>

/* The op's status; CHAT_E_NOMEM. The op stays the caller's. */
int ch_ask(const chat_backend *backend, chat_op *op);

#endif
