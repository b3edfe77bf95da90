/* SPDX-License-Identifier: Apache-2.0 */
#include "core/order_buffer.h"

#include <chat/chat.h>

#include "failing_allocator.h"
#include "run.h"

/* An item is a number of its own here; the test counts what the buffer frees. */
static int items[16];
static int freed_count;
static failing_allocator memory;
static ch_order_buffer buffer;

static void free_item(void *item) {
  (void)item;
  freed_count++;
}

static void setup(size_t allocations) {
  failing_allocator_init(&memory, allocations);
  const ch_order_buffer_limits limits = {.items_max = 8, .bytes_max = 100, .hold_ms = 300};
  ch_order_buffer_init(&buffer, &memory.alloc, limits, free_item);
}

static void teardown(void) {
  ch_order_buffer_fini(&buffer);
  ck_assert_uint_eq(memory.live, 0);
}

/* Puts items[number], waiting for prev. */
static int put(uint64_t number, uint64_t prev, uint64_t now_ms) {
  return ch_order_buffer_put(&buffer, number, prev, &items[number], 10, now_ms);
}

START_TEST(events_come_out_in_order) {
  setup(100);
  ck_assert_int_eq(put(4, 3, 0), 0);
  ck_assert_int_eq(put(2, 1, 0), 0);
  ck_assert_int_eq(put(3, 2, 0), 0);
  ck_assert_ptr_null(ch_order_buffer_pop_ready(&buffer, 0));
  ck_assert_ptr_eq(ch_order_buffer_pop_ready(&buffer, 1), &items[2]);
  ck_assert_ptr_null(ch_order_buffer_pop_ready(&buffer, 1));
  ck_assert_ptr_eq(ch_order_buffer_pop_ready(&buffer, 2), &items[3]);
  ck_assert_ptr_eq(ch_order_buffer_pop_ready(&buffer, 3), &items[4]);
  ck_assert_ptr_null(ch_order_buffer_pop_ready(&buffer, 4));
  teardown();
}
END_TEST

/* Rule G1: a SEND waits for its prev, not for the number before its own. */
START_TEST(sends_wait_for_their_prev) {
  setup(100);
  put(9, 7, 0);
  put(7, 4, 0);
  ck_assert_ptr_null(ch_order_buffer_pop_ready(&buffer, 3));
  ck_assert_ptr_eq(ch_order_buffer_pop_ready(&buffer, 4), &items[7]);
  ck_assert_ptr_null(ch_order_buffer_pop_ready(&buffer, 4));
  ck_assert_ptr_eq(ch_order_buffer_pop_ready(&buffer, 7), &items[9]);
  put(9, 1, 0);
  put(7, 6, 0);
  ck_assert_ptr_eq(ch_order_buffer_pop_ready(&buffer, 2), &items[9]); /* a lower number that is not ready does not hold it up */
  teardown();
}
END_TEST

START_TEST(duplicates_are_refused) {
  setup(100);
  put(5, 4, 0);
  put(6, 5, 0);
  ck_assert_int_eq(put(5, 4, 10), CHAT_E_EXISTS);
  ck_assert_int_eq(put(6, 5, 10), CHAT_E_EXISTS);
  ck_assert_uint_eq(buffer.count, 2);
  ck_assert_uint_eq(buffer.bytes_len, 20);
  teardown();
  ck_assert_int_eq(freed_count, 2);
}
END_TEST

START_TEST(count_is_bounded) {
  setup(100);
  for (uint64_t number = 1; number <= 8; number++)
    ck_assert_int_eq(put(number, number - 1, 0), 0);
  ck_assert_int_eq(put(9, 8, 0), CHAT_E_BUSY);
  ck_assert_ptr_eq(ch_order_buffer_pop_ready(&buffer, 0), &items[1]);
  ck_assert_int_eq(put(9, 8, 0), 0);
  teardown();
}
END_TEST

