/* SPDX-License-Identifier: Apache-2.0 */
#include "core/timer_heap.h"

#include "unit/core/failing_allocator.h"
#include "unit/core/run.h"

enum { COUNT = 200 };

static ch_timer_heap heap;
static ch_timer timers[COUNT];

/* Against a model: the earliest of an array, looked for one by one. */
static uint64_t earliest(const uint64_t *deadlines) {
  uint64_t least = CH_NEVER_MS;
  for (size_t i = 0; i < COUNT; i++)
    if (deadlines[i] < least) least = deadlines[i];
  return least;
}

START_TEST(random_moves_against_a_model) {
  uint64_t model[COUNT], random = 88172645463325252u;
  ch_timer_heap_init(&heap, NULL);
  for (size_t i = 0; i < COUNT; i++)
    model[i] = CH_NEVER_MS;
  for (int step = 0; step < 20000; step++) {
    random ^= random << 13, random ^= random >> 7, random ^= random << 17;
    size_t i = random % COUNT;
    uint64_t to = random >> 33 & 1023;
    int error = 0;
    switch (random >> 20 & 3) {
    case 0:
      ch_timer_heap_clear(&heap, &timers[i]);
      model[i] = CH_NEVER_MS;
      break;
    case 1:
      error = ch_timer_heap_set_earlier(&heap, &timers[i], to);
      model[i] = to < model[i] ? to : model[i];
      break;
    default:
      error = ch_timer_heap_set(&heap, &timers[i], to);
      model[i] = to;
    }
    ck_assert_int_eq(error, 0);
    ck_assert_uint_eq(ch_timer_heap_next_ms(&heap), earliest(model));
  }
  uint64_t last = 0;
  for (ch_timer *timer = ch_timer_heap_due(&heap, 2000); timer; timer = ch_timer_heap_due(&heap, 2000)) {
    ck_assert_uint_ge(timer->deadline_ms, last);
    ck_assert_uint_eq(timer->deadline_ms, model[timer - timers]);
    last = timer->deadline_ms;
    model[timer - timers] = CH_NEVER_MS;
  }
  ck_assert_uint_eq(earliest(model), CH_NEVER_MS);
  ch_timer_heap_fini(&heap);
}
END_TEST

START_TEST(nothing_is_due_before_its_time) {
  ch_timer_heap_init(&heap, NULL);
  ck_assert_uint_eq(ch_timer_heap_next_ms(&heap), CH_NEVER_MS);
  ck_assert_int_eq(ch_timer_heap_set(&heap, &timers[0], 10), 0);
  ck_assert_ptr_null(ch_timer_heap_due(&heap, 9));
  ck_assert_ptr_eq(ch_timer_heap_due(&heap, 10), &timers[0]);
  ck_assert_ptr_null(ch_timer_heap_due(&heap, 10));
  ck_assert_int_eq(ch_timer_heap_set(&heap, &timers[0], 10), 0);
  ck_assert_int_eq(ch_timer_heap_set(&heap, &timers[0], CH_NEVER_MS), 0);
  ck_assert_uint_eq(ch_timer_heap_next_ms(&heap), CH_NEVER_MS);
  ch_timer_heap_fini(&heap);
}
END_TEST

START_TEST(earlier_or_not_at_all) {
  ch_timer_heap_init(&heap, NULL);
  ck_assert_int_eq(ch_timer_heap_set_earlier(&heap, &timers[0], CH_NEVER_MS), 0);
  ck_assert_uint_eq(ch_timer_heap_next_ms(&heap), CH_NEVER_MS);
  ck_assert_int_eq(ch_timer_heap_set_earlier(&heap, &timers[0], 20), 0);
  ck_assert_int_eq(ch_timer_heap_set_earlier(&heap, &timers[0], CH_NEVER_MS), 0); /* unlike set, it takes no deadline away */
  ck_assert_int_eq(ch_timer_heap_set_earlier(&heap, &timers[0], 30), 0);
  ck_assert_uint_eq(ch_timer_heap_next_ms(&heap), 20);
  ck_assert_int_eq(ch_timer_heap_set_earlier(&heap, &timers[0], 10), 0);
  ck_assert_uint_eq(ch_timer_heap_next_ms(&heap), 10);
  ch_timer_heap_fini(&heap);
}
END_TEST

START_TEST(without_memory_a_timer_stays_unset) {
  failing_allocator memory;
  failing_allocator_init(&memory, 0);
  ch_timer_heap_init(&heap, &memory.alloc);
  ck_assert_int_eq(ch_timer_heap_set(&heap, &timers[0], 10), CHAT_E_NOMEM);
  ck_assert_uint_eq(timers[0].place, 0);
  memory.left = 1;
  ck_assert_int_eq(ch_timer_heap_set(&heap, &timers[0], 10), 0);
  ck_assert_int_eq(ch_timer_heap_set(&heap, &timers[0], 20), 0); /* moving needs none */
  ch_timer_heap_fini(&heap);
  ck_assert_uint_eq(timers[0].place, 0);
  ck_assert_uint_eq(memory.live, 0);
}
END_TEST

int main(void) {
  const test_row rows[] = {
      {random_moves_against_a_model, 0},
      {nothing_is_due_before_its_time, 0},
      {earlier_or_not_at_all, 0},
      {without_memory_a_timer_stays_unset, 0},
  };
  return RUN_TESTS("timer_heap", rows);
}
