/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/pace.h"

#include "engine/clock.h"
#include "unit/core/run.h"

/* 100,000 Poisson arrivals: their number has a standard deviation of 316, so 2 % is more than six of them. */
START_TEST(as_many_as_the_rate_says) {
  bench_pace pace;
  uint64_t start_ns, count = 0;
  pace_init(&pace, 10000, 0);
  while (pace_due(&pace, 10 * CLOCK_SECOND_NS, &start_ns))
    count++;
  ck_assert_uint_ge(count, 98000);
  ck_assert_uint_le(count, 102000);
}
END_TEST

/* Whoever asks late gets all that were due meanwhile, each with the time that was meant: the same as one who asks in time. */
START_TEST(late_ones_keep_their_times) {
  bench_pace prompt, late;
  pace_init(&prompt, 1000, 0);
  pace_init(&late, 1000, 0);
  uint64_t in_time_ns, late_ns;
  for (int i = 0; i < 1000; i++) {
    ck_assert(pace_due(&prompt, pace_next_ns(&prompt), &in_time_ns));
    ck_assert(pace_due(&late, 100 * CLOCK_SECOND_NS, &late_ns));
    ck_assert_uint_eq(in_time_ns, late_ns);
  }
}
END_TEST

START_TEST(without_a_rate_nothing_is_due) {
  bench_pace pace;
  uint64_t start_ns;
  pace_init(&pace, 0, 5);
  ck_assert(!pace_due(&pace, UINT64_MAX - 1, &start_ns));
  ck_assert_uint_eq(pace_next_ns(&pace), CLOCK_NEVER_NS);
}
END_TEST

int main(void) {
  const test_row rows[] = {
      {as_many_as_the_rate_says, 0},
      {late_ones_keep_their_times, 0},
      {without_a_rate_nothing_is_due, 0},
  };
  return RUN_TESTS("pace", rows);
}
