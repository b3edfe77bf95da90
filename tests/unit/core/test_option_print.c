/* SPDX-License-Identifier: Apache-2.0 */
#include "core/option_print.h"

#include <chat/chat.h>
#include <string.h>

#include "core/option_source.h"
#include "option_example.h"
#include "run.h"

static ch_buf out;

/* The text that print makes of the example; the NUL is put behind it for strstr. */
static char *printed(void (*print)(const ch_option_table *table, ch_buf *out)) {
  ch_buf_init(&out, NULL, 65536);
  print(&example_table, &out);
  ck_assert_int_eq(ch_buf_put_u8(&out, '\0'), 0);
  return (char *)out.data;
}

static void has(const char *text, const char *part) {
  ck_assert_msg(strstr(text, part) != NULL, "\"%s\" is missing in:\n%s", part, text);
}

START_TEST(help) {
  const char *text = printed(ch_options_print_help);
  has(text, "  --verbose\n        Say more. Allowed is true or false; default false.\n");
  has(text,
      "  --heartbeat DURATION\n        Time between heartbeats. Allowed is a duration (500ms, 15s, 5m, 7d) from 0ms to 7d; default 15s. "
      "Can change without a restart.\n");
  has(text, "  --token TEXT\n        A password. Allowed is text of 0 to 7 bytes. For development only. Secret.\n");
  has(text, "  --offset NUMBER\n");
  has(text, "  --queue-max SIZE\n");
  has(text, "  --log-level WORD\n        What is logged. Allowed is one of error, info, debug; default info.\n");
  ch_buf_fini(&out);
}
END_TEST

/* Takes the '#' from the lines that hold an option: those without a blank behind it. */
static void uncomment(char *text) {
  for (char *at = text; *at; at++) {
    bool line_start = at == text || at[-1] == '\n';
    if (line_start && at[0] == '#' && at[1] != ' ') *at = ' ';
  }
}

START_TEST(the_sample_file_says_the_defaults) {
  setup();
  example defaults = values;
  char *text = printed(ch_options_print_sample);
  has(text, "# Time between heartbeats. ");
  has(text, "\n#heartbeat = 15s\n");
  set("heartbeat", "1s");
  set("data-dir", "/elsewhere");
  ck_assert_int_eq(ch_options_from_file(options, ch_bytes_text(text)), 0);
  ck_assert_uint_eq(values.heartbeat_ms, 1000); /* all is commented out */
  uncomment(text);
  ck_assert_int_eq(ch_options_from_file(options, ch_bytes_text(text)), 0);
  ck_assert_uint_eq(values.heartbeat_ms, defaults.heartbeat_ms);
  ck_assert_str_eq(values.data_dir, defaults.data_dir);
  ch_buf_fini(&out);
  teardown();
}
END_TEST

START_TEST(the_table_of_the_documentation) {
  const char *text = printed(ch_options_print_markdown);
  has(text, "| option | default | allowed | meaning |\n| --- | --- | --- | --- |\n");
  has(text,
      "| `heartbeat` | 15s | a duration (500ms, 15s, 5m, 7d) from 0ms to 7d | Time between heartbeats. Can change without a restart. |\n");
  has(text, "| `token` |  | text of 0 to 7 bytes | A password. For development only. Secret. |\n");
  ch_buf_fini(&out);
}
END_TEST

START_TEST(what_does_not_fit_is_an_error) {
  ch_buf_init(&out, NULL, 100);
  ch_options_print_help(&example_table, &out);
  ck_assert_int_eq(out.error, CHAT_E_TOO_LARGE);
  ch_buf_fini(&out);
}
END_TEST

/* As chat_*_print_options: cut to len, NUL-terminated, and the length of the whole. */
static void cut_at_every_length(int form, void (*print)(const ch_option_table *table, ch_buf *out)) {
  char text[65536];
  const char *whole = printed(print);
  size_t whole_len = strlen(whole);
  ck_assert_uint_eq(ch_options_print(&example_table, form, NULL, 0), whole_len);
  for (size_t len = 0; len < whole_len + 3; len++) {
    memset(text, '!', whole_len + 4);
    ck_assert_uint_eq(ch_options_print(&example_table, form, text, len), whole_len);
    size_t cut = len == 0 ? 0 : len - 1 < whole_len ? len - 1 : whole_len;
    ck_assert(memcmp(text, whole, cut) == 0);
    ck_assert_int_eq(text[cut], len == 0 ? '!' : '\0');
    ck_assert_int_eq(text[cut + 1], '!');
  }
  ch_buf_fini(&out);
}

START_TEST(each_form_cut_at_every_length) {
  cut_at_every_length(CHAT_PRINT_HELP, ch_options_print_help);
  cut_at_every_length(CHAT_PRINT_SAMPLE, ch_options_print_sample);
  cut_at_every_length(CHAT_PRINT_MARKDOWN, ch_options_print_markdown);
}
END_TEST

START_TEST(a_form_that_is_none_is_empty) {
  char text[] = "as before";
  ck_assert_uint_eq(ch_options_print(&example_table, 0, text, sizeof text), 0);
  ck_assert_str_eq(text, "");
}
END_TEST

/* Help that goes beyond the largest text there may be. */
START_TEST(what_is_too_long_is_empty) {
  static char long_text[300 * 1024];
  memset(long_text, 'h', sizeof long_text - 1);
  ch_option row = example_table.rows[0];
  row.help = long_text;
  char text[] = "as before";
  ck_assert_uint_eq(ch_options_print(&(ch_option_table){&row, 1}, CHAT_PRINT_HELP, text, sizeof text), 0);
  ck_assert_str_eq(text, "");
}
END_TEST

int main(void) {
  const test_row rows[] = {
      {help, 0}, {the_sample_file_says_the_defaults, 0}, {the_table_of_the_documentation, 0}, {what_does_not_fit_is_an_error, 0},
      {each_form_cut_at_every_length, 0}, {a_form_that_is_none_is_empty, 0}, {what_is_too_long_is_empty, 0}};
  return RUN_TESTS("option_print", rows);
}
