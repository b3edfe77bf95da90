/* SPDX-License-Identifier: Apache-2.0 */
/* The page is read by a small parser of the text format, not compared with itself. */
#define _POSIX_C_SOURCE 200809L

#include <chat/chat.h>
#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/loop/metrics.h"

static ch_metrics metrics;
static ch_buf buf;
static char page[CH_METRICS_TEXT_MAX + 1];

static void setup(void) {
  ch_metrics_init(&metrics, NULL);
  ch_buf_init(&buf, NULL, CH_METRICS_TEXT_MAX);
}

static void teardown(void) {
  ch_buf_fini(&buf);
}

static const char *render(void) {
  ch_buf_clear(&buf);
  ck_assert_int_eq(ch_metrics_render(&metrics, &buf), 0);
  memcpy(page, buf.data, buf.len);
  page[buf.len] = '\0';
  ck_assert_uint_eq(strlen(page), buf.len);
  return page;
}

/* The value of a series, found by its whole text up to the space; fails when it is not there exactly once. */
static const char *value_of(const char *series) {
  static char value[64];
  int found = 0;
  const char *text = render();
  for (const char *at = text; (at = strstr(at, series)); at++) {
    if ((at == text || at[-1] == '\n') && at[strlen(series)] == ' ') {
      ck_assert_int_eq(sscanf(at + strlen(series) + 1, "%63[^\n]", value), 1);
      found++;
    }
  }
  ck_assert_msg(found == 1, "%s is there %d times", series, found);
  return value;
}

START_TEST(counters_and_gauges) {
  ck_assert_str_eq(value_of("chat_frames_in_total"), "0");
  ch_metrics_add(&metrics, CH_METRIC_FRAMES_IN, 2);
  ch_metrics_add(&metrics, CH_METRIC_FRAMES_IN, 40);
  ck_assert_str_eq(value_of("chat_frames_in_total"), "42");
  ck_assert_str_eq(value_of("chat_frames_out_total"), "0");
  ch_metrics_add(&metrics, CH_METRIC_BYTES_IN, UINT64_MAX);
  ck_assert_str_eq(value_of("chat_bytes_in_total"), "18446744073709551615");
  ch_metrics_set(&metrics, CH_METRIC_LOG_POSITION, INT64_MAX);
  ck_assert_str_eq(value_of("chat_log_position"), "9223372036854775807");
  ch_metrics_move(&metrics, CH_METRIC_SESSIONS, 5);
  ch_metrics_move(&metrics, CH_METRIC_SESSIONS, -7);
  ck_assert_str_eq(value_of("chat_sessions"), "-2");
  ch_metrics_set(&metrics, CH_METRIC_SESSIONS, 3);
  ck_assert_str_eq(value_of("chat_sessions"), "3");
}
END_TEST

START_TEST(labels) {
  ch_metrics_add(&metrics, CH_METRIC_SENDS_GAP, 1);
  ch_metrics_add(&metrics, CH_METRIC_VERDICTS_DUP, 2);
  ch_metrics_set(&metrics, CH_METRIC_WAITING_LOG, 3);
  ck_assert_str_eq(value_of("chat_sends_total{answer=\"gap\"}"), "1");
  ck_assert_str_eq(value_of("chat_sends_total{answer=\"accepted\"}"), "0");
  ck_assert_str_eq(value_of("chat_verdicts_total{verdict=\"dup\"}"), "2");
  ck_assert_str_eq(value_of("chat_ops_waiting{backend=\"log\"}"), "3");
}
END_TEST

/* On the bound belongs to the bucket; sums and counts are exact. */
START_TEST(histogram) {
  static const uint64_t durations_us[] = {0, 100, 101, 1000, 1001, 10000000, 10000001, 70000000};
  for (size_t i = 0; i < 8; i++)
    ch_metrics_observe_us(&metrics, CH_HISTOGRAM_COMMIT, durations_us[i]);
  ck_assert_str_eq(value_of("chat_commit_seconds_bucket{le=\"0.0001\"}"), "2");
  ck_assert_str_eq(value_of("chat_commit_seconds_bucket{le=\"0.00025\"}"), "3");
  ck_assert_str_eq(value_of("chat_commit_seconds_bucket{le=\"0.0005\"}"), "3");
  ck_assert_str_eq(value_of("chat_commit_seconds_bucket{le=\"0.001\"}"), "4");
  ck_assert_str_eq(value_of("chat_commit_seconds_bucket{le=\"0.0025\"}"), "5");
  ck_assert_str_eq(value_of("chat_commit_seconds_bucket{le=\"5\"}"), "5");
  ck_assert_str_eq(value_of("chat_commit_seconds_bucket{le=\"10\"}"), "6");
  ck_assert_str_eq(value_of("chat_commit_seconds_bucket{le=\"+Inf\"}"), "8");
  ck_assert_str_eq(value_of("chat_commit_seconds_count"), "8");
  ck_assert_str_eq(value_of("chat_commit_seconds_sum"), "90.002203"); /* 90,002,203 µs, added by hand */
  ck_assert_str_eq(value_of("chat_log_append_seconds_count"), "0");
  ck_assert_str_eq(value_of("chat_log_append_seconds_sum"), "0.000000");
}
END_TEST

