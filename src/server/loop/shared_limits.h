/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shared_limits.h - the token buckets (server/role/limits.h) of all threads of a server: what the options say holds for the process, however many threads it has.
 *
 * Keys are spread over shards, each with a lock of its own, which is held for one draw and never while anything waits. Any thread.
 */
#ifndef CH_SERVER_SHARED_LIMITS_H
#define CH_SERVER_SHARED_LIMITS_H

#include "server/role/limits.h"

typedef struct ch_shared_limits ch_shared_limits;

/* The env is borrowed until free. buckets_max is divided among the shards. CHAT_E_INVALID, CHAT_E_NOMEM. */
int ch_shared_limits_new(const ch_env *env, const ch_limits_config *config, ch_shared_limits **out);
void ch_shared_limits_free(ch_shared_limits *shared); /* NULL is a no-op; no thread draws any more */
ch_limiter ch_shared_limits_limiter(ch_shared_limits *shared);

#endif
