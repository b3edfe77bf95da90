/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/process.h"

#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "unit/core/run.h"

static void burn(clockid_t clock, double seconds) {
  struct timespec begin, now;
  clock_gettime(clock, &begin);
  do
    clock_gettime(clock, &now);
  while ((double)(now.tv_sec - begin.tv_sec) + (double)(now.tv_nsec - begin.tv_nsec) / 1e9 < seconds);
}

/* A child that has burned 200 ms of CPU counts for its parent; it says so by a byte. */
START_TEST(descendants_count) {
  int said[2];
  char byte;
  ck_assert_int_eq(pipe(said), 0);
  pid_t self = getpid(), child = fork();
  if (child == 0) {
    burn(CLOCK_PROCESS_CPUTIME_ID, 0.2);
    _exit(write(said[1], "x", 1) == 1 && pause());
  }
  process_usage before = process_tree_usage(&self, 1);
  ck_assert_int_eq(read(said[0], &byte, 1), 1);
  process_usage after = process_tree_usage(&self, 1);
  ck_assert_uint_eq(after.count, 2);
  ck_assert_uint_ge(after.cpu_ns, 200000000);
  ck_assert_uint_gt(after.cpu_ns, before.cpu_ns);
  ck_assert_uint_gt(after.rss_bytes, 100000);
  process_usage alone = process_tree_usage(&child, 1);
  ck_assert_uint_eq(alone.count, 1);
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
}
END_TEST

START_TEST(nobody_uses_nothing) {
  ck_assert_uint_eq(process_tree_usage(NULL, 0).count, 0);
}
END_TEST

int main(void) {
  const test_row rows[] = {{descendants_count, 0}, {nobody_uses_nothing, 0}};
  return RUN_TESTS("process", rows);
}
