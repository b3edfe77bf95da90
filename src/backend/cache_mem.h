/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_mem.h - the client's database in memory: the reference of its kind, the tests' double, the simulator's body.
 *
 * Transactions are real. Behind the committed image there is the durable one, which a power cut goes back to.
 */
#ifndef CH_CACHE_MEM_H
#define CH_CACHE_MEM_H

#include <chat/backend.h>

int chat_cache_mem_new(const chat_allocator *alloc, chat_cache **cache); /* 0, CHAT_E_NOMEM; end it with vtable->free */

/* ---- what only tests do */

/* The power fails: closed, and as at the last durable commit. */
void ch_cache_mem_power_cut(chat_cache *cache);
/* The nth_call-th call from now on (1: the next one) fails once with `error`; CHAT_E_CORRUPT: all do, until set_aside or wipe. Counted is every call that can fail. 0: none. */
void ch_cache_mem_fail(chat_cache *cache, uint64_t nth_call, int error);
uint64_t ch_cache_mem_durable_commits(const chat_cache *cache);
/* A copy of the committed database, closed: what somebody has restored. 0, CHAT_E_NOMEM. */
int ch_cache_mem_clone(const chat_cache *cache, chat_cache **copy);

#endif