START_TEST(bytes_are_bounded) {
  setup(100);
  ck_assert_int_eq(ch_order_buffer_put(&buffer, 1, 0, &items[1], 101, 0), CHAT_E_BUSY);
  ck_assert_int_eq(ch_order_buffer_put(&buffer, 1, 0, &items[1], 60, 0), 0);
  ck_assert_int_eq(ch_order_buffer_put(&buffer, 2, 1, &items[2], 41, 0), CHAT_E_BUSY);
  ck_assert_int_eq(ch_order_buffer_put(&buffer, 2, 1, &items[2], 40, 0), 0);
  ck_assert_ptr_eq(ch_order_buffer_pop_ready(&buffer, 0), &items[1]);
  ck_assert_uint_eq(buffer.bytes_len, 40);
  ck_assert_int_eq(ch_order_buffer_put(&buffer, 3, 2, &items[3], 60, 0), 0);
  teardown();
}
END_TEST

START_TEST(items_expire_in_order_of_number) {
  setup(100);
  ck_assert_uint_eq(ch_order_buffer_next_deadline_ms(&buffer), CH_NEVER_MS);
  put(6, 5, 100);
  put(3, 2, 150);
  put(9, 8, 500);
  ck_assert_uint_eq(ch_order_buffer_next_deadline_ms(&buffer), 400);
  ck_assert_ptr_null(ch_order_buffer_expire(&buffer, 399));
  ck_assert_ptr_eq(ch_order_buffer_expire(&buffer, 450), &items[3]);
  ck_assert_ptr_eq(ch_order_buffer_expire(&buffer, 450), &items[6]);
  ck_assert_ptr_null(ch_order_buffer_expire(&buffer, 450));
  ck_assert_uint_eq(ch_order_buffer_next_deadline_ms(&buffer), 800);
  teardown();
}
END_TEST

/* The earlier one waits behind a lower number that came later. */
START_TEST(only_what_is_due_expires) {
  setup(100);
  put(3, 2, 200);
  put(6, 5, 100);
  ck_assert_ptr_eq(ch_order_buffer_expire(&buffer, 400), &items[6]);
  ck_assert_ptr_null(ch_order_buffer_expire(&buffer, 400));
  teardown();
}
END_TEST

START_TEST(the_end_of_time_does_not_wrap) {
  setup(100);
  put(3, 2, CH_NEVER_MS - 1);
  ck_assert_uint_eq(ch_order_buffer_next_deadline_ms(&buffer), CH_NEVER_MS);
  ck_assert_ptr_null(ch_order_buffer_expire(&buffer, CH_NEVER_MS - 1));
  teardown();
}
END_TEST

START_TEST(a_range_that_came_is_dropped) {
  setup(100);
  put(3, 2, 0);
  put(5, 4, 0);
  put(8, 7, 0);
  ch_order_buffer_drop_through(&buffer, 5);
  ck_assert_int_eq(freed_count, 2);
  ck_assert_uint_eq(buffer.count, 1);
  ch_order_buffer_clear(&buffer);
  ck_assert_int_eq(freed_count, 3);
  ck_assert_uint_eq(buffer.bytes_len, 0);
  teardown();
}
END_TEST

START_TEST(no_memory_changes_nothing) {
  setup(1);
  for (uint64_t number = 1; number <= 4; number++)
    ck_assert_int_eq(put(number, number - 1, 0), 0);
  ck_assert_int_eq(put(5, 4, 0), CHAT_E_NOMEM);
  ck_assert_uint_eq(buffer.count, 4);
  ck_assert_ptr_eq(ch_order_buffer_pop_ready(&buffer, 0), &items[1]);
  teardown();
}
END_TEST

int main(void) {
  const test_row rows[] = {
      {events_come_out_in_order, 0},
      {sends_wait_for_their_prev, 0},
      {duplicates_are_refused, 0},
      {count_is_bounded, 0},
      {bytes_are_bounded, 0},
      {items_expire_in_order_of_number, 0},
      {only_what_is_due_expires, 0},
      {the_end_of_time_does_not_wrap, 0},
      {a_range_that_came_is_dropped, 0},
      {no_memory_changes_nothing, 0},
  };
  return RUN_TESTS("order_buffer", rows);
}
