/* SPDX-License-Identifier: Apache-2.0 */
#include "core/intervals.h"

#include "run.h"

static ch_intervals intervals;

/* A member of (10, 20] and (30, ...]. */
static void setup(void) {
  intervals = (ch_intervals){0};
  ck_assert(ch_intervals_join(&intervals, 10));
  ck_assert(ch_intervals_leave(&intervals, 20));
  ck_assert(ch_intervals_join(&intervals, 30));
}

static void range_is(bool found, ch_seq_range range, uint64_t first, uint64_t last) {
  ck_assert(found == (first != 0));
  ck_assert_uint_eq(range.first, first);
  ck_assert_uint_eq(range.last, last);
}

static void clips_to(uint64_t first, uint64_t last, ch_seq_range low, ch_seq_range high) {
  ch_seq_range out;
  bool found = ch_intervals_clip_low(&intervals, (ch_seq_range){first, last}, &out);
  range_is(found, out, low.first, low.last);
  found = ch_intervals_clip_high(&intervals, (ch_seq_range){first, last}, &out);
  range_is(found, out, high.first, high.last);
}

START_TEST(a_stranger_reads_nothing) {
  intervals = (ch_intervals){0};
  ck_assert(!ch_intervals_is_open(&intervals));
  ck_assert(!ch_intervals_may_read(&intervals, 1));
  ck_assert(!ch_intervals_leave(&intervals, 5));
  ck_assert_uint_eq(ch_intervals_next(&intervals, 0), CH_INTERVAL_OPEN);
  ck_assert_uint_eq(ch_intervals_prev(&intervals, 100), 0);
  clips_to(1, 100, (ch_seq_range){0, 0}, (ch_seq_range){0, 0});
}
END_TEST

