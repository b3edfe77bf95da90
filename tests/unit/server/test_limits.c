/* SPDX-License-Identifier: Apache-2.0 */
#include <chat/chat.h>
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/role/limits.h"

enum { START_MS = 5000 };

/* --- an env that counts its memory and may run out of it --- */

struct memory {
  long blocks;
  long left; /* allocations that still succeed; negative: all */
};

static void *counted_resize(void *arg, void *old, size_t len) {
  struct memory *m = arg;
  if (len == 0) {
    m->blocks -= old != NULL;
    free(old);
    return NULL;
  }
  if (m->left == 0) return NULL;
  if (m->left > 0) m->left--;
  m->blocks += old == NULL;
  return realloc(old, len);
}

static void fixed_random(void *arg, void *buf, size_t len) {
  (void)arg;
  memset(buf, 7, len);
}

static struct memory memory;
static ch_allocator allocator = {.resize = counted_resize, .arg = &memory};
static ch_env env = {.alloc = &allocator, .random = fixed_random};
static ch_limits *limits;
static uint64_t retry_after_ms;

static void setup(void) {
  memory = (struct memory){.left = -1};
  limits = NULL;
  retry_after_ms = 0;
}

static void teardown(void) {
  ch_limits_free(limits);
  ck_assert_int_eq(memory.blocks, 0);
}

static void limits_make(uint32_t rate_per_min, uint32_t burst, uint32_t buckets_max) {
  ch_limits_config config;
  for (int c = 0; c < CH_LIMITS_CLASS_COUNT; c++) {
    config.classes[c].rate_per_min = rate_per_min;
    config.classes[c].burst = burst;
    config.classes[c].buckets_max = buckets_max;
  }
  ck_assert_int_eq(ch_limits_new(&env, &config, &limits), 0);
}

static int take(const char *user, uint32_t cost, uint64_t now_ms) {
  return ch_limits_take(limits, CH_LIMITS_USER, ch_bytes_text(user), cost, now_ms, &retry_after_ms);
}

/* --- the bucket --- */

START_TEST(burst_then_rate) {
  limits_make(60, 3, 10); /* one a second */
  for (int i = 0; i < 3; i++)
    ck_assert_int_eq(take("a", 1, START_MS), 0);
  ck_assert_int_eq(take("a", 1, START_MS), CHAT_E_AGAIN);
  ck_assert_uint_eq(retry_after_ms, 1000);
  ck_assert_int_eq(take("a", 1, START_MS + 999), CHAT_E_AGAIN);
  ck_assert_uint_eq(retry_after_ms, 1);
  ck_assert_int_eq(take("a", 1, START_MS + 1000), 0);
  ck_assert_int_eq(take("a", 1, START_MS + 1000), CHAT_E_AGAIN);
  /* a long pause fills it to the burst, not beyond */
  for (int i = 0; i < 3; i++)
    ck_assert_int_eq(take("a", 1, START_MS + 100000), 0);
  ck_assert_int_eq(take("a", 1, START_MS + 100000), CHAT_E_AGAIN);
}
END_TEST

START_TEST(costs) {
  limits_make(60, 10, 10);
  ck_assert_int_eq(take("a", 7, START_MS), 0);
  ck_assert_int_eq(take("a", 5, START_MS), CHAT_E_AGAIN);
  ck_assert_uint_eq(retry_after_ms, 2000);     /* 3 there, 5 asked */
  ck_assert_int_eq(take("a", 3, START_MS), 0); /* the refusal took nothing */
  ck_assert_int_eq(take("a", 0, START_MS), 0);
  ck_assert_int_eq(take("b", UINT32_MAX, START_MS), 0); /* counts as the burst */
  ck_assert_int_eq(take("b", UINT32_MAX, START_MS), CHAT_E_AGAIN);
  ck_assert_uint_eq(retry_after_ms, 10000);
  ck_assert_int_eq(take("b", UINT32_MAX, START_MS + 9999), CHAT_E_AGAIN);
  ck_assert_int_eq(take("b", UINT32_MAX, START_MS + 10000), 0);
}
END_TEST

START_TEST(sub_millisecond_rate) {
  limits_make(6000000, 100, 10); /* 100 a millisecond */
  for (int ms = 0; ms < 50; ms++) {
    for (int i = 0; i < 100; i++)
      ck_assert_int_eq(take("a", 1, START_MS + (uint64_t)ms), 0);
    ck_assert_int_eq(take("a", 1, START_MS + (uint64_t)ms), CHAT_E_AGAIN);
    ck_assert_uint_eq(retry_after_ms, 1);
  }
}
END_TEST

