/* SPDX-License-Identifier: Apache-2.0 */
#include "core/snowflake.h"

#include "run.h"

/* Expected values were computed apart, with Python's integers: ((unix_ms - 1704067200000) << 22) | (partition << 12) | sequence. */
START_TEST(known_ids) {
  ck_assert_uint_eq(ch_snowflake_compose(CH_SNOWFLAKE_EPOCH_MS, 0, 0), 0);
  ck_assert_uint_eq(ch_snowflake_compose(UINT64_C(1704067201000), 5, 0), UINT64_C(4194324480));
  ck_assert_uint_eq(ch_snowflake_compose(UINT64_C(1735689600123), 777, 4095), UINT64_C(132633959328686079));
}
END_TEST

START_TEST(limits_of_time) {
  ck_assert_uint_eq(ch_snowflake_compose(0, 3, 4), 3 << 12 | 4);
  ck_assert_uint_eq(ch_snowflake_compose(CH_SNOWFLAKE_EPOCH_MS - 1, 0, 1), 1);
  uint64_t last_ms = CH_SNOWFLAKE_EPOCH_MS + (UINT64_C(1) << 41) - 1;
  ck_assert_uint_eq(ch_snowflake_compose(last_ms, 1023, 4095), INT64_MAX);
  ck_assert_uint_eq(ch_snowflake_compose(UINT64_MAX, 1023, 4095), INT64_MAX);
}
END_TEST

START_TEST(partitions_are_modulo_1024) {
  ck_assert_uint_eq(ch_snowflake_compose(CH_SNOWFLAKE_EPOCH_MS, 1024 + 9, 0), ch_snowflake_compose(CH_SNOWFLAKE_EPOCH_MS, 9, 0));
}
END_TEST

END_TEST

START_TEST(a_sequence_too_high_is_misuse) {
  ch_snowflake_compose(0, 0, 4096);
}
END_TEST

START_TEST(next_follows_time_or_the_last) {
  uint64_t by_time = UINT64_C(4194324480); /* of 1704067201000 and partition 5, as above */
  ck_assert_uint_eq(ch_message_id_next(0, UINT64_C(1704067201000), 5), by_time);
  ck_assert_uint_eq(ch_message_id_next(by_time - 1, UINT64_C(1704067201000), 5), by_time);
  ck_assert_uint_eq(ch_message_id_next(by_time, UINT64_C(1704067201000), 5), by_time + 1);
  ck_assert_uint_eq(ch_message_id_next(by_time + 700, 0, 5), by_time + 701); /* the log's clock went back */
  ck_assert_uint_eq(ch_message_id_next(0, 0, 0), 1);
}
END_TEST

START_TEST(the_end_of_ids_is_a_broken_invariant) {
  ch_message_id_next(INT64_MAX, 0, 0);
}
END_TEST

int main(void) {
  const test_row rows[] = {
      {known_ids, 0},
      {limits_of_time, 0},
      {partitions_are_modulo_1024, 0},
      {a_sequence_too_high_is_misuse, SIGABRT},
      {next_follows_time_or_the_last, 0},
      {the_end_of_ids_is_a_broken_invariant, SIGABRT},
  };
  return RUN_TESTS("snowflake", rows);
}