/* The written bounds must be the bounds that are compared with: a duration of exactly that falls into the bucket, a longer one does not. */
START_TEST(histogram_bounds_are_what_they_say) {
  static const char prefix[] = "chat_log_append_seconds_bucket{le=\"";
  static char empty[sizeof page];
  double before = 0;
  int buckets = 0;
  strcpy(empty, render());
  for (const char *at = strstr(empty, prefix); at; at = strstr(at + 1, prefix)) {
    char series[128];
    double bound = strtod(at + sizeof prefix - 1, NULL);
    snprintf(series, sizeof series, "%.*s", (int)(strchr(at, ' ') - at), at);
    if (strstr(series, "+Inf")) break;
    ck_assert(bound > before);
    before = bound;
    ch_metrics_init(&metrics, NULL);
    ch_metrics_observe_us(&metrics, CH_HISTOGRAM_LOG_APPEND, (uint64_t)(bound * 1e6 + 0.5));
    ck_assert_str_eq(value_of(series), "1");
    ch_metrics_init(&metrics, NULL);
    ch_metrics_observe_us(&metrics, CH_HISTOGRAM_LOG_APPEND, (uint64_t)(bound * 1e6 + 0.5) + 1);
    ck_assert_str_eq(value_of(series), "0");
    buckets++;
  }
  ck_assert_int_eq(buckets, CH_HISTOGRAM_BUCKETS);
}
END_TEST

/* --- the format --- */

static void family_of(const char *series, char *family) {
  static const char *const suffixes[] = {"_bucket", "_sum", "_count"};
  size_t len = strcspn(series, "{ ");
  memcpy(family, series, len);
  family[len] = '\0';
  if (!strstr(family, "_seconds")) return;
  for (int i = 0; i < 3; i++)
    if (strlen(family) > strlen(suffixes[i]) && strcmp(family + strlen(family) - strlen(suffixes[i]), suffixes[i]) == 0)
      family[strlen(family) - strlen(suffixes[i])] = '\0';
}

