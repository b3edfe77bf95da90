/* SPDX-License-Identifier: Apache-2.0 */
/* run.h - the main of a unit test: each test of the table runs in a process of its own. */
#ifndef CH_TEST_RUN_H
#define CH_TEST_RUN_H

#include <check.h>
#include <signal.h>
#include <stdlib.h>

typedef struct test_row {
  const TTest *test;
  int signal; /* that must end it; 0: none */
} test_row;

static inline int run_tests(const char *name, const test_row *rows, size_t count) {
  Suite *suite = suite_create(name);
  TCase *tests = tcase_create(name);
  suite_add_tcase(suite, tests);
  for (size_t i = 0; i < count; i++)
    tcase_add_test_raise_signal(tests, rows[i].test, rows[i].signal);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#define RUN_TESTS(name, rows) run_tests(name, rows, sizeof(rows) / sizeof *(rows))

#endif
