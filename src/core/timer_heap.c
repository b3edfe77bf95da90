/* SPDX-License-Identifier: Apache-2.0 */
#include "core/timer_heap.h"

#include <chat/chat.h>

#include "core/assert.h"

enum { FIRST_CAP = 16 };

void ch_timer_heap_init(ch_timer_heap *heap, const ch_allocator *alloc) {
  *heap = (ch_timer_heap){.alloc = alloc};
}

void ch_timer_heap_fini(ch_timer_heap *heap) {
  for (size_t i = 0; i < heap->count; i++)
    heap->timers[i]->place = 0;
  ch_free(heap->alloc, heap->timers);
  *heap = (ch_timer_heap){.alloc = heap->alloc};
}

static void put_at(ch_timer_heap *heap, size_t place, ch_timer *timer) {
  heap->timers[place - 1] = timer;
  timer->place = place;
}

static uint64_t at(const ch_timer_heap *heap, size_t place) {
  return heap->timers[place - 1]->deadline_ms;
}

static void sift_up(ch_timer_heap *heap, ch_timer *timer, size_t place) {
  while (place > 1 && at(heap, place / 2) > timer->deadline_ms) {
    put_at(heap, place, heap->timers[place / 2 - 1]);
    place /= 2;
  }
  put_at(heap, place, timer);
}

static size_t earlier_child(const ch_timer_heap *heap, size_t place) {
  size_t left = place * 2;
  return left + 1 <= heap->count && at(heap, left + 1) < at(heap, left) ? left + 1 : left;
}

static void sift_down(ch_timer_heap *heap, ch_timer *timer, size_t place) {
  while (place * 2 <= heap->count) {
    size_t child = earlier_child(heap, place);
    if (at(heap, child) >= timer->deadline_ms) break;
    put_at(heap, place, heap->timers[child - 1]);
    place = child;
  }
  put_at(heap, place, timer);
}

static int make_room(ch_timer_heap *heap) {
  if (heap->count < heap->cap) return 0;
  size_t cap = heap->cap ? heap->cap * 2 : FIRST_CAP;
  ch_timer **timers = ch_realloc(heap->alloc, heap->timers, cap, sizeof *timers);
  if (!timers) return CHAT_E_NOMEM;
  heap->timers = timers;
  heap->cap = cap;
  return 0;
}

static void move(ch_timer_heap *heap, ch_timer *timer, uint64_t deadline_ms) {
  uint64_t before_ms = timer->deadline_ms;
  timer->deadline_ms = deadline_ms;
  if (deadline_ms < before_ms)
    sift_up(heap, timer, timer->place);
  else
    sift_down(heap, timer, timer->place);
}

int ch_timer_heap_set(ch_timer_heap *heap, ch_timer *timer, uint64_t deadline_ms) {
  if (deadline_ms == CH_NEVER_MS) {
    ch_timer_heap_clear(heap, timer);
    return 0;
  }
  if (timer->place) {
    move(heap, timer, deadline_ms);
    return 0;
  }
  int error = make_room(heap);
  if (error) return error;
  timer->deadline_ms = deadline_ms;
  sift_up(heap, timer, ++heap->count);
  return 0;
}

int ch_timer_heap_set_earlier(ch_timer_heap *heap, ch_timer *timer, uint64_t deadline_ms) {
  if (deadline_ms == CH_NEVER_MS || (timer->place && timer->deadline_ms <= deadline_ms)) return 0;
  return ch_timer_heap_set(heap, timer, deadline_ms);
}

void ch_timer_heap_clear(ch_timer_heap *heap, ch_timer *timer) {
  size_t place = timer->place;
  if (!place) return;
  ch_assert(place <= heap->count && heap->timers[place - 1] == timer);
  ch_timer *last = heap->timers[--heap->count];
  timer->place = 0;
  if (last == timer) return;
  if (place > 1 && at(heap, place / 2) > last->deadline_ms)
    sift_up(heap, last, place);
  else
    sift_down(heap, last, place);
}

ch_timer *ch_timer_heap_due(ch_timer_heap *heap, uint64_t now_ms) {
  if (!heap->count || heap->timers[0]->deadline_ms > now_ms) return NULL;
  ch_timer *first = heap->timers[0];
  ch_timer_heap_clear(heap, first);
  return first;
}

uint64_t ch_timer_heap_next_ms(const ch_timer_heap *heap) {
  return heap->count ? heap->timers[0]->deadline_ms : CH_NEVER_MS;
}
