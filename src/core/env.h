/* SPDX-License-Identifier: Apache-2.0 */
/*
 * env.h - what a machine is handed at its creation: memory and randomness. Time is an argument of each call, never
 * found here.
 *
 * An allocator is one realloc-style function. NULL, wherever a `const ch_allocator *` is asked for, means malloc's
 * family. An env and its allocator are borrowed and must outlive what was made with them. Any thread, if the
 * functions handed in allow it.
 */
#ifndef CH_CORE_ENV_H
#define CH_CORE_ENV_H

#include <chat/chat.h>
#include <stddef.h>
#include <stdint.h>

/* A deadline that never comes; what a machine without a timer gives as its next deadline. In ms. */
#define CH_NEVER_MS UINT64_MAX

typedef chat_allocator ch_allocator;

typedef struct ch_env {
  const ch_allocator *alloc;                        /* NULL: malloc's family */
  void (*random)(void *arg, void *buf, size_t len); /* fills buf with len unpredictable bytes; cannot fail */
  void *random_arg;
} ch_env;

/* len bytes, not cleared (len 0 gives a pointer too); NULL when there is no memory. */
void *ch_alloc(const ch_allocator *alloc, size_t len);
/* count * item_len bytes of zero; NULL when there is no memory or the product overflows. */
void *ch_calloc(const ch_allocator *alloc, size_t count, size_t item_len);
/* old, resized to count * item_len bytes (at least 1); NULL, with old untouched, as in ch_calloc. */
void *ch_realloc(const ch_allocator *alloc, void *old, size_t count, size_t item_len);
/* Gives memory back; NULL is a no-op. */
void ch_free(const ch_allocator *alloc, void *memory);

#endif
