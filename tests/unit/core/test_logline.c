/* SPDX-License-Identifier: Apache-2.0 */
/* Lines are read back by a JSON parser that is not ours (jansson). */
#include <check.h>
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/logline.h"

static struct {
  int count, level;
  char text[CH_LOGLINE_MAX + 1];
  size_t len;
} got;

static void catch_line(void *arg, int level, const char *line, size_t len) {
  ck_assert_ptr_eq(arg, &got);
  ck_assert_uint_le(len, CH_LOGLINE_MAX);
  ck_assert_uint_eq(strlen(line), len);
  ck_assert_ptr_null(strchr(line, '\n'));
  memcpy(got.text, line, len + 1);
  got.level = level;
  got.len = len;
  got.count++;
}

static const chat_log_sink sink = {.write = catch_line, .arg = &got};
static const ch_log info_log = {.sink = &sink, .level = CHAT_LOG_INFO};
static ch_logline line;

static void setup(void) {
  memset(&got, 0, sizeof got);
}

static void begin(void) {
  ch_logline_begin(&line, &info_log, CHAT_LOG_INFO, 1700000000123, "m");
}

/* Ends the line and gives it parsed; to be json_decref'ed. */
static json_t *end(void) {
  json_error_t reason;
  ch_logline_end(&line);
  ck_assert_int_eq(got.count, 1);
  json_t *json = json_loadb(got.text, got.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &reason);
  ck_assert_msg(json != NULL, "%s: %s", reason.text, got.text);
  return json;
}

START_TEST(head_of_a_line) {
  ch_logline_begin(&line, &info_log, CHAT_LOG_WARN, 1700000000123, "disk \"full\"");
  json_t *json = end();
  ck_assert_int_eq(got.level, CHAT_LOG_WARN);
  ck_assert_str_eq(json_string_value(json_object_get(json, "ts")), "2023-11-14T22:13:20.123Z");
  ck_assert_str_eq(json_string_value(json_object_get(json, "level")), "warn");
  ck_assert_str_eq(json_string_value(json_object_get(json, "msg")), "disk \"full\"");
  ck_assert_uint_eq(json_object_size(json), 3);
  json_decref(json);
}
END_TEST

START_TEST(each_level_by_its_name) {
  static const char *const names[] = {[CHAT_LOG_ERROR] = "error", [CHAT_LOG_WARN] = "warn", [CHAT_LOG_INFO] = "info", [CHAT_LOG_DEBUG] = "debug"};
  static const ch_log debug_log = {.sink = &sink, .level = CHAT_LOG_DEBUG};
  for (int level = CHAT_LOG_ERROR; level <= CHAT_LOG_DEBUG; level++) {
    setup();
    ch_logline_begin(&line, &debug_log, level, 1700000000123, "m");
    json_t *json = end();
    ck_assert_int_eq(got.level, level);
    ck_assert_str_eq(json_string_value(json_object_get(json, "level")), names[level]);
    json_decref(json);
  }
}
END_TEST

START_TEST(each_kind) {
  begin();
  ch_logline_text(&line, CH_LOG_USER, ch_bytes_text("zo\xc3\xab"));
  ch_logline_number(&line, CH_LOG_COUNT, INT64_MIN);
  ch_logline_big(&line, CH_LOG_SEQ, UINT64_MAX);
  ch_logline_hex(&line, CH_LOG_DEVICE, ch_bytes_of("\x00\x01\xfe\xff", 4));
  ch_logline_error(&line, CH_LOG_ERROR, CHAT_E_AUTH);
  json_t *json = end();
  ck_assert_str_eq(json_string_value(json_object_get(json, "user")), "zo\xc3\xab");
  ck_assert_int_eq(json_integer_value(json_object_get(json, "count")), INT64_MIN);
  ck_assert_str_eq(json_string_value(json_object_get(json, "seq")), "18446744073709551615");
  ck_assert_str_eq(json_string_value(json_object_get(json, "device")), "0001feff");
  ck_assert_str_eq(json_string_value(json_object_get(json, "error")), "CHAT_E_AUTH");
  ck_assert_uint_eq(json_object_size(json), 8);
  json_decref(json);
}
END_TEST

