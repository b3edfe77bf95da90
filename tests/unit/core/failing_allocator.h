/* SPDX-License-Identifier: Apache-2.0 */
/*
 * failing_allocator.h - an allocator for tests: the first `left` allocations succeed, all later ones fail, and `live` counts
 * what was not given back.
 */
#ifndef CH_TEST_FAILING_ALLOCATOR_H
#define CH_TEST_FAILING_ALLOCATOR_H

#include <stdlib.h>

#include "core/env.h"

typedef struct failing_allocator {
  ch_allocator alloc;
  size_t left, live;
} failing_allocator;

static inline void *failing_resize(void *arg, void *old, size_t len) {
  failing_allocator *self = arg;
  if (len == 0) {
    self->live -= old != NULL;
    free(old);
    return NULL;
  }
  if (self->left == 0) return NULL;
  self->left--;
  self->live += old == NULL;
  return realloc(old, len);
}

static inline void failing_allocator_init(failing_allocator *self, size_t left) {
  *self = (failing_allocator){.alloc = {failing_resize, self}, .left = left};
}

#endif
