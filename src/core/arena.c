/* SPDX-License-Identifier: Apache-2.0 */
#include "core/arena.h"

#include <string.h>

#include "core/assert.h"

enum { ALIGNMENT = 16, CHUNK_LEN_MAX = 64 * 1024 };

/* The bytes of a chunk follow its head. 16 is the alignment of malloc, and the size of the head is a multiple of it. */
typedef struct ch_arena_chunk {
  struct ch_arena_chunk *older;
  size_t len;
  size_t used_len;
  size_t is_lent; /* 1: not ours to free */
} chunk;

_Static_assert(sizeof(chunk) % ALIGNMENT == 0, "the first piece of a chunk must be aligned");

void ch_arena_init(ch_arena *arena, const ch_allocator *alloc, size_t chunk_len, size_t cap_len) {
  *arena = (ch_arena){.alloc = alloc, .chunk_len = chunk_len, .cap_len = cap_len};
}

void ch_arena_lend(ch_arena *arena, void *memory, size_t len) {
  chunk *lent = memory;
  ch_assert(!arena->newest && len >= 2 * sizeof *lent && (uintptr_t)memory % ALIGNMENT == 0);
  *lent = (chunk){.len = len - sizeof *lent, .is_lent = 1};
  arena->newest = lent;
}

static void free_chunks(ch_arena *arena, chunk *from) {
  while (from) {
    chunk *older = from->older;
    if (!from->is_lent) ch_free(arena->alloc, from);
    from = older;
  }
}

void ch_arena_fini(ch_arena *arena) {
  free_chunks(arena, arena->newest);
  *arena = (ch_arena){0};
}

void ch_arena_reset(ch_arena *arena) {
  arena->used_len = 0;
  arena->is_short = false;
  if (!arena->newest) return;
  free_chunks(arena, arena->newest->older);
  arena->newest->older = NULL;
  arena->newest->used_len = 0;
}

/* As much as is in use, within bounds: what holds much asks seldom. */
static size_t usual_len(const ch_arena *arena) {
  size_t len = arena->used_len < CHUNK_LEN_MAX ? arena->used_len : CHUNK_LEN_MAX;
  return len > arena->chunk_len ? len : arena->chunk_len;
}

/* A chunk is added only when what is left of the newest is less than len, so the waste is less than what is handed
 * out. */
static chunk *add_chunk(ch_arena *arena, size_t len) {
  size_t usual = usual_len(arena), chunk_len = len > usual ? len : usual;
  chunk *added = ch_alloc(arena->alloc, sizeof *added + chunk_len);
  if (!added) return NULL;
  *added = (chunk){.older = arena->newest, .len = chunk_len};
  arena->newest = added;
  return added;
}

static chunk *chunk_for(ch_arena *arena, size_t len, size_t rounded) {
  size_t left = arena->cap_len - arena->used_len;
  if (len > left || rounded > left) return NULL;
  chunk *newest = arena->newest;
  return newest && rounded <= newest->len - newest->used_len ? newest : add_chunk(arena, rounded);
}

void *ch_arena_alloc(ch_arena *arena, size_t len) {
  size_t rounded = len > 0 ? (len + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT : ALIGNMENT;
  chunk *from = chunk_for(arena, len, rounded);
  if (!from) {
    arena->is_short = true;
    return NULL;
  }
  void *piece = (char *)(from + 1) + from->used_len;
  from->used_len += rounded;
  arena->used_len += rounded;
  return piece;
}

void *ch_arena_calloc(ch_arena *arena, size_t count, size_t item_len) {
  if (item_len > 0 && count > SIZE_MAX / item_len) return NULL;
  void *piece = ch_arena_alloc(arena, count * item_len);
  if (piece) memset(piece, 0, count * item_len);
  return piece;
}

void *ch_arena_dup(ch_arena *arena, const void *data, size_t len) {
  char *copy = len < SIZE_MAX ? ch_arena_alloc(arena, len + 1) : NULL;
  if (!copy) return NULL;
  if (len > 0) memcpy(copy, data, len);
  copy[len] = '\0';
  return copy;
}
