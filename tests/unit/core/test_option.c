/* SPDX-License-Identifier: Apache-2.0 */
#include "core/option.h"

#include <chat/chat.h>
#include <stdio.h>
#include <string.h>

#include "option_example.h"
#include "run.h"

START_TEST(defaults_come_from_the_table) {
  setup();
  ck_assert(!values.verbose);
  ck_assert_int_eq(values.offset, -5);
  ck_assert_uint_eq(values.queue_max, 64 * 1024);
  ck_assert_uint_eq(values.heartbeat_ms, 15000);
  ck_assert_str_eq(values.data_dir, "/var/lib/chat");
  ck_assert_str_eq(values.token, "");
  ck_assert_int_eq(values.log_level, 1);
  teardown();
}
END_TEST

START_TEST(booleans) {
  const struct {
    const char *text;
    bool value;
  } rows[] = {{"true", 1}, {"FALSE", 0}, {"yes", 1}, {"no", 0}, {"On", 1}, {"off", 0}, {"1", 1}, {"0", 0}};
  setup();
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    ck_assert_int_eq(set("verbose", rows[i].text), 0);
    ck_assert(values.verbose == rows[i].value);
  }
  set("verbose", "yes");
  ck_assert_int_eq(set("verbose", "maybe"), CHAT_E_INVALID);
  ck_assert_int_eq(set("verbose", ""), CHAT_E_INVALID);
  ck_assert(values.verbose);
  teardown();
}
END_TEST

START_TEST(whole_numbers) {
  setup();
  ck_assert_int_eq(set("offset", "-10"), 0);
  ck_assert_int_eq(values.offset, -10);
  ck_assert_int_eq(set("offset", "10"), 0);
  ck_assert_int_eq(values.offset, 10);
  ck_assert_int_eq(set("offset", "-0"), 0);
  ck_assert_int_eq(values.offset, 0);
  const char *const bad[] = {"11", "-11", "", "-", "--1", "1k", "1.5", " 1", "1 ", "0x1", "99999999999999999999", "9223372036854775808"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    ck_assert_msg(set("offset", bad[i]) == CHAT_E_INVALID, "row %zu", i);
  ck_assert_int_eq(values.offset, 0);
  teardown();
}
END_TEST

START_TEST(sizes) {
  const struct {
    const char *text;
    uint64_t len;
  } rows[] = {{"1000", 1000}, {"2k", 2048}, {"3M", 3 << 20}, {"1g", 1 << 30}, {"1T", UINT64_C(1) << 40}};
  setup();
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    ck_assert_int_eq(set("queue-max", rows[i].text), 0);
    ck_assert_uint_eq(values.queue_max, rows[i].len);
  }
  const char *const bad[] = {"999", "-2k", "2kb", "k", "2t", "9223372036854775807t", "0"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    ck_assert_msg(set("queue-max", bad[i]) == CHAT_E_INVALID, "row %zu", i);
  teardown();
}
END_TEST

START_TEST(durations) {
  const struct {
    const char *text;
    uint64_t ms;
  } rows[] = {{"500ms", 500}, {"15s", 15000}, {"5m", 300000}, {"2h", 7200000}, {"7d", 604800000}, {"0", 0}, {"0s", 0}};
  setup();
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    ck_assert_int_eq(set("heartbeat", rows[i].text), 0);
    ck_assert_uint_eq(values.heartbeat_ms, rows[i].ms);
  }
  const char *const bad[] = {"15", "8d", "s", "15 s", "1y", "9223372036854775807d"}; /* a unit is asked for: 15 what? */
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    ck_assert_msg(set("heartbeat", bad[i]) == CHAT_E_INVALID, "row %zu", i);
  teardown();
}
END_TEST

START_TEST(strings) {
  setup();
  ck_assert_int_eq(set("data-dir", "/a/path/of/31/bytes/with/a/tail"), 0);
  ck_assert_str_eq(values.data_dir, "/a/path/of/31/bytes/with/a/tail");
  ck_assert_int_eq(set("data-dir", "/a/path/of/32/bytes/with/a/tail1"), CHAT_E_INVALID);
  ck_assert_int_eq(set("data-dir", ""), CHAT_E_INVALID);
  ck_assert_int_eq(ch_options_set(options, ch_bytes_text("data-dir"), ch_bytes_of("a\0b", 3)), CHAT_E_INVALID);
  ck_assert_str_eq(values.data_dir, "/a/path/of/31/bytes/with/a/tail");
  ck_assert_int_eq(set("data-dir", "/x"), 0);
  ck_assert_uint_eq(values.data_dir[3], 0); /* the longer one is wiped */
  ck_assert_uint_eq(values.data_dir[20], 0);
  ck_assert_int_eq(set("token", "t"), 0);
  ck_assert_int_eq(set("token", ""), 0);
  ck_assert_str_eq(values.token, "");
  teardown();
}
END_TEST

