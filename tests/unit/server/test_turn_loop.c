/* SPDX-License-Identifier: Apache-2.0 */
/* The thread of a loop, towards its process. */
#include <errno.h>
#include <unistd.h>

#include "server/loop/turn_loop.h"
#include "unit/core/run.h"

static ch_turn_loop loop;
static int pipes[2];
static int write_error;

static uint64_t no_time(void *arg) {
  (void)arg;
  return 0;
}

static uint64_t write_to_nobody(void *arg, ch_now now) {
  (void)arg, (void)now;
  write_error = write(pipes[1], "x", 1) < 0 ? errno : 0;
  ch_turn_loop_end(&loop);
  return CH_NEVER_MS;
}

/* OpenSSL writes to sockets as it likes. Where the process has not said otherwise the signal would end it. */
START_TEST(a_peer_that_is_gone_is_an_error_and_no_signal) {
  ck_assert_ptr_ne(signal(SIGPIPE, SIG_DFL), SIG_ERR);
  ck_assert_int_eq(pipe(pipes), 0);
  close(pipes[0]);
  ck_assert_int_eq(ch_turn_loop_init(&loop, (chat_clock){no_time, no_time, NULL}, write_to_nobody, NULL), 0);
  ck_assert_int_eq(ch_turn_loop_start(&loop, "test"), 0);
  ch_turn_loop_join(&loop);
  ch_turn_loop_fini(&loop);
  ck_assert_int_eq(write_error, EPIPE);
  close(pipes[1]);
}
END_TEST

int main(void) {
  const test_row tests[] = {{a_peer_that_is_gone_is_an_error_and_no_signal, 0}};
  return RUN_TESTS("turn_loop", tests);
}