START_TEST(extremes) {
  limits_make(1, CH_LIMITS_BURST_MAX, 10); /* the largest window: a million minutes */
  uint64_t late_ms = UINT64_MAX / 1000000 / 2;
  ck_assert_int_eq(take("a", CH_LIMITS_BURST_MAX, late_ms), 0);
  ck_assert_int_eq(take("a", CH_LIMITS_BURST_MAX, late_ms), CHAT_E_AGAIN);
  ck_assert_uint_eq(retry_after_ms, UINT64_C(60000) * CH_LIMITS_BURST_MAX);
}
END_TEST

/* Over any span, what passes is at most burst + rate * span; and "retry after" is exact: not one millisecond earlier. */
START_TEST(random_draws_keep_the_bound) {
  limits_make(600, 5, 10); /* one in 100 ms */
  uint64_t now_ms = START_MS, passed = 0;
  unsigned rnd = 1;
  for (int i = 0; i < 20000; i++) {
    rnd = rnd * 1103515245 + 12345;
    now_ms += (rnd >> 16) % 120;
    uint32_t cost = 1 + (rnd >> 24) % 3;
    if (take("a", cost, now_ms) == 0) {
      passed += cost;
      ck_assert_uint_le(passed, 5 + (now_ms - START_MS) / 100);
    } else {
      ck_assert_uint_ge(retry_after_ms, 1);
      if (retry_after_ms > 1) ck_assert_int_eq(take("a", cost, now_ms + retry_after_ms - 1), CHAT_E_AGAIN);
      take("a", cost, now_ms); /* computes retry_after_ms anew for now_ms */
      now_ms += retry_after_ms;
      ck_assert_int_eq(take("a", cost, now_ms), 0);
      passed += cost;
    }
  }
  ck_assert_uint_ge(passed, (now_ms - START_MS) / 100 / 2); /* and it does not starve */
}
END_TEST

START_TEST(clock_falls_back) {
  limits_make(60, 3, 10);
  ck_assert_int_eq(take("a", 3, START_MS + 1000000), 0);
  ck_assert_int_eq(take("a", 3, START_MS), CHAT_E_AGAIN);
  ck_assert_uint_eq(retry_after_ms, 3000);
  ck_assert_int_eq(take("a", 3, START_MS + 3000), 0);
}
END_TEST

/* --- keys and classes --- */

START_TEST(keys_and_classes_are_apart) {
  limits_make(60, 1, 10);
  ck_assert_int_eq(take("a", 1, START_MS), 0);
  ck_assert_int_eq(take("ab", 1, START_MS), 0);
  ck_assert_int_eq(take("b", 1, START_MS), 0);
  ck_assert_int_eq(ch_limits_take(limits, CH_LIMITS_ADDRESS, ch_bytes_text("a"), 1, START_MS, &retry_after_ms), 0);
  ck_assert_int_eq(ch_limits_take(limits, CH_LIMITS_CONVERSATION, ch_bytes_of("a\0", 2), 1, START_MS, &retry_after_ms), 0);
  ck_assert_int_eq(ch_limits_take(limits, CH_LIMITS_CONVERSATION, ch_bytes_of("a\0", 2), 1, START_MS, &retry_after_ms), CHAT_E_AGAIN);
  ck_assert_int_eq(take("a", 1, START_MS), CHAT_E_AGAIN);
  ck_assert_uint_eq(ch_limits_count(limits, CH_LIMITS_USER), 3);
  ck_assert_uint_eq(ch_limits_count(limits, CH_LIMITS_ADDRESS), 1);
}
END_TEST

START_TEST(unlimited_class) {
  ch_limits_config config = {.classes = {[CH_LIMITS_ADDRESS] = {.rate_per_min = 60, .burst = 1, .buckets_max = 1}}};
  ck_assert_int_eq(ch_limits_new(&env, &config, &limits), 0);
  for (int i = 0; i < 1000; i++)
    ck_assert_int_eq(take("a", 1000, START_MS), 0);
  ck_assert_uint_eq(ch_limits_count(limits, CH_LIMITS_USER), 0);
}
END_TEST

START_TEST(longest_key) {
  char key[CH_LIMITS_KEY_MAX + 1];
  memset(key, 'k', CH_LIMITS_KEY_MAX);
  key[CH_LIMITS_KEY_MAX] = '\0';
  limits_make(60, 1, 10);
  ck_assert_int_eq(take(key, 1, START_MS), 0);
  ck_assert_int_eq(take(key, 1, START_MS), CHAT_E_AGAIN);
  ck_assert_int_eq(take(key + 1, 1, START_MS), 0);
}
END_TEST

/* --- the bound of the table --- */