START_TEST(choices) {
  setup();
  ck_assert_int_eq(set("log-level", "debug"), 0);
  ck_assert_int_eq(values.log_level, 2);
  ck_assert_int_eq(set("log-level", "ERROR"), 0);
  ck_assert_int_eq(values.log_level, 0);
  ck_assert_int_eq(set("log-level", "trace"), CHAT_E_INVALID);
  ck_assert_int_eq(values.log_level, 0);
  teardown();
}
END_TEST

START_TEST(names_are_found_in_any_spelling) {
  setup();
  ck_assert_int_eq(set("queue_max", "1k"), 0);
  ck_assert_int_eq(set("Queue-Max", "2k"), 0);
  ck_assert_uint_eq(values.queue_max, 2048);
  ck_assert_int_eq(set("queuemax", "1k"), CHAT_E_UNSUPPORTED);
  ck_assert_int_eq(set("queue", "1k"), CHAT_E_UNSUPPORTED);
  ck_assert_int_eq(set("", "1k"), CHAT_E_UNSUPPORTED);
  teardown();
}
END_TEST

END_TEST

START_TEST(errors_say_what_was_given_and_what_is_allowed) {
  const struct {
    const char *name, *text, *why;
  } rows[] = {
      {"hartbeat", "1s", "there is no option 'hartbeat'"},
      {"heartbeat", "3x", "option 'heartbeat' cannot be '3x'; allowed is a duration (500ms, 15s, 5m, 7d) from 0ms to 7d"},
      {"queue-max", "1", "option 'queue-max' cannot be '1'; allowed is a size in bytes (or 64k, 10m, 1g) from 1000 to 1t"},
      {"offset", "z", "option 'offset' cannot be 'z'; allowed is a whole number from -10 to 10"},
      {"verbose", "z", "option 'verbose' cannot be 'z'; allowed is true or false"},
      {"data-dir", "", "option 'data-dir' cannot be ''; allowed is text of 1 to 31 bytes"},
      {"log-level", "x\x1B[2J\x7F", "option 'log-level' cannot be 'x?[2J?'; allowed is one of error, info, debug"},
      {"token", "123456789", "option 'token' cannot be what was given; allowed is text of 0 to 7 bytes"},
  };
  setup();
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    ch_buf_clear(&why);
    ck_assert_int_lt(set(rows[i].name, rows[i].text), 0);
    why_is(rows[i].why);
  }
  teardown();
}
END_TEST

START_TEST(what_was_given_is_cut) {
  char name[101], expected[128];
  memset(name, 'n', sizeof name);
  name[100] = '\0';
  snprintf(expected, sizeof expected, "there is no option '%.64s...'", name);
  setup();
  ck_assert_int_eq(set(name, ""), CHAT_E_UNSUPPORTED);
  why_is(expected);
  teardown();
}
END_TEST

START_TEST(nobody_has_to_ask_why) {
  setup();
  options.why = NULL;
  ck_assert_int_eq(set("hartbeat", "1s"), CHAT_E_UNSUPPORTED);
  ck_assert_int_eq(set("heartbeat", "3x"), CHAT_E_INVALID);
  teardown();
}
END_TEST

static const ch_option bad_default = {
    .name = "n", .type = CH_OPTION_INT, .initial = "5", .min = 0, .max = 4, .help = "N.", CH_OPTION_FIELD(example, offset)};
static const ch_option bad_field = {
    .name = "n", .type = CH_OPTION_INT, .initial = "5", .min = 0, .max = 9, .help = "N.", CH_OPTION_FIELD(example, log_level)};

START_TEST(a_default_out_of_bounds_is_a_broken_table) {
  const ch_option_table table = {&bad_default, 1};
  ch_options_init((ch_options){.table = &table, .values = &values});
}
END_TEST

START_TEST(a_field_of_another_type_is_a_broken_table) {
  const ch_option_table table = {&bad_field, 1};
  ch_options_init((ch_options){.table = &table, .values = &values});
}
END_TEST

int main(void) {
  const test_row rows[] = {
      {defaults_come_from_the_table, 0},
      {booleans, 0},
      {whole_numbers, 0},
      {sizes, 0},
      {durations, 0},
      {strings, 0},
      {choices, 0},
      {names_are_found_in_any_spelling, 0},
      {errors_say_what_was_given_and_what_is_allowed, 0},
      {what_was_given_is_cut, 0},
      {nobody_has_to_ask_why, 0},
      {a_default_out_of_bounds_is_a_broken_table, SIGABRT},
      {a_field_of_another_type_is_a_broken_table, SIGABRT},
  };
  return RUN_TESTS("option", rows);
}
