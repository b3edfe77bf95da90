/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/log_file/tail.h"

#include <string.h>

void ch_tail_init(ch_tail *tail, const chat_allocator *alloc, size_t bytes_max) {
  *tail = (ch_tail){.alloc = alloc, .bytes_max = bytes_max};
}

static void drop_first(ch_tail *tail) {
  ch_tail_entry *oldest = tail->ring[tail->start];
  tail->bytes -= sizeof *oldest + oldest->len;
  ch_free(tail->alloc, oldest);
  tail->start = (tail->start + 1) % tail->ring_size;
  tail->count--;
  tail->first++;
}

void ch_tail_clear(ch_tail *tail) {
  while (tail->count > 0) drop_first(tail);
}

void ch_tail_fini(ch_tail *tail) {
  ch_tail_clear(tail);
  ch_free(tail->alloc, tail->ring);
}

static bool grow(ch_tail *tail) {
  if (tail->count < tail->ring_size) return true;
  size_t size = tail->ring_size ? tail->ring_size * 2 : 64;
  ch_tail_entry **ring = ch_calloc(tail->alloc, size, sizeof *ring);
  if (!ring) return false;
  for (size_t i = 0; i < tail->count; i++)
    ring[i] = tail->ring[(tail->start + i) % tail->ring_size];
  ch_free(tail->alloc, tail->ring);
  tail->ring = ring;
  tail->ring_size = size;
  tail->start = 0;
  return true;
}

static ch_tail_entry *entry_new(ch_tail *tail, uint64_t position, uint64_t append_ms, chat_bytes data) {
  ch_tail_entry *entry = ch_alloc(tail->alloc, sizeof *entry + data.len);
  if (!entry) return NULL;
  *entry = (ch_tail_entry){.position = position, .append_ms = append_ms, .len = data.len};
  if (data.len > 0) memcpy(entry->data, data.data, data.len);
  return entry;
}

void ch_tail_push(ch_tail *tail, uint64_t number, uint64_t position, uint64_t append_ms, chat_bytes data) {
  if (tail->count > 0 && number != tail->first + tail->count) ch_tail_clear(tail);
  ch_tail_entry *entry = grow(tail) ? entry_new(tail, position, append_ms, data) : NULL;
  if (!entry) {
    ch_tail_clear(tail);
    return;
  }
  if (tail->count == 0) tail->first = number;
  tail->ring[(tail->start + tail->count) % tail->ring_size] = entry;
  tail->count++;
  tail->bytes += sizeof *entry + entry->len;
  while (tail->count > 1 && tail->bytes > tail->bytes_max) drop_first(tail);
}

const ch_tail_entry *ch_tail_at(const ch_tail *tail, uint64_t number) {
  if (tail->count == 0 || number < tail->first || number - tail->first >= tail->count) return NULL;
  return tail->ring[(tail->start + (size_t)(number - tail->first)) % tail->ring_size];
}
