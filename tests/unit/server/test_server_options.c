/* SPDX-License-Identifier: Apache-2.0 */
/* Options of the server from command line and environment; and docs/options.md, which must be what the tables print. */
#define _XOPEN_SOURCE 700

#include "unit/core/run.h"
#include "unit/server/served.h"

enum { PAGE_MAX = 256 * 1024 };

START_TEST(a_command_line_is_taken_up_to_what_is_no_option) {
  static const char *const args[] = {"--listen", "127.0.0.1:0", "--dev-mode", "--metrics=", "--log=mem", "--store", "mem", "operand", "--threads", "2"};
  chat_server *server;
  int used;
  ck_assert_int_eq(chat_server_new(CHAT_API_VERSION, NULL, &server), 0);
  ck_assert_msg(chat_server_set_args(server, 10, args, &used) == 0, "%s", chat_server_problem(server));
  ck_assert_int_eq(used, 7);
  served_start(server); /* so all of them were taken */
  ck_assert_int_eq(chat_server_set_args(server, 1, args + 2, &used), CHAT_E_INVALID);
  served_end(server);
}
END_TEST

START_TEST(a_wrong_command_line_says_what_is_wrong) {
  static const struct {
    const char *args[2];
    int count, error;
    const char *word;
  } rows[] = {
      {{"--listen", NULL}, 1, CHAT_E_INVALID, "--listen"},
      {{"--threads", "none"}, 2, CHAT_E_INVALID, "threads"},
      {{"--thread=1", NULL}, 1, CHAT_E_UNSUPPORTED, "thread"},
      {{"--dev-mode=perhaps", NULL}, 1, CHAT_E_INVALID, "dev-mode"},
  };
  chat_server *server;
  ck_assert_int_eq(chat_server_new(CHAT_API_VERSION, NULL, &server), 0);
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    ck_assert_int_eq(chat_server_set_args(server, rows[i].count, rows[i].args, NULL), rows[i].error);
    ck_assert_msg(strstr(chat_server_problem(server), rows[i].word), "%s", chat_server_problem(server));
  }
  ck_assert_int_eq(chat_server_set_args(server, 0, NULL, NULL), 0);
  ck_assert_int_eq(chat_server_set_args(server, 1, NULL, NULL), CHAT_E_INVALID);
  ck_assert_int_eq(chat_server_set_args(NULL, 0, NULL, NULL), CHAT_E_INVALID);
  chat_server_free(server);
}
END_TEST

START_TEST(the_environment_is_read_by_its_prefix) {
  static const char *const good[] = {"PATH=/bin", "CHATD_LISTEN=127.0.0.1:0", "CHATD_DEV_MODE=true", "CHATD_LOG=mem", "CHATD_STORE=mem", "CHATD_METRICS=",
                                     "CHATD_SERVICE_HOST=10.0.0.1", "CHATD_THREADS", NULL};
  static const char *const bad[] = {"CHATD_THREADS=none", NULL};
  chat_server *server;
  ck_assert_int_eq(chat_server_new(CHAT_API_VERSION, NULL, &server), 0);
  ck_assert_int_eq(chat_server_set_environment(server, "CHATD_", bad), CHAT_E_INVALID);
  ck_assert_ptr_nonnull(strstr(chat_server_problem(server), "environment"));
  ck_assert_int_eq(chat_server_set_environment(server, "CHATD_", good), 0);
  served_start(server);
  ck_assert_int_eq(chat_server_set_environment(server, "CHATD_", good), CHAT_E_INVALID);
  ck_assert_int_eq(chat_server_set_environment(server, NULL, good), CHAT_E_INVALID);
  ck_assert_int_eq(chat_server_set_environment(server, "CHATD_", NULL), CHAT_E_INVALID);
  served_end(server);
}
END_TEST

