/* SPDX-License-Identifier: Apache-2.0 */
/* Memory. free() is nobody's business here: the pointers are the next library's own. */
#define _GNU_SOURCE /* RTLD_NEXT */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "calls.h"

/* dlsym may ask for memory before we know whom to ask. */
static char early[4096];
static size_t early_len;
static _Thread_local int is_looking;

static void *early_alloc(size_t len) {
  size_t at = early_len;
  early_len += (len + 15) & ~(size_t)15;
  return early_len <= sizeof early ? early + at : NULL;
}

#define LOOK(name)                                                                                                                         \
  static __typeof__(&name) next;                                                                                                           \
  if (!next && !is_looking) {                                                                                                              \
    is_looking = 1;                                                                                                                        \
    *(void **)&next = dlsym(RTLD_NEXT, #name);                                                                                             \
    is_looking = 0;                                                                                                                        \
  }

static int fails(const char *name, const void *caller) {
  int error = failure_next(CALL_ALLOC, name, caller);
  if (error) errno = error;
  return error;
}

void *malloc(size_t len) {
  LOOK(malloc);
  if (!next) return early_alloc(len);
  return fails("malloc", __builtin_return_address(0)) ? NULL : next(len);
}

void *calloc(size_t count, size_t len) {
  LOOK(calloc);
  if (!next) return early_alloc(count * len);
  return fails("calloc", __builtin_return_address(0)) ? NULL : next(count, len);
}

void *realloc(void *old, size_t len) {
  LOOK(realloc);
  if (!next) abort();
  if (len == 0 && old) return next(old, 0);
  return fails("realloc", __builtin_return_address(0)) ? NULL : next(old, len);
}

int posix_memalign(void **out, size_t alignment, size_t len) {
  LOOK(posix_memalign);
  if (!next) abort();
  return fails("posix_memalign", __builtin_return_address(0)) ? ENOMEM : next(out, alignment, len);
}

void *aligned_alloc(size_t alignment, size_t len) {
  LOOK(aligned_alloc);
  if (!next) abort();
  return fails("aligned_alloc", __builtin_return_address(0)) ? NULL : next(alignment, len);
}