/* Every byte there is, read back as it was, or as U+FFFD where it is not UTF-8. */
START_TEST(escaping) {
  for (int c = 0; c < 256; c++) {
    char byte = (char)c;
    setup();
    begin();
    ch_logline_text(&line, CH_LOG_REASON, ch_bytes_of(&byte, 1));
    json_t *json = end();
    json_t *reason = json_object_get(json, "reason");
    if (c < 0x80) {
      ck_assert_uint_eq(json_string_length(reason), 1);
      ck_assert_int_eq(json_string_value(reason)[0], byte);
    } else {
      ck_assert_str_eq(json_string_value(reason), "\xef\xbf\xbd");
    }
    json_decref(json);
  }
}
END_TEST

START_TEST(broken_utf8) {
  static const struct {
    const char *in, *out;
  } rows[] = {
      {"", ""},
      {"a\xe2\x82\xac"
       "b\xf0\x9f\x98\x80",
       "a\xe2\x82\xac"
       "b\xf0\x9f\x98\x80"},
      {"a\xc3", "a\xef\xbf\xbd"},                                     /* cut */
      {"\xc3(", "\xef\xbf\xbd("},                                     /* what follows is kept */
      {"\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd"},                       /* overlong */
      {"\xff\xff\xff\xff\xff", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}, /* none within the longest character */
      {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},       /* surrogate */
      {"x\"},{\"level\":\"error\"\n", "x\"},{\"level\":\"error\"\n"}, /* forging */
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    setup();
    begin();
    ch_logline_text(&line, CH_LOG_USER, ch_bytes_text(rows[i].in));
    json_t *json = end();
    ck_assert_str_eq(json_string_value(json_object_get(json, "user")), rows[i].out);
    ck_assert_uint_eq(json_object_size(json), 4);
    json_decref(json);
  }
}
END_TEST

/* --- the bound --- */

static json_t *line_with_reason(size_t len, char filler) {
  static char reason[2 * CH_LOGLINE_MAX];
  setup();
  memset(reason, filler, len);
  begin();
  ch_logline_text(&line, CH_LOG_REASON, ch_bytes_of(reason, len));
  ch_logline_number(&line, CH_LOG_COUNT, 7);
  return end();
}

/* At every length: whole JSON within the bound; the field is there whole or not at all; later, smaller ones still come. */
static void check_lengths(char filler) {
  size_t longest = 0;
  for (size_t len = 0; len < CH_LOGLINE_MAX + 100; len++) {
    json_t *json = line_with_reason(len, filler);
    json_t *reason = json_object_get(json, "reason");
    bool count_left_out = json_object_get(json, "count") == NULL;
    ck_assert_int_eq(json_is_true(json_object_get(json, "truncated")), reason == NULL || count_left_out);
    if (reason) {
      ck_assert_uint_eq(json_string_length(reason), len);
      longest = len;
    } else {
      ck_assert(!count_left_out);
    }
    json_decref(json);
  }
  ck_assert_uint_ge(longest, (CH_LOGLINE_MAX - 200) / (filler == '\1' ? 6 : 1));
  ck_assert_uint_le(longest, CH_LOGLINE_MAX / (filler == '\1' ? 6 : 1));
}

START_TEST(bounded) {
  check_lengths('r');
}
END_TEST

START_TEST(bounded_escapes) {
  check_lengths('\1'); /* six bytes each */
}
END_TEST

START_TEST(long_ids) {
  static char id[CH_LOGLINE_MAX];
  begin();
  ch_logline_hex(&line, CH_LOG_CONVERSATION, ch_bytes_of(id, sizeof id));
  ch_logline_hex(&line, CH_LOG_DEVICE, ch_bytes_of(id, 16));
  json_t *json = end();
  ck_assert_ptr_null(json_object_get(json, "conversation"));
  ck_assert_uint_eq(json_string_length(json_object_get(json, "device")), 32);
  ck_assert(json_is_true(json_object_get(json, "truncated")));
  json_decref(json);
}
END_TEST

