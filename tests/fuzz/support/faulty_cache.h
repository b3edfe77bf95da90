/* SPDX-License-Identifier: Apache-2.0 */
/* faulty_cache.h - a client's database in memory whose calls fail when the one who holds it says so. What failed has not happened. */
#ifndef CH_TEST_FUZZ_FAULTY_CACHE_H
#define CH_TEST_FUZZ_FAULTY_CACHE_H

#include <chat/backend.h>

typedef struct fuzz_cache {
  chat_cache base;
  chat_cache *inner; /* to look into without a fault */
  unsigned fails_in; /* this many calls from now one fails; 0: none */
  unsigned fails;    /* so many in a row */
  int error;
} fuzz_cache;

void fuzz_cache_init(fuzz_cache *cache, const chat_allocator *alloc);
void fuzz_cache_fini(fuzz_cache *cache);

#endif
