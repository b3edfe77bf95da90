/* SPDX-License-Identifier: Apache-2.0 */
#include "core/intervals.h"

#include <string.h>

#include "core/assert.h"

bool ch_intervals_is_open(const ch_intervals *intervals) {
  return intervals->count > 0 && intervals->items[intervals->count - 1].left_seq == CH_INTERVAL_OPEN;
}

/* Takes away the intervals that reach to joined_seq or above, and gives where the one that replaces them begins. */
static uint64_t absorb(ch_intervals *intervals, uint64_t joined_seq) {
  while (intervals->count > 0 && intervals->items[intervals->count - 1].left_seq >= joined_seq) {
    intervals->count--;
    if (intervals->items[intervals->count].joined_seq < joined_seq)
      joined_seq = intervals->items[intervals->count].joined_seq;
  }
  return joined_seq;
}

static void forget_oldest(ch_intervals *intervals) {
  intervals->count--;
  memmove(intervals->items, intervals->items + 1, intervals->count * sizeof *intervals->items);
}

bool ch_intervals_join(ch_intervals *intervals, uint64_t joined_seq) {
  ch_assert(joined_seq < CH_INTERVAL_OPEN);
  if (ch_intervals_is_open(intervals)) return false;
  uint64_t from = absorb(intervals, joined_seq);
  if (intervals->count == CHAT_MEMBER_INTERVALS_MAX) forget_oldest(intervals);
  intervals->items[intervals->count++] = (ch_interval){.joined_seq = from, .left_seq = CH_INTERVAL_OPEN};
  return true;
}

bool ch_intervals_leave(ch_intervals *intervals, uint64_t left_seq) {
  if (!ch_intervals_is_open(intervals)) return false;
  ch_interval *open = &intervals->items[intervals->count - 1];
  ch_assert(left_seq >= open->joined_seq && left_seq < CH_INTERVAL_OPEN);
  open->left_seq = left_seq;
  return true;
}

bool ch_intervals_may_read(const ch_intervals *intervals, uint64_t seq) {
  for (uint32_t i = 0; i < intervals->count; i++) {
    if (seq > intervals->items[i].joined_seq && seq <= intervals->items[i].left_seq) return true;
  }
  return false;
}

/* Sets *out to the part of interval within range; false, without an effect, when there is none. */
static bool cut(ch_interval interval, ch_seq_range range, ch_seq_range *out) {
  ch_seq_range part = {
      .first = interval.joined_seq < range.first ? range.first : interval.joined_seq + 1,
      .last = interval.left_seq < range.last ? interval.left_seq : range.last,
  };
  if (part.first > part.last) return false;
  *out = part;
  return true;
}

bool ch_intervals_clip_low(const ch_intervals *intervals, ch_seq_range range, ch_seq_range *out) {
  *out = (ch_seq_range){0};
  for (uint32_t i = 0; i < intervals->count; i++) {
    if (cut(intervals->items[i], range, out)) return true;
  }
  return false;
}

bool ch_intervals_clip_high(const ch_intervals *intervals, ch_seq_range range, ch_seq_range *out) {
  *out = (ch_seq_range){0};
  for (uint32_t i = intervals->count; i > 0; i--) {
    if (cut(intervals->items[i - 1], range, out)) return true;
  }
  return false;
}

uint64_t ch_intervals_next(const ch_intervals *intervals, uint64_t seq) {
  ch_seq_range run;
  return ch_intervals_clip_low(intervals, (ch_seq_range){seq, CH_INTERVAL_OPEN}, &run) ? run.first : CH_INTERVAL_OPEN;
}

uint64_t ch_intervals_prev(const ch_intervals *intervals, uint64_t seq) {
  ch_seq_range run;
  return ch_intervals_clip_high(intervals, (ch_seq_range){0, seq}, &run) ? run.last : 0;
}
