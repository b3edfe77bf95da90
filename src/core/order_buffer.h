/* SPDX-License-Identifier: Apache-2.0 */
/*
 * order_buffer.h - holds what came too early until what it waits for is there, or its time is over.
 *
 * The gateway holds SENDs until their prev has passed (rule G1; number = client_seq). The client holds live events
 * until the one before has come (number = seq, prev = seq - 1), some 300 ms, and then fetches the range. Bounded in
 * count, bytes and time.
 *
 * An item is the caller's pointer: put takes it over on success, pop_ready and expire give it back, and clear, fini
 * and drop_through end it with free_item. One thread at a time.
 */
#ifndef CH_CORE_ORDER_BUFFER_H
#define CH_CORE_ORDER_BUFFER_H

#include <stddef.h>
#include <stdint.h>

#include "core/env.h"

typedef struct ch_order_buffer_limits {
  size_t items_max;
  size_t bytes_max; /* sum of the lens given to put */
  uint64_t hold_ms;
} ch_order_buffer_limits;

typedef struct ch_order_buffer_slot {
  uint64_t number, prev;
  uint64_t deadline_ms;
  size_t len;
  void *item;
} ch_order_buffer_slot;

typedef struct ch_order_buffer {
  const ch_allocator *alloc;
  void (*free_item)(void *item);
  ch_order_buffer_limits limits;
  ch_order_buffer_slot *slots; /* sorted by number */
  size_t count, slots_cap;
  size_t bytes_len; /* sum of len over all slots */
} ch_order_buffer;

/* An empty buffer; allocates nothing yet. */
void ch_order_buffer_init(ch_order_buffer *buffer, const ch_allocator *alloc, ch_order_buffer_limits limits,
                          void (*free_item)(void *item));
/* Frees all items and the memory. */
void ch_order_buffer_fini(ch_order_buffer *buffer);
/* Frees all items. */
void ch_order_buffer_clear(ch_order_buffer *buffer);

/* Holds item, of len bytes, under number until prev has passed, or hold_ms from now_ms on. On an error the item stays
 * the caller's: CHAT_E_EXISTS (the number is held already), CHAT_E_BUSY (full, in count or bytes), CHAT_E_NOMEM. */
int ch_order_buffer_put(ch_order_buffer *buffer, uint64_t number, uint64_t prev, void *item, size_t len,
                        uint64_t now_ms);

/* Takes out the item with the lowest number among those whose prev is at most passed; NULL when there is none. Also
 * one whose own number is at most passed comes out so. Pull until NULL, raising passed as items pass. */
void *ch_order_buffer_pop_ready(ch_order_buffer *buffer, uint64_t passed);
/* Takes out the item with the lowest number among those whose deadline is at most now_ms; NULL when there is none.
 * Pull until NULL. */
void *ch_order_buffer_expire(ch_order_buffer *buffer, uint64_t now_ms);
/* Frees the items whose number is at most number (the range came another way). */
void ch_order_buffer_drop_through(ch_order_buffer *buffer, uint64_t number);

/* The earliest deadline of all items in ms; CH_NEVER_MS when empty. */
uint64_t ch_order_buffer_next_deadline_ms(const ch_order_buffer *buffer);

#endif
