/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the list of errors out of chat/chat.h, so that one without a name and a text is found. */
#include <chat/chat.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "run.h"

/* CHAT_SOURCE is the root of the source tree; without it, the root is where the tests were started. */
static FILE *open_header(void) {
  char path[4096];
  const char *root = getenv("CHAT_SOURCE");
  snprintf(path, sizeof path, "%s/include/chat/chat.h", root ? root : ".");
  FILE *header = fopen(path, "r");
  ck_assert_msg(header != NULL, "cannot read %s", path);
  return header;
}

/* Checks one line of the header; how many errors it defines: 0 or 1. */
static int check_line(const char *line) {
  char name[64];
  int number;
  if (sscanf(line, " %63[A-Z_] = %d", name, &number) != 2) return 0;
  if (strncmp(name, "CHAT_E_", 7) != 0 && strcmp(name, "CHAT_OK") != 0) return 0;
  const char *text = chat_error_text(number);
  ck_assert_str_eq(chat_error_name(number), name);
  ck_assert_msg(strlen(text) > 8 && text[strlen(text) - 1] == '.', "%s needs a sentence", name);
  return 1;
}

START_TEST(every_error_of_the_header_has_name_and_text) {
  char line[1024];
  int found_count = 0;
  FILE *header = open_header();
  while (fgets(line, sizeof line, header))
    found_count += check_line(line);
  fclose(header);
  ck_assert_int_ge(found_count, 30);
  ck_assert_str_eq(chat_error_name(-found_count), "CHAT_E_?"); /* and nothing behind the last */
}
END_TEST

START_TEST(other_numbers) {
  const int others[] = {1, INT_MAX, INT_MIN, -1000};
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
    ck_assert_str_eq(chat_error_name(others[i]), "CHAT_E_?");
    ck_assert_uint_gt(strlen(chat_error_text(others[i])), 8);
  }
}
END_TEST

int main(void) {
  const test_row rows[] = {{every_error_of_the_header_has_name_and_text, 0}, {other_numbers, 0}};
  return RUN_TESTS("error", rows);
}
