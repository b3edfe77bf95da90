/* SPDX-License-Identifier: Apache-2.0 */
#include "server/loop/space.h"

#include <check.h>
#include <stdlib.h>

START_TEST(each_change_is_told_once) {
  ch_space space = {0};
  ck_assert_int_eq(ch_space_check(&space, 0), CH_SPACE_SAME);
  ch_space_failed(&space, 0);
  ck_assert_int_eq(ch_space_check(&space, 5), CH_SPACE_FULL);
  ck_assert(space.is_full);
  ch_space_failed(&space, 9);
  ck_assert_int_eq(ch_space_check(&space, 10), CH_SPACE_SAME);
  ck_assert_int_eq(ch_space_check(&space, 9 + CH_SPACE_QUIET_MS), CH_SPACE_SAME);
  ck_assert_int_eq(ch_space_check(&space, 10 + CH_SPACE_QUIET_MS), CH_SPACE_FREE);
  ck_assert(!space.is_full);
  ck_assert_uint_eq(space.began_ms, 5);
  ck_assert_int_eq(ch_space_check(&space, 11 + CH_SPACE_QUIET_MS), CH_SPACE_SAME);
}
END_TEST

START_TEST(it_may_be_full_again) {
  ch_space space = {0};
  ch_space_failed(&space, 1);
  ck_assert_int_eq(ch_space_check(&space, 1), CH_SPACE_FULL);
  ck_assert_int_eq(ch_space_check(&space, 1 + 2 * CH_SPACE_QUIET_MS), CH_SPACE_FREE);
  ch_space_failed(&space, 2 + 2 * CH_SPACE_QUIET_MS);
  ck_assert_int_eq(ch_space_check(&space, 1 + 2 * CH_SPACE_QUIET_MS), CH_SPACE_FULL); /* read a little earlier */
}
END_TEST

int main(void) {
  Suite *suite = suite_create("space");
  TCase *cases = tcase_create("space");
  tcase_add_test(cases, each_change_is_told_once);
  tcase_add_test(cases, it_may_be_full_again);
  suite_add_tcase(suite, cases);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
