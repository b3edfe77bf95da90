/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/support/memory.h"

#include <malloc.h>
#include <stdlib.h>

#include "core/assert.h"

static void *resize(void *arg, void *old, size_t len) {
  fuzz_memory *memory = arg;
  memory->held_len -= malloc_usable_size(old); /* the block is the system's, so that a sanitizer knows its exact end */
  if (len == 0) {
    free(old);
    return NULL;
  }
  void *block = realloc(old, len);
  ch_assert(block != NULL);
  memory->held_len += malloc_usable_size(block);
  ch_assert(memory->held_len <= memory->held_max);
  return block;
}

void fuzz_memory_init(fuzz_memory *memory, size_t held_max) {
  *memory = (fuzz_memory){.alloc = {resize, memory}, .held_max = held_max};
}

void fuzz_memory_end(const fuzz_memory *memory) {
  ch_assert(memory->held_len == 0);
}