/* HELP, then TYPE, then the series of that name, and no name twice (text format 0.0.4, "Grouping and sorting"). */
START_TEST(page_is_well_formed) {
  char seen[64][64], help[64] = "", type[64] = "", kind[16] = "", family[64];
  int families = 0, series = 0;
  char *save = NULL;
  render();
  ck_assert_int_eq(page[buf.len - 1], '\n');
  for (char *line = strtok_r(page, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
    if (sscanf(line, "# HELP %63s %*s", help) == 1) {
      for (int i = 0; i < families; i++)
        ck_assert_str_ne(seen[i], help);
      strcpy(seen[families++], help);
    } else if (sscanf(line, "# TYPE %63s %15s", type, kind) == 2) {
      ck_assert_str_eq(type, help);
    } else {
      double value;
      ck_assert_msg(line[0] != '#', "%s", line);
      family_of(line, family);
      ck_assert_str_eq(family, type);
      ck_assert_int_eq(sscanf(strrchr(line, ' '), "%lf", &value), 1);
      ck_assert_uint_eq(strspn(family, "abcdefghijklmnopqrstuvwxyz_"), strlen(family));
      size_t len = strlen(family);
      ck_assert_int_eq(strcmp(kind, "counter") == 0, len > 6 && strcmp(family + len - 6, "_total") == 0);
      ck_assert_int_eq(strcmp(kind, "histogram") == 0, strstr(family, "_seconds") != NULL);
      series++;
    }
  }
  ck_assert_int_eq(series, CH_METRIC_COUNT + CH_HISTOGRAM_COUNT * (CH_HISTOGRAM_BUCKETS + 3));
}
END_TEST

START_TEST(server_label_is_escaped) {
  ch_metrics_init(&metrics, "a\"b\\c\nd");
  ck_assert_str_eq(value_of("chat_sessions{server=\"a\\\"b\\\\c\\nd\"}"), "0");
  ck_assert_str_eq(value_of("chat_sends_total{server=\"a\\\"b\\\\c\\nd\",answer=\"gap\"}"), "0");
  ck_assert_str_eq(value_of("chat_commit_seconds_bucket{server=\"a\\\"b\\\\c\\nd\",le=\"+Inf\"}"), "0");
  ck_assert_str_eq(value_of("chat_commit_seconds_sum{server=\"a\\\"b\\\\c\\nd\"}"), "0.000000");
}
END_TEST

START_TEST(server_label_is_bounded_utf8) {
  char name[CH_METRICS_SERVER_MAX + 3], series[128];
  memset(name, 'n', sizeof name);
  memcpy(name + CH_METRICS_SERVER_MAX - 1, "\xc3\xa9", 3); /* the bound falls into its middle */
  ch_metrics_init(&metrics, name);
  snprintf(series, sizeof series, "chat_sessions{server=\"%.*s\"}", CH_METRICS_SERVER_MAX - 1, name);
  ck_assert_str_eq(value_of(series), "0");
  ch_metrics_init(&metrics, "\xff");
  ck_assert_str_eq(value_of("chat_sessions"), "0");
}
END_TEST

START_TEST(two_registries_are_apart) {
  ch_metrics other;
  ch_metrics_init(&other, NULL);
  ch_metrics_add(&other, CH_METRIC_SYNCS, 9);
  ck_assert_str_eq(value_of("chat_sync_total"), "0");
}
END_TEST

/* The largest values and the longest label stay within the promised size; less room is an error, not a shorter page. */
START_TEST(size_of_the_page) {
  char name[CH_METRICS_SERVER_MAX + 1];
  memset(name, '\\', CH_METRICS_SERVER_MAX);
  name[CH_METRICS_SERVER_MAX] = '\0';
  ch_metrics_init(&metrics, name);
  for (int m = 0; m < CH_METRIC_COUNT; m++)
    atomic_store(&metrics.values[m], UINT64_C(1) << 63);
  for (int h = 0; h < CH_HISTOGRAM_COUNT; h++)
    atomic_store(&metrics.histograms[h].counts[0], UINT64_MAX);
  render();
  ch_buf small;
  ch_buf_init(&small, NULL, buf.len - 1);
  ck_assert_int_eq(ch_metrics_render(&metrics, &small), CHAT_E_TOO_LARGE);
  ch_buf_fini(&small);
}
END_TEST

static void *add_often(void *arg) {
  (void)arg;
  for (int i = 0; i < 10000; i++) {
    ch_metrics_add(&metrics, CH_METRIC_DELIVERIES, 1);
    ch_metrics_move(&metrics, CH_METRIC_WAITING_STORE, i % 2 ? -1 : 1);
    ch_metrics_observe_us(&metrics, CH_HISTOGRAM_COMMIT, (uint64_t)i);
  }
  return NULL;
}

START_TEST(many_threads) {
  pthread_t threads[4];
  for (int i = 0; i < 4; i++)
    ck_assert_int_eq(pthread_create(&threads[i], NULL, add_often, NULL), 0);
  for (int i = 0; i < 20; i++) { /* while others observe, the count is what +Inf says */
    unsigned long long infinity = 0, count = 1;
    const char *text = render();
    ck_assert_int_eq(sscanf(strstr(text, "chat_commit_seconds_bucket{le=\"+Inf\"}"), "%*s %llu", &infinity), 1);
    ck_assert_int_eq(sscanf(strstr(text, "\nchat_commit_seconds_count"), " %*s %llu", &count), 1);
    ck_assert_uint_eq(infinity, count);
  }
  for (int i = 0; i < 4; i++)
    pthread_join(threads[i], NULL);
  ck_assert_str_eq(value_of("chat_deliveries_total"), "40000");
  ck_assert_str_eq(value_of("chat_ops_waiting{backend=\"store\"}"), "0");
  ck_assert_str_eq(value_of("chat_commit_seconds_count"), "40000");
}
END_TEST

static Suite *suite(void) {
  Suite *s = suite_create("metrics");
  TCase *t = tcase_create("all");
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_add_test(t, counters_and_gauges);
  tcase_add_test(t, labels);
  tcase_add_test(t, histogram);
  tcase_add_test(t, histogram_bounds_are_what_they_say);
  tcase_add_test(t, page_is_well_formed);
  tcase_add_test(t, server_label_is_escaped);
  tcase_add_test(t, server_label_is_bounded_utf8);
  tcase_add_test(t, two_registries_are_apart);
  tcase_add_test(t, size_of_the_page);
  tcase_add_test(t, many_threads);
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
