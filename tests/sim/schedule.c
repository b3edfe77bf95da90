/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/schedule.h"

#include <stdlib.h>

#include "core/assert.h"

static bool before(const sim_step *a, const sim_step *b) {
  return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->order < b->order;
}

static void swap(sim_step *a, sim_step *b) {
  sim_step kept = *a;
  *a = *b;
  *b = kept;
}

static void rise(sim_schedule *schedule, size_t at) {
  for (; at > 0 && before(&schedule->heap[at], &schedule->heap[(at - 1) / 2]); at = (at - 1) / 2)
    swap(&schedule->heap[at], &schedule->heap[(at - 1) / 2]);
}

static void sink(sim_schedule *schedule) {
  for (size_t at = 0;;) {
    size_t child = 2 * at + 1;
    if (child >= schedule->count) return;
    if (child + 1 < schedule->count && before(&schedule->heap[child + 1], &schedule->heap[child])) child++;
    if (!before(&schedule->heap[child], &schedule->heap[at])) return;
    swap(&schedule->heap[at], &schedule->heap[child]);
    at = child;
  }
}

void sim_schedule_at(sim_schedule *schedule, uint64_t at_ms, sim_step_fn *fn, void *arg, uint64_t number) {
  if (schedule->count == schedule->cap) {
    schedule->cap = schedule->cap ? 2 * schedule->cap : 1024;
    schedule->heap = realloc(schedule->heap, schedule->cap * sizeof *schedule->heap);
    ch_assert(schedule->heap);
  }
  schedule->heap[schedule->count] = (sim_step){at_ms, schedule->orders++, fn, arg, number};
  rise(schedule, schedule->count++);
}

bool sim_schedule_take(sim_schedule *schedule, uint64_t until_ms, sim_step *step) {
  if (schedule->count == 0 || schedule->heap[0].at_ms > until_ms) return false;
  *step = schedule->heap[0];
  schedule->heap[0] = schedule->heap[--schedule->count];
  sink(schedule);
  return true;
}

void sim_schedule_fini(sim_schedule *schedule) {
  free(schedule->heap);
  *schedule = (sim_schedule){0};
}