START_TEST(what_is_printed_is_cut_to_its_room) {
  char small[16], whole[PAGE_MAX];
  size_t len = chat_server_print_options(CHAT_PRINT_HELP, NULL, 0);
  ck_assert_uint_gt(len, 1000);
  memset(small, 'x', sizeof small);
  ck_assert_uint_eq(chat_server_print_options(CHAT_PRINT_HELP, small, sizeof small), len);
  ck_assert_uint_eq(strlen(small), sizeof small - 1);
  ck_assert_uint_eq(chat_server_print_options(CHAT_PRINT_HELP, whole, sizeof whole), len);
  ck_assert_uint_eq(strlen(whole), len);
  ck_assert_mem_eq(whole, small, sizeof small - 1);
  ck_assert_uint_eq(chat_server_print_options(99, small, sizeof small), 0);
  ck_assert_str_eq(small, "");
}
END_TEST

START_TEST(the_sample_is_a_file_of_options) {
  char folder[64], path[96], text[PAGE_MAX];
  served_folder(folder);
  snprintf(path, sizeof path, "%s/options", folder);
  chat_server_print_options(CHAT_PRINT_SAMPLE, text, sizeof text);
  for (char *at = text; (at = strstr(at, "\n#")); at++)
    if (at[2] != ' ') at[1] = ' '; /* every option at its default */
  FILE *file = fopen(path, "w");
  ck_assert_ptr_nonnull(file);
  fputs(text, file);
  fclose(file);
  chat_server *server = served_new(NULL);
  uint32_t line;
  ck_assert_msg(chat_server_set_file(server, path, &line) == 0, "line %u: %s", (unsigned)line, chat_server_problem(server));
  chat_server_free(server);
  served_folder_remove(folder);
}
END_TEST

/* ------------------------------------------------------------------------------------------------ docs/options.md */

static const char head[] =
    "# Options\n\n"
    "Printed from the tables of options by the test `unit/server/server_options`, which fails where this page differs and leaves the right one in `build/dev/tests/options.md`.\n\n"
    "A duration is a number and its unit (`500ms`, `15s`, `5m`, `12h`, `7d`), a size a number of bytes or with `k`, `m`, `g`.\n\n";
static const char server_head[] =
    "## Server\n\n"
    "`chatd` takes each as `--name value` on its command line, as `CHATD_NAME` in the environment (capitals, `_` for `-`) and as a line `name = value` of the file that `--config` or\n"
    "`CHATD_CONFIG` names; the command line wins over the environment, and that over the file. A program that embeds the server has `chat_server_set` and its sisters.\n\n";
static const char client_head[] = "\n## Client\n\nBy `chat_client_set`.\n\n";

START_TEST(the_page_is_what_the_tables_print) {
  static char wanted[PAGE_MAX], found[PAGE_MAX];
  size_t len = 0;
  len += (size_t)snprintf(wanted, sizeof wanted, "%s%s", head, server_head);
  len += chat_server_print_options(CHAT_PRINT_MARKDOWN, wanted + len, sizeof wanted - len);
  len += (size_t)snprintf(wanted + len, sizeof wanted - len, "%s", client_head);
  len += chat_client_print_options(CHAT_PRINT_MARKDOWN, wanted + len, sizeof wanted - len);
  char path[512];
  snprintf(path, sizeof path, "%s/docs/options.md", getenv("CHAT_SOURCE") ? getenv("CHAT_SOURCE") : ".");
  FILE *file = fopen(path, "r");
  size_t found_len = file ? fread(found, 1, sizeof found - 1, file) : 0;
  if (file) fclose(file);
  bool is_same = found_len == len && memcmp(found, wanted, len) == 0;
  if (!is_same) {
    FILE *right = fopen("options.md", "w");
    ck_assert(right && fwrite(wanted, 1, len, right) == len && fclose(right) == 0);
  }
  ck_assert_msg(is_same, "%s differs from the tables; build/dev/tests/options.md is right", path);
}
END_TEST

int main(void) {
  const test_row rows[] = {
      {a_command_line_is_taken_up_to_what_is_no_option, 0},
      {a_wrong_command_line_says_what_is_wrong, 0},
      {the_environment_is_read_by_its_prefix, 0},
      {what_is_printed_is_cut_to_its_room, 0},
      {the_sample_is_a_file_of_options, 0},
      {the_page_is_what_the_tables_print, 0},
  };
  return RUN_TESTS("server_options", rows);
}