START_TEST(reading_begins_behind_joining_and_ends_with_leaving) {
  setup();
  const struct {
    uint64_t seq;
    bool readable;
  } rows[] = {{0, 0}, {10, 0}, {11, 1}, {20, 1}, {21, 0}, {30, 0}, {31, 1}, {1000000, 1}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    ck_assert_msg(ch_intervals_may_read(&intervals, rows[i].seq) == rows[i].readable, "row %zu", i);
}
END_TEST

START_TEST(joining_and_leaving_twice_has_no_effect) {
  setup();
  ck_assert(ch_intervals_is_open(&intervals));
  ck_assert(!ch_intervals_join(&intervals, 40));
  ck_assert(ch_intervals_may_read(&intervals, 35));
  ck_assert(ch_intervals_leave(&intervals, 50));
  ck_assert(!ch_intervals_leave(&intervals, 60));
  ck_assert(!ch_intervals_may_read(&intervals, 55));
  ck_assert(!ch_intervals_is_open(&intervals));
}
END_TEST

START_TEST(the_neighbouring_seqs) {
  setup();
  ck_assert_uint_eq(ch_intervals_next(&intervals, 0), 11);
  ck_assert_uint_eq(ch_intervals_next(&intervals, 15), 15);
  ck_assert_uint_eq(ch_intervals_next(&intervals, 21), 31);
  ck_assert_uint_eq(ch_intervals_prev(&intervals, 10), 0);
  ck_assert_uint_eq(ch_intervals_prev(&intervals, 15), 15);
  ck_assert_uint_eq(ch_intervals_prev(&intervals, 30), 20);
  ck_assert_uint_eq(ch_intervals_prev(&intervals, 99), 99);
  ch_intervals_leave(&intervals, 40);
  ck_assert_uint_eq(ch_intervals_next(&intervals, 41), CH_INTERVAL_OPEN);
}
END_TEST

START_TEST(ranges_are_clipped_from_either_end) {
  setup();
  clips_to(1, 100, (ch_seq_range){11, 20}, (ch_seq_range){31, 100});
  clips_to(15, 35, (ch_seq_range){15, 20}, (ch_seq_range){31, 35});
  clips_to(12, 18, (ch_seq_range){12, 18}, (ch_seq_range){12, 18});
  clips_to(1, 10, (ch_seq_range){0, 0}, (ch_seq_range){0, 0});
  clips_to(21, 30, (ch_seq_range){0, 0}, (ch_seq_range){0, 0});
  clips_to(40, 35, (ch_seq_range){0, 0}, (ch_seq_range){0, 0}); /* upside down */
}
END_TEST

START_TEST(from_the_start_takes_in_what_was_before) {
  setup();
  ch_intervals_leave(&intervals, 40);
  ck_assert(ch_intervals_join(&intervals, 0));
  ck_assert_uint_eq(intervals.count, 1);
  ck_assert(ch_intervals_may_read(&intervals, 1));
  ck_assert(ch_intervals_may_read(&intervals, 25));
}
END_TEST

START_TEST(an_interval_that_touches_goes_on) {
  setup();
  ch_intervals_leave(&intervals, 40);
  ck_assert(ch_intervals_join(&intervals, 40));
  ck_assert_uint_eq(intervals.count, 2);
  ck_assert(ch_intervals_may_read(&intervals, 31));
  ck_assert(ch_intervals_may_read(&intervals, 41));
  ck_assert(!ch_intervals_may_read(&intervals, 30));
}
END_TEST

START_TEST(leaving_at_once_reads_nothing) {
  intervals = (ch_intervals){0};
  ch_intervals_join(&intervals, 10);
  ck_assert(ch_intervals_leave(&intervals, 10));
  ck_assert(!ch_intervals_may_read(&intervals, 10));
  ck_assert(!ch_intervals_may_read(&intervals, 11));
  clips_to(1, 100, (ch_seq_range){0, 0}, (ch_seq_range){0, 0});
}
END_TEST

/* The bound forgets; it never shows what lay between two intervals. */
START_TEST(the_oldest_is_forgotten_at_the_bound) {
  intervals = (ch_intervals){0};
  for (uint64_t i = 1; i <= CHAT_MEMBER_INTERVALS_MAX + 1; i++) {
    ch_intervals_join(&intervals, i * 10);
    ch_intervals_leave(&intervals, i * 10 + 5);
  }
  ck_assert_uint_eq(intervals.count, CHAT_MEMBER_INTERVALS_MAX);
  ck_assert_uint_eq(ch_intervals_next(&intervals, 0), 21);
  for (uint64_t seq = 1; seq < 200; seq++) {
    bool was_member = seq > 20 && seq < 96 && seq % 10 >= 1 && seq % 10 <= 5;
    ck_assert(ch_intervals_may_read(&intervals, seq) == was_member);
  }
}
END_TEST

START_TEST(leaving_before_joining_is_misuse) {
  setup();
  ch_intervals_leave(&intervals, 29);
}
END_TEST

START_TEST(leaving_never_is_misuse) {
  setup();
  ch_intervals_leave(&intervals, CH_INTERVAL_OPEN);
}
END_TEST

START_TEST(joining_never_is_misuse) {
  intervals = (ch_intervals){0};
  ch_intervals_join(&intervals, CH_INTERVAL_OPEN);
}
END_TEST

int main(void) {
  const test_row rows[] = {
      {a_stranger_reads_nothing, 0},
      {reading_begins_behind_joining_and_ends_with_leaving, 0},
      {joining_and_leaving_twice_has_no_effect, 0},
      {the_neighbouring_seqs, 0},
      {ranges_are_clipped_from_either_end, 0},
      {from_the_start_takes_in_what_was_before, 0},
      {an_interval_that_touches_goes_on, 0},
      {leaving_at_once_reads_nothing, 0},
      {the_oldest_is_forgotten_at_the_bound, 0},
      {leaving_before_joining_is_misuse, SIGABRT},
      {leaving_never_is_misuse, SIGABRT},
      {joining_never_is_misuse, SIGABRT},
  };
  return RUN_TESTS("intervals", rows);
}
