/* SPDX-License-Identifier: Apache-2.0 */
/* What every server backend owes: ops come back once and on their own port, a wake says so, bounds are said, cancelling ends what waits. */
#define _DEFAULT_SOURCE
#include <stdlib.h>

#include "contract/suite.h"
#include "core/op.h"
#include "unit/backend/bench_port.h"

static port_subject subject;
static bench_port one, two;

static void open_ports(void) {
  bench_open(&one, *subject.backend);
  bench_open(&two, *subject.backend);
}

static void close_ports(void) {
  bench_port_close(&two);
  bench_port_close(&one);
}

static int submit(bench_port *port, chat_op *op) {
  return port->backend.vtable->submit(port->backend.self, port->port, op);
}

static unsigned wakes_of(bench_port *port) {
  pthread_mutex_lock(&port->lock);
  unsigned wakes = port->wakes;
  pthread_mutex_unlock(&port->lock);
  return wakes;
}

START_TEST(the_vtable_is_filled_in) {
  const chat_backend_vtable *vtable = subject.backend->vtable;
  ck_assert_uint_eq(vtable->size, sizeof *vtable);
  ck_assert_ptr_nonnull(vtable->name);
  ck_assert(vtable->port_new && vtable->port_cancel && vtable->port_free && vtable->submit && vtable->poll && vtable->free);
}
END_TEST

START_TEST(an_op_comes_back_once_with_its_tag_on_its_port) {
  open_ports();
  chat_op *op = subject.quick();
  op->tag = 0x1234567890abcdef;
  op->owner = &one;
  bench_submit(&one, op);
  ck_assert_ptr_eq(bench_next(&one), op);
  ck_assert_int_eq(op->status, subject.quick_status);
  ck_assert_uint_eq(op->tag, 0x1234567890abcdef);
  ck_assert_ptr_eq(op->owner, &one);
  ck_assert_ptr_null(bench_poll(&one));
  ck_assert_ptr_null(bench_poll(&two));
  ch_op_free(op);
  close_ports();
}
END_TEST

/* Whoever polls only after a wake must not miss anything: bench_next sleeps until one. */
START_TEST(a_wake_says_that_there_is_something) {
  open_ports();
  for (int i = 0; i < 100; i++) {
    chat_op *op = subject.quick();
    bench_submit(&one, op);
    pthread_mutex_lock(&one.lock);
    while (one.wakes == 0)
      pthread_cond_wait(&one.woken, &one.lock);
    one.wakes = 0;
    pthread_mutex_unlock(&one.lock);
    ck_assert_ptr_eq(bench_poll(&one), op);
    ch_op_free(op);
  }
  ck_assert_uint_eq(wakes_of(&two), 0);
  close_ports();
}
END_TEST

START_TEST(an_unknown_op_is_unsupported) {
  open_ports();
  const uint32_t kinds[] = {0, 15, 63, 0x7fffffff, UINT32_MAX};
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    chat_op *op = ch_op_new(NULL, kinds[i], 4096);
    ck_assert_int_eq(bench_do(&one, op), CHAT_E_UNSUPPORTED);
    ch_op_free(op);
  }
  close_ports();
}
END_TEST

START_TEST(a_canceled_port_takes_nothing_more) {
  open_ports();
  bench_cancel(&one);
  chat_op *op = subject.quick();
  ck_assert_int_eq(submit(&one, op), CHAT_E_CLOSED);
  ck_assert_ptr_null(bench_poll(&one));
  ck_assert_int_eq(bench_do(&two, op), subject.quick_status); /* it stayed the caller's, and the other port goes on */
  ch_op_free(op);
  close_ports();
}
END_TEST

START_TEST(what_is_under_way_finishes_after_the_cancel) {
  open_ports();
  chat_op *op = subject.quick();
  bench_submit(&one, op);
  bench_cancel(&one);
  ck_assert_ptr_eq(bench_next(&one), op);
  ck_assert_int_eq(op->status, subject.quick_status);
  ch_op_free(op);
  close_ports();
}
END_TEST

START_TEST(a_cancel_ends_the_long_polls_of_its_port) {
  if (!subject.long_poll) return;
  open_ports();
  chat_op *op = subject.long_poll();
  bench_submit(&one, op);
  ck_assert_ptr_null(bench_poll(&one));
  bench_cancel(&two);
  ck_assert_ptr_null(bench_poll(&one));
  bench_cancel(&one);
  ck_assert_ptr_eq(bench_next(&one), op);
  ck_assert_int_eq(op->status, CHAT_E_CANCELED);
  ck_assert_ptr_null(bench_poll(&one));
  ch_op_free(op);
  close_ports();
}
END_TEST

/* Nobody polls: at some number of ops submit says so, and keeps none of what it did not take. */
START_TEST(a_full_port_is_busy) {
  enum { MORE_THAN_ANY = 100000 };
  open_ports();
  size_t taken = 0;
  chat_op *op = subject.quick();
  int error;
  while ((error = submit(&one, op)) == 0 && ++taken < MORE_THAN_ANY)
    op = subject.quick();
  ck_assert_int_eq(error, CHAT_E_BUSY);
  ck_assert_int_eq(bench_do(&two, op), subject.quick_status);
  ch_op_free(op);
  for (size_t i = 0; i < taken; i++) {
    op = bench_next(&one);
    ck_assert_int_eq(op->status, subject.quick_status);
    ch_op_free(op);
  }
  ck_assert_ptr_null(bench_poll(&one));
  op = subject.quick();
  ck_assert_int_eq(bench_do(&one, op), subject.quick_status);
  ch_op_free(op);
  close_ports();
}
END_TEST

static const TTest *const *port_tests(size_t *count) {
  static const TTest *tests[8];
  size_t n = 0;
  tests[n++] = the_vtable_is_filled_in;
  tests[n++] = an_op_comes_back_once_with_its_tag_on_its_port;
  tests[n++] = a_wake_says_that_there_is_something;
  tests[n++] = an_unknown_op_is_unsupported;
  tests[n++] = a_canceled_port_takes_nothing_more;
  tests[n++] = what_is_under_way_finishes_after_the_cancel;
  tests[n++] = a_cancel_ends_the_long_polls_of_its_port;
  tests[n++] = a_full_port_is_busy;
  *count = n;
  return tests;
}

/* ------------------------------------------------------------------------------------------------ the suite */

static void add(TCase *tcase, const TTest *const *tests, size_t count) {
  for (size_t i = 0; i < count; i++)
    tcase_add_test(tcase, tests[i]);
}

int contract_run(const contract_suite *contract) {
  Suite *suite = suite_create(contract->kind);
  subject = contract->port;
  size_t port_count;
  const TTest *const *ports = port_tests(&port_count);
  for (size_t i = 0; i < contract->version_count; i++) {
    const contract_version *version = &contract->versions[i];
    TCase *tcase = tcase_create(version->name);
    tcase_add_checked_fixture(tcase, version->open, version->close);
    add(tcase, contract->tests, contract->test_count);
    if (subject.backend) add(tcase, ports, port_count);
    suite_add_tcase(suite, tcase);
  }
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