START_TEST(longest_msg) {
  char msg[CH_LOGLINE_MSG_MAX + 1];
  memset(msg, '\2', CH_LOGLINE_MSG_MAX);
  msg[CH_LOGLINE_MSG_MAX] = '\0';
  ch_logline_begin(&line, &info_log, CHAT_LOG_ERROR, 0, msg);
  json_t *json = end();
  ck_assert_str_eq(json_string_value(json_object_get(json, "msg")), msg);
  ck_assert_str_eq(json_string_value(json_object_get(json, "ts")), "1970-01-01T00:00:00.000Z");
  json_decref(json);
}
END_TEST

/* Each day of eight centuries, held against the C library's calendar. */
START_TEST(calendar) {
  enum { DAY_S = 86400, DAYS = 800 * 366 };
  for (time_t day = 0; day < DAYS; day++) {
    time_t seconds = day * DAY_S + day % DAY_S;
    struct tm tm;
    char expected[64];
    gmtime_r(&seconds, &tm);
    strftime(expected, sizeof expected, "\"%Y-%m-%dT%H:%M:%S.000Z\"", &tm);
    ch_logline_begin(&line, &info_log, CHAT_LOG_INFO, (uint64_t)seconds * 1000, "m");
    ch_logline_end(&line);
    ck_assert_msg(strstr(got.text, expected) != NULL, "%s is not in %s", expected, got.text);
  }
}
END_TEST

/* --- lines that are not wanted, and misuse --- */

static void all_fields(void) {
  ch_logline_text(&line, CH_LOG_USER, ch_bytes_text("u"));
  ch_logline_number(&line, CH_LOG_COUNT, 1);
  ch_logline_big(&line, CH_LOG_SEQ, 1);
  ch_logline_hex(&line, CH_LOG_DEVICE, ch_bytes_of("d", 1));
  ch_logline_error(&line, CH_LOG_ERROR, CHAT_E_IO);
  ch_logline_end(&line);
}

START_TEST(unwanted) {
  static const ch_log no_log = {.sink = NULL, .level = CHAT_LOG_DEBUG};
  ch_logline_begin(&line, &info_log, CHAT_LOG_DEBUG, 0, "m");
  all_fields();
  ch_logline_begin(&line, &no_log, CHAT_LOG_ERROR, 0, "m");
  all_fields();
  ck_assert_int_eq(got.count, 0);
  ch_logline_begin(&line, &info_log, CHAT_LOG_INFO, 0, "m");
  all_fields();
  ck_assert_int_eq(got.count, 1);
  ch_logline_end(&line); /* a second end writes nothing */
  ck_assert_int_eq(got.count, 1);
}
END_TEST

START_TEST(field_twice) {
  begin();
  ch_logline_number(&line, CH_LOG_COUNT, 1);
  ch_logline_number(&line, CH_LOG_COUNT, 1);
}
END_TEST

START_TEST(field_of_another_kind) {
  begin();
  ch_logline_number(&line, CH_LOG_SEQ, 1);
}
END_TEST

static Suite *suite(void) {
  Suite *s = suite_create("logline");
  TCase *t = tcase_create("all");
  tcase_set_timeout(t, 240); /* the calendar: 800 years, day by day */
  tcase_add_checked_fixture(t, setup, NULL);
  tcase_add_test(t, head_of_a_line);
  tcase_add_test(t, each_level_by_its_name);
  tcase_add_test(t, each_kind);
  tcase_add_test(t, escaping);
  tcase_add_test(t, broken_utf8);
  tcase_add_test(t, bounded);
  tcase_add_test(t, bounded_escapes);
  tcase_add_test(t, long_ids);
  tcase_add_test(t, longest_msg);
  tcase_add_test(t, calendar);
  tcase_add_test(t, unwanted);
  tcase_add_test_raise_signal(t, field_twice, SIGABRT);
  tcase_add_test_raise_signal(t, field_of_another_kind, SIGABRT);
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
