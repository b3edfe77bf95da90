/* SPDX-License-Identifier: Apache-2.0 */
/*
 * directory_redis.h - the directory on Redis: several servers that each have some of the users, or a Redis Cluster.
 *
 * Keys, steps and what happens at each failure: docs/decisions/0012. One thread of its own; at most 16,384 steps on their way at once, or one op, other ops wait in order. CHANGES waits until there
 * is something, whatever its wait_ms: what it waits for is in this process.
 */
#ifndef CH_BACKEND_DIRECTORY_REDIS_H
#define CH_BACKEND_DIRECTORY_REDIS_H

#include <chat/backend.h>

#include "core/buf.h"

typedef struct ch_directory_redis_config {
  const chat_allocator *alloc;
  chat_random random;
  /* redis://[[user]:password@]host[:port][,host[:port]…][/database], or redis-cluster://… (no database); rediss:// with TLS. Every process names the same servers in the same order. */
  const char *url;
  uint32_t timeout_ms; /* of an answer, and of a connection; 0: 2,000 */
  uint32_t look_ms;    /* how often the presence of a watched user is looked at; 0: 10,000 */
} ch_directory_redis_config;

/* Connects, and waits for that until all servers are there, for timeout_ms at most: with fewer of them it begins all the same (P7), and why gets a sentence. Blocks.
 * CHAT_E_INVALID: a url that is none, or a server that does not let us in or must not be used so. CHAT_E_UNSUPPORTED: not in this build (TLS, or all of it). CHAT_E_NOMEM. */
int ch_directory_redis_new(const ch_directory_redis_config *config, chat_backend *directory, ch_buf *why);

#endif
