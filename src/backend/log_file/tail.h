/* SPDX-License-Identifier: Apache-2.0 */
/* tail.h - the newest records of a partition in memory, for readers that keep up. Bounded in bytes; the owner locks. */
#ifndef CH_LOG_FILE_TAIL_H
#define CH_LOG_FILE_TAIL_H

#include <stddef.h>
#include <stdint.h>

#include "core/bytes.h"
#include "core/env.h"

typedef struct ch_tail_entry {
  uint64_t position, append_ms;
  size_t len;
  uint8_t data[];
} ch_tail_entry;

/* Numbers first … first + count - 1, in a ring. */
typedef struct ch_tail {
  const chat_allocator *alloc;
  size_t bytes_max, bytes;
  ch_tail_entry **ring;
  size_t ring_size, start, count;
  uint64_t first;
} ch_tail;

void ch_tail_init(ch_tail *tail, const chat_allocator *alloc, size_t bytes_max);
void ch_tail_fini(ch_tail *tail);
void ch_tail_clear(ch_tail *tail);
/* Where there is no memory, or `number` is not the next one, the tail begins anew: readers then go to the file. */
void ch_tail_push(ch_tail *tail, uint64_t number, uint64_t position, uint64_t append_ms, chat_bytes data);
/* NULL: not here. */
const ch_tail_entry *ch_tail_at(const ch_tail *tail, uint64_t number);

#endif