START_TEST(full_buckets_go_first) {
  limits_make(60, 10, 3);
  ck_assert_int_eq(take("slow", 10, START_MS), 0); /* full again after 10 s; the least recently used */
  ck_assert_int_eq(take("fast", 1, START_MS), 0);  /* full again after 1 s */
  ck_assert_int_eq(take("last", 10, START_MS), 0);
  ck_assert_int_eq(take("new", 1, START_MS + 1000), 0); /* forgets "fast" */
  ck_assert_uint_eq(ch_limits_count(limits, CH_LIMITS_USER), 3);
  ck_assert_int_eq(take("slow", 2, START_MS + 1000), CHAT_E_AGAIN);
  ck_assert_int_eq(take("last", 2, START_MS + 1000), CHAT_E_AGAIN);
}
END_TEST

START_TEST(else_the_least_recently_used) {
  limits_make(60, 10, 3);
  ck_assert_int_eq(take("one", 10, START_MS), 0);
  ck_assert_int_eq(take("two", 10, START_MS), 0);
  ck_assert_int_eq(take("three", 10, START_MS), 0);
  ck_assert_int_eq(take("one", 1, START_MS), CHAT_E_AGAIN); /* a refused draw is a use */
  ck_assert_int_eq(take("four", 10, START_MS), 0);          /* forgets "two" */
  ck_assert_int_eq(take("one", 1, START_MS), CHAT_E_AGAIN);
  ck_assert_int_eq(take("three", 1, START_MS), CHAT_E_AGAIN);
  ck_assert_int_eq(take("two", 10, START_MS), 0);
}
END_TEST

START_TEST(a_flood_stays_bounded) {
  char key[16];
  limits_make(60, 1, 50);
  ck_assert_int_eq(ch_limits_take(limits, CH_LIMITS_ADDRESS, ch_bytes_text("me"), 1, START_MS, &retry_after_ms), 0);
  for (int i = 0; i < 5000; i++) {
    snprintf(key, sizeof key, "k%d", i);
    ck_assert_int_eq(take(key, 1, START_MS), 0);
    ck_assert_uint_le(ch_limits_count(limits, CH_LIMITS_USER), 50);
  }
  ck_assert_int_eq(ch_limits_take(limits, CH_LIMITS_ADDRESS, ch_bytes_text("me"), 1, START_MS, &retry_after_ms), CHAT_E_AGAIN);
}
END_TEST

/* --- errors --- */

START_TEST(bad_config) {
  static const struct {
    uint32_t rate, burst, max;
  } bad[] = {{CH_LIMITS_RATE_MAX + 1, 1, 1}, {1, 0, 1}, {1, CH_LIMITS_BURST_MAX + 1, 1}, {1, 1, 0}, {1, 1, CH_LIMITS_BUCKETS_MAX + 1}};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    ch_limits_config config = {.classes = {[CH_LIMITS_CONVERSATION] = {bad[i].rate, bad[i].burst, bad[i].max}}};
    ck_assert_int_eq(ch_limits_new(&env, &config, &limits), CHAT_E_INVALID);
  }
}
END_TEST

/* Out of memory at each step: the draw is refused, nothing leaks, and it passes when there is memory again. */
START_TEST(out_of_memory) {
  ch_limits_config config = {0};
  memory.left = 0;
  ck_assert_int_eq(ch_limits_new(&env, &config, &limits), CHAT_E_NOMEM);
  memory.left = -1;
  limits_make(60, 1, 10);
  for (int left = 0; left < 2; left++) {
    memory.left = left;
    ck_assert_int_eq(take("a", 1, START_MS), CHAT_E_AGAIN);
    ck_assert_uint_ge(retry_after_ms, 1);
    ck_assert_uint_eq(ch_limits_count(limits, CH_LIMITS_USER), 0);
  }
  memory.left = -1;
  ck_assert_int_eq(take("a", 1, START_MS), 0);
}
END_TEST

static Suite *suite(void) {
  Suite *s = suite_create("limits");
  TCase *t = tcase_create("all");
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_add_test(t, burst_then_rate);
  tcase_add_test(t, costs);
  tcase_add_test(t, sub_millisecond_rate);
  tcase_add_test(t, extremes);
  tcase_add_test(t, random_draws_keep_the_bound);
  tcase_add_test(t, clock_falls_back);
  tcase_add_test(t, keys_and_classes_are_apart);
  tcase_add_test(t, unlimited_class);
  tcase_add_test(t, longest_key);
  tcase_add_test(t, full_buckets_go_first);
  tcase_add_test(t, else_the_least_recently_used);
  tcase_add_test(t, a_flood_stays_bounded);
  tcase_add_test(t, bad_config);
  tcase_add_test(t, out_of_memory);
  suite_add_tcase(s, t);
  return s;
}

int main(void) {
  SRunner *runner = srunner_create(suite());
  srunner_run_all(runner, CK_NORMAL);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
