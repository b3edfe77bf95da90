/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arena.h - memory that is given back all at once, with a cap.
 *
 * Its first use is to unpack protobuf messages of a peer: whatever the bytes say, no more than cap_len bytes are
 * handed out. The caller owns the struct. What an arena hands out lives until the next reset or fini. One thread at a
 * time.
 */
#ifndef CH_CORE_ARENA_H
#define CH_CORE_ARENA_H

#include <stdbool.h>
#include <stddef.h>

#include "core/env.h"

struct ch_arena_chunk;

typedef struct ch_arena {
  const ch_allocator *alloc;
  struct ch_arena_chunk *newest; /* the chunk that is being filled; older ones hang behind it */
  size_t chunk_len;              /* bytes of the smallest chunk */
  size_t cap_len;                /* most bytes that may be handed out between two resets */
  size_t used_len;               /* bytes handed out since the last reset, each piece rounded up to 16 */
  bool is_short;                 /* since then something was asked for and not given */
} ch_arena;

/* An empty arena; allocates nothing yet. Chunks grow with what is in it; the memory held stays below 3 * cap_len + chunk_len. */
void ch_arena_init(ch_arena *arena, const ch_allocator *alloc, size_t chunk_len, size_t cap_len);
/* Lends an empty arena its first chunk: len bytes (64 or more), aligned to 16, that outlive it. */
void ch_arena_lend(ch_arena *arena, void *memory, size_t len);
/* Gives everything back. The arena may be initialised again. */
void ch_arena_fini(ch_arena *arena);
/* Forgets all that was handed out and keeps one chunk for what comes next. */
void ch_arena_reset(ch_arena *arena);

/* len bytes aligned to 16, not cleared; NULL when the cap is reached or there is no memory. */
void *ch_arena_alloc(ch_arena *arena, size_t len);
/* count * item_len bytes of zero; NULL as above, or when the product overflows. */
void *ch_arena_calloc(ch_arena *arena, size_t count, size_t item_len);
/* A copy of len bytes, with a NUL behind them that len does not count; NULL as above. */
void *ch_arena_dup(ch_arena *arena, const void *data, size_t len);

#endif
