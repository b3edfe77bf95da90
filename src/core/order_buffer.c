/* SPDX-License-Identifier: Apache-2.0 */
#include "core/order_buffer.h"

#include <chat/chat.h>
#include <string.h>

enum { FIRST_CAP = 4 };

void ch_order_buffer_init(ch_order_buffer *buffer, const ch_allocator *alloc, ch_order_buffer_limits limits,
                          void (*free_item)(void *item)) {
  *buffer = (ch_order_buffer){.alloc = alloc, .limits = limits, .free_item = free_item};
}

void ch_order_buffer_fini(ch_order_buffer *buffer) {
  ch_order_buffer_clear(buffer);
  ch_free(buffer->alloc, buffer->slots);
  buffer->slots = NULL;
  buffer->slots_cap = 0;
}

void ch_order_buffer_clear(ch_order_buffer *buffer) {
  ch_order_buffer_drop_through(buffer, UINT64_MAX);
}

/* Index of the first slot whose number is at least number. Most items come in rising order, so it looks from the end. */
static size_t lower_bound(const ch_order_buffer *buffer, uint64_t number) {
  size_t at = buffer->count;
  while (at > 0 && buffer->slots[at - 1].number >= number)
    at--;
  return at;
}

static int grow(ch_order_buffer *buffer) {
  size_t cap = buffer->slots_cap > 0 ? buffer->slots_cap * 2 : FIRST_CAP;
  ch_order_buffer_slot *slots = ch_realloc(buffer->alloc, buffer->slots, cap, sizeof *slots);
  if (!slots) return CHAT_E_NOMEM;
  buffer->slots = slots;
  buffer->slots_cap = cap;
  return CHAT_OK;
}

static int make_room(ch_order_buffer *buffer, size_t len) {
  if (buffer->count >= buffer->limits.items_max || len > buffer->limits.bytes_max - buffer->bytes_len)
    return CHAT_E_BUSY;
  return buffer->count < buffer->slots_cap ? CHAT_OK : grow(buffer);
}

static uint64_t deadline_after(uint64_t now_ms, uint64_t hold_ms) {
  return now_ms < CH_NEVER_MS - hold_ms ? now_ms + hold_ms : CH_NEVER_MS;
}

static void insert_at(ch_order_buffer *buffer, size_t at, ch_order_buffer_slot slot) {
  memmove(buffer->slots + at + 1, buffer->slots + at, (buffer->count - at) * sizeof slot);
  buffer->slots[at] = slot;
  buffer->count++;
  buffer->bytes_len += slot.len;
}

int ch_order_buffer_put(ch_order_buffer *buffer, uint64_t number, uint64_t prev, void *item, size_t len,
                        uint64_t now_ms) {
  size_t at = lower_bound(buffer, number);
  if (at < buffer->count && buffer->slots[at].number == number) return CHAT_E_EXISTS;
  int error = make_room(buffer, len);
  if (error) return error;
  insert_at(buffer, at,
            (ch_order_buffer_slot){.number = number,
                                   .prev = prev,
                                   .deadline_ms = deadline_after(now_ms, buffer->limits.hold_ms),
                                   .len = len,
                                   .item = item});
  return CHAT_OK;
}

static void *take_at(ch_order_buffer *buffer, size_t at) {
  void *item = buffer->slots[at].item;
  buffer->bytes_len -= buffer->slots[at].len;
  buffer->count--;
  memmove(buffer->slots + at, buffer->slots + at + 1, (buffer->count - at) * sizeof *buffer->slots);
  return item;
}

void *ch_order_buffer_pop_ready(ch_order_buffer *buffer, uint64_t passed) {
  for (size_t at = 0; at < buffer->count; at++) {
    if (buffer->slots[at].prev <= passed) return take_at(buffer, at);
  }
  return NULL;
}

void *ch_order_buffer_expire(ch_order_buffer *buffer, uint64_t now_ms) {
  for (size_t at = 0; at < buffer->count; at++) {
    if (buffer->slots[at].deadline_ms <= now_ms) return take_at(buffer, at);
  }
  return NULL;
}

void ch_order_buffer_drop_through(ch_order_buffer *buffer, uint64_t number) {
  while (buffer->count > 0 && buffer->slots[0].number <= number)
    buffer->free_item(take_at(buffer, 0));
}

uint64_t ch_order_buffer_next_deadline_ms(const ch_order_buffer *buffer) {
  uint64_t earliest_ms = CH_NEVER_MS;
  for (size_t at = 0; at < buffer->count; at++) {
    if (buffer->slots[at].deadline_ms < earliest_ms) earliest_ms = buffer->slots[at].deadline_ms;
  }
  return earliest_ms;
}
