/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timer_heap.h - many deadlines, one "next": a binary heap of timers that live inside the things they are for.
 *
 * Setting, moving and clearing one is O(log n), looking at the next O(1); nothing is scanned. A timer knows its place, so that its owner can
 * clear it. One thread at a time.
 */
#ifndef CH_CORE_TIMER_HEAP_H
#define CH_CORE_TIMER_HEAP_H

#include <stddef.h>
#include <stdint.h>

#include "core/env.h"

/* Zero-initialised is "not set". May not move while it is set. */
typedef struct ch_timer {
  uint64_t deadline_ms;
  size_t place;  /* in the heap, from 1; 0: not set */
  uint32_t kind; /* the owner's own: what the timer is embedded in */
} ch_timer;

typedef struct ch_timer_heap {
  const ch_allocator *alloc;
  ch_timer **timers;
  size_t count, cap;
} ch_timer_heap;

/* An empty heap; allocates nothing yet. */
void ch_timer_heap_init(ch_timer_heap *heap, const ch_allocator *alloc);
/* Gives the heap's memory back; timers that were set are as if they had been cleared. */
void ch_timer_heap_fini(ch_timer_heap *heap);

/* Sets a timer, or moves one that is set. CHAT_E_NOMEM only where it was not set; it then stays so. CH_NEVER_MS clears it. */
int ch_timer_heap_set(ch_timer_heap *heap, ch_timer *timer, uint64_t deadline_ms);
/* As set, but never moves a deadline that is earlier. */
int ch_timer_heap_set_earlier(ch_timer_heap *heap, ch_timer *timer, uint64_t deadline_ms);
/* For one that is not set, does nothing. */
void ch_timer_heap_clear(ch_timer_heap *heap, ch_timer *timer);

/* Takes out the timer with the earliest deadline, where that is at most now_ms; else NULL. */
ch_timer *ch_timer_heap_due(ch_timer_heap *heap, uint64_t now_ms);
/* The earliest deadline; CH_NEVER_MS: none. */
uint64_t ch_timer_heap_next_ms(const ch_timer_heap *heap);

#endif
