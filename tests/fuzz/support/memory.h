/* SPDX-License-Identifier: Apache-2.0 */
/* memory.h - an allocator that counts what is out, and stops the run where that passes a bound: bytes from outside must not be able to cost more. */
#ifndef CH_TEST_FUZZ_MEMORY_H
#define CH_TEST_FUZZ_MEMORY_H

#include <stddef.h>

#include "core/env.h"

typedef struct fuzz_memory {
  ch_allocator alloc;
  size_t held_len, held_max; /* bytes */
} fuzz_memory;

void fuzz_memory_init(fuzz_memory *memory, size_t held_max);
/* Everything must have come back. */
void fuzz_memory_end(const fuzz_memory *memory);

#endif
