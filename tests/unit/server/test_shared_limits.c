/* SPDX-License-Identifier: Apache-2.0 */
/* A limit holds for the process, whichever threads draw, and however far apart their clocks are within a turn. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "server/loop/shared_limits.h"
#include "unit/core/failing_allocator.h"
#include "unit/core/run.h"

enum { THREADS = 4, DRAWS = 20000, START_MS = 1000000, BURST = 50, RATE_PER_MIN = 60000 /* one a millisecond */ };

static failing_allocator memory;
static ch_env env;
static ch_shared_limits *shared;
static ch_limiter limiter;

static void counting_random(void *arg, void *buf, size_t len) {
  static uint8_t next;
  (void)arg;
  memset(buf, ++next, len);
}

static void begin(uint32_t buckets_max) {
  failing_allocator_init(&memory, SIZE_MAX);
  env = (ch_env){.alloc = &memory.alloc, .random = counting_random};
  ch_limits_config config = {.classes = {[CH_LIMITS_ADDRESS] = {.rate_per_min = RATE_PER_MIN, .burst = BURST, .buckets_max = buckets_max}}};
  ck_assert_int_eq(ch_shared_limits_new(&env, &config, &shared), 0);
  limiter = ch_shared_limits_limiter(shared);
}

static void end(void) {
  ch_shared_limits_free(shared);
  ck_assert_uint_eq(memory.live, 0);
}

static bool passes(const char *key, uint64_t now_ms) {
  uint64_t retry_after_ms = 0;
  int error = limiter.take(limiter.self, CH_LIMITS_ADDRESS, ch_bytes_text(key), 1, now_ms, &retry_after_ms);
  ck_assert(error == 0 || (error == CHAT_E_AGAIN && retry_after_ms >= 1));
  return error == 0;
}

typedef struct drawer {
  pthread_t thread;
  uint64_t now_ms;
  size_t passed;
} drawer;

static void *draw(void *arg) {
  drawer *self = arg;
  for (int i = 0; i < DRAWS; i++) self->passed += passes("a", self->now_ms);
  return NULL;
}

static size_t draw_by_threads(uint64_t apart_ms) {
  drawer drawers[THREADS] = {0};
  size_t passed = 0;
  for (int i = 0; i < THREADS; i++) {
    drawers[i].now_ms = START_MS + apart_ms * (uint64_t)i;
    ck_assert_int_eq(pthread_create(&drawers[i].thread, NULL, draw, &drawers[i]), 0);
  }
  for (int i = 0; i < THREADS; i++) {
    pthread_join(drawers[i].thread, NULL);
    passed += drawers[i].passed;
  }
  return passed;
}

START_TEST(threads_have_one_bucket) {
  begin(1000);
  ck_assert_uint_eq(draw_by_threads(0), BURST);
  end();
}
END_TEST

/* A token a millisecond: between the earliest and the latest clock there are 30. */
START_TEST(clocks_that_differ_by_a_turn_give_nothing_away) {
  begin(1000);
  ck_assert_uint_le(draw_by_threads(10), BURST + 30);
  end();
}
END_TEST

START_TEST(taking_turns_between_two_clocks_gives_nothing_away) {
  begin(1000);
  size_t passed = 0;
  for (int i = 0; i < DRAWS; i++) passed += passes("a", START_MS + (i % 2 ? 10 : 0));
  ck_assert_uint_eq(passed, BURST + 1); /* one was drawn before the 10 ms had passed, and a bucket is never more than full */
  end();
}
END_TEST

START_TEST(keys_are_apart_and_bounded) {
  char key[16];
  begin(160);
  for (int i = 0; i < 10000; i++) {
    snprintf(key, sizeof key, "k%d", i);
    ck_assert(passes(key, START_MS));
  }
  ck_assert_uint_eq(memory.live, 160 * 2 + 16 * 2 + 1); /* bucket and entry of each; limits and table of each shard; the whole */
  end();
}
END_TEST

START_TEST(without_memory_there_are_none) {
  ch_limits_config config = {0};
  for (size_t allowed = 0;; allowed++) {
    failing_allocator_init(&memory, allowed);
    env = (ch_env){.alloc = &memory.alloc, .random = counting_random};
    int error = ch_shared_limits_new(&env, &config, &shared);
    if (!error) break;
    ck_assert_int_eq(error, CHAT_E_NOMEM);
    ck_assert_uint_eq(memory.live, 0);
  }
  end();
}
END_TEST

START_TEST(bad_values_are_refused) {
  failing_allocator_init(&memory, SIZE_MAX);
  env = (ch_env){.alloc = &memory.alloc, .random = counting_random};
  ch_limits_config config = {.classes = {[CH_LIMITS_USER] = {.rate_per_min = 1, .burst = 0, .buckets_max = 1}}};
  ck_assert_int_eq(ch_shared_limits_new(&env, &config, &shared), CHAT_E_INVALID);
  ck_assert_uint_eq(memory.live, 0);
}
END_TEST

int main(void) {
  const test_row tests[] = {
      {threads_have_one_bucket, 0},
      {clocks_that_differ_by_a_turn_give_nothing_away, 0},
      {taking_turns_between_two_clocks_gives_nothing_away, 0},
      {keys_are_apart_and_bounded, 0},
      {without_memory_there_are_none, 0},
      {bad_values_are_refused, 0},
  };
  return RUN_TESTS("shared_limits", tests);
}
