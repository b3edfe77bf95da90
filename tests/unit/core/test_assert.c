/* SPDX-License-Identifier: Apache-2.0 */
/* Asserts stop the process in every build, also where somebody defines NDEBUG. */
#define NDEBUG
#include "core/assert.h"

#include <check.h>
#include <signal.h>

START_TEST(false_aborts) {
  ch_assert(_i != _i);
}
END_TEST

START_TEST(true_goes_on_and_is_evaluated_once) {
  int count = 0;
  ch_assert(++count == 1);
  ck_assert_int_eq(count, 1);
}
END_TEST

int main(void) {
  Suite *suite = suite_create("assert");
  TCase *tcase = tcase_create("all");
  tcase_add_test_raise_signal(tcase, false_aborts, SIGABRT);
  tcase_add_test(tcase, true_goes_on_and_is_evaluated_once);
  suite_add_tcase(suite, tcase);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed != 0;
}
