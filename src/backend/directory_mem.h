/* SPDX-License-Identifier: Apache-2.0 */
/*
 * directory_mem.h - the directory in memory: the reference of its kind, the simulator's directory, and chatd's where one process is all there is.
 *
 * Every op but a long poll is done when submit returns, under one lock. What has expired counts as gone at once for whoever asks; that a user went offline is noticed, for
 * those who watch him, by the ops that come in (each looks at no more than 256 things that are due). RENEW may end CHAT_E_NOMEM half done, which doing it again heals.
 *
 * Bounded: users_max users are remembered; the one that was offline longest is forgotten for another (his position counts as missing: rule V2), and where none is offline
 * there is CHAT_E_AGAIN. A user has at most 64 routes, the one next to expire gives way. Changes are coalesced, so a port's queue is never longer than its list of
 * watched users: only a flush loses any.
 */
#ifndef CH_BACKEND_DIRECTORY_MEM_H
#define CH_BACKEND_DIRECTORY_MEM_H

#include <chat/backend.h>

typedef struct ch_directory_mem_config {
  const chat_allocator *alloc;
  chat_clock clock;   /* elapsed_ms: deadlines; wall_ms: seen_ms; read in submit, on the caller's thread */
  uint8_t seed[16];   /* of the hash maps */
  uint64_t epoch;     /* not 0; another one at each start */
  uint32_t users_max; /* 0: 1,000,000 */
  uint32_t keep_ms;   /* how long an offline user's position is kept; 0: a day */
} ch_directory_mem_config;

/* 0, CHAT_E_INVALID, CHAT_E_NOMEM. */
int ch_directory_mem_new(const ch_directory_mem_config *config, chat_backend *directory);

/* ---- what only tests do */

/* It forgets all routes, positions, presence and subscriptions, and has a new epoch. Who watches is told that changes were lost. */
void ch_directory_mem_flush(chat_backend directory);
/* Another epoch and nothing else: what it has forgotten, whoever tests took away before. */
void ch_directory_mem_new_epoch(chat_backend directory);
/* Users remembered now. */
size_t ch_directory_mem_user_count(chat_backend directory);

#endif
