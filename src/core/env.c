/* SPDX-License-Identifier: Apache-2.0 */
#include "core/env.h"

#include <stdlib.h>
#include <string.h>

static void *malloc_resize(void *old, size_t len) {
  if (len > 0) return realloc(old, len);
  free(old);
  return NULL;
}

static void *resize(const ch_allocator *alloc, void *old, size_t len) {
  return alloc ? alloc->resize(alloc->arg, old, len) : malloc_resize(old, len);
}

void *ch_alloc(const ch_allocator *alloc, size_t len) {
  return resize(alloc, NULL, len > 0 ? len : 1);
}

void *ch_calloc(const ch_allocator *alloc, size_t count, size_t item_len) {
  void *memory = ch_realloc(alloc, NULL, count, item_len);
  if (memory) memset(memory, 0, count * item_len);
  return memory;
}

void *ch_realloc(const ch_allocator *alloc, void *old, size_t count, size_t item_len) {
  if (item_len > 0 && count > SIZE_MAX / item_len) return NULL;
  size_t len = count * item_len;
  return resize(alloc, old, len > 0 ? len : 1);
}

void ch_free(const ch_allocator *alloc, void *memory) {
  if (memory) resize(alloc, memory, 0);
}
