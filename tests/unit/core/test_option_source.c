/* SPDX-License-Identifier: Apache-2.0 */
#include "core/option_source.h"

#include <chat/chat.h>

#include "option_example.h"
#include "run.h"

/* Gives args, ended by NULL, and checks how many were taken. */
static int from_args(const char *const *args, int expected_used) {
  int count = 0, used = -1;
  while (args[count])
    count++;
  int error = ch_options_from_args(options, count, args, &used);
  ck_assert_int_eq(used, expected_used);
  return error;
}

START_TEST(arguments_in_both_forms) {
  const char *const args[] = {"--heartbeat", "20s", "--queue-max=2k", "--verbose", "--offset", "-3", "send", "--heartbeat", "1s", NULL};
  setup();
  ck_assert_int_eq(from_args(args, 6), 0);
  ck_assert_uint_eq(values.heartbeat_ms, 20000);
  ck_assert_uint_eq(values.queue_max, 2048);
  ck_assert(values.verbose);
  ck_assert_int_eq(values.offset, -3);
  teardown();
}
END_TEST

START_TEST(a_flag_takes_no_second_argument) {
  const char *const bare[] = {"--verbose", "false", NULL}, *const off[] = {"--verbose=false", NULL};
  setup();
  ck_assert_int_eq(from_args(bare, 1), 0);
  ck_assert(values.verbose);
  ck_assert_int_eq(from_args(off, 1), 0);
  ck_assert(!values.verbose);
  teardown();
}
END_TEST

START_TEST(arguments_end) {
  const char *const none[] = {NULL}, *const single[] = {"-v", NULL}, *const dashes[] = {"--verbose", "--", "--offset", NULL};
  setup();
  ck_assert_int_eq(from_args(none, 0), 0);
  ck_assert_int_eq(from_args(single, 0), 0);
  ck_assert_int_eq(from_args(dashes, 2), 0);
  teardown();
}
END_TEST

START_TEST(values_may_hold_anything) {
  const char *const args[] = {"--data-dir", "--a=b", "--data-dir=c=d", NULL};
  setup();
  ck_assert_int_eq(from_args(args, 3), 0);
  ck_assert_str_eq(values.data_dir, "c=d");
  const char *const empty[] = {"--token=", NULL};
  ck_assert_int_eq(from_args(empty, 1), 0);
  teardown();
}
END_TEST

static void args_fail(const char *const *args, int used, int error, const char *sentence) {
  setup();
  ck_assert_int_eq(from_args(args, used), error);
  why_is(sentence);
  teardown();
}

START_TEST(arguments_that_are_wrong) {
  const char *const unknown[] = {"--verbose", "--nothing", "5", NULL}, *const missing[] = {"--heartbeat", NULL},
                    *const wrong[] = {"--offset=99", NULL};
  args_fail(unknown, 2, CHAT_E_UNSUPPORTED, "command line: there is no option 'nothing'");
  ck_assert(values.verbose); /* what came before stays set */
  args_fail(missing, 1, CHAT_E_INVALID, "command line: a value is missing behind '--heartbeat'");
  args_fail(wrong, 1, CHAT_E_INVALID, "command line: option 'offset' cannot be '99'; allowed is a whole number from -10 to 10");
}
END_TEST

static int from_file(const char *text) {
  return ch_options_from_file(options, ch_bytes_text(text));
}

START_TEST(a_file) {
  setup();
  ck_assert_int_eq(from_file("# a comment = no option\n"
                             "\n"
                             "heartbeat = 20s\r\n"
                             "   queue_max=2k   \n"
                             "\t# another\n"
                             "data-dir = /with # and = inside\n"
                             "token =\n"
                             "verbose = yes"),
                   0);
  ck_assert_uint_eq(values.heartbeat_ms, 20000);
  ck_assert_uint_eq(values.queue_max, 2048);
  ck_assert_str_eq(values.data_dir, "/with # and = inside");
  ck_assert_str_eq(values.token, "");
  ck_assert(values.verbose);
  teardown();
}
END_TEST

START_TEST(an_empty_file) {
  setup();
  ck_assert_int_eq(ch_options_from_file(options, ch_bytes_of(NULL, 0)), 0);
  ck_assert_int_eq(from_file("\n \n\t"), 0);
  teardown();
}
END_TEST

START_TEST(errors_name_the_line) {
  setup();
  ck_assert_int_eq(from_file("verbose = yes\n\nheartbeat 20s\noffset = 1\n"), CHAT_E_INVALID);
  why_is("line 3: expected `name = value`, found 'heartbeat 20s'");
  ck_assert(values.verbose);
  ck_assert_int_eq(values.offset, -5); /* nothing behind the error is read */
  ch_buf_clear(&why);
  ck_assert_int_eq(from_file("nothing = 1"), CHAT_E_UNSUPPORTED);
  why_is("line 1: there is no option 'nothing'");
  teardown();
}
END_TEST

START_TEST(the_environment) {
  const char *const environment[] = {
      "HOME=/root", "CHATD_HEARTBEAT=20s", "CHATD_DATA_DIR=/a=b", "CHATD_SERVICE_HOST=10.0.0.1", "CHATD_VERBOSE", "CHATD_", "CHATDOFFSET=3",
      NULL};
  setup();
  ck_assert_int_eq(ch_options_from_environment(options, "CHATD_", environment), 0);
  ck_assert_uint_eq(values.heartbeat_ms, 20000);
  ck_assert_str_eq(values.data_dir, "/a=b");
  ck_assert(!values.verbose);
  ck_assert_int_eq(values.offset, -5);
  teardown();
}
END_TEST

START_TEST(an_environment_that_is_wrong) {
  const char *const environment[] = {"CHATD_OFFSET=z", "CHATD_VERBOSE=yes", NULL};
  setup();
  ck_assert_int_eq(ch_options_from_environment(options, "CHATD_", environment), CHAT_E_INVALID);
  why_is("environment: option 'offset' cannot be 'z'; allowed is a whole number from -10 to 10");
  ck_assert(!values.verbose);
  teardown();
}
END_TEST

int main(void) {
  const test_row rows[] = {
      {arguments_in_both_forms, 0},
      {a_flag_takes_no_second_argument, 0},
      {arguments_end, 0},
      {values_may_hold_anything, 0},
      {arguments_that_are_wrong, 0},
      {a_file, 0},
      {an_empty_file, 0},
      {errors_name_the_line, 0},
      {the_environment, 0},
      {an_environment_that_is_wrong, 0},
  };
  return RUN_TESTS("option_source", rows);
}
