/* SPDX-License-Identifier: Apache-2.0 */
#include "core/option_source.h"

#include <chat/chat.h>
#include <stdio.h>
#include <string.h>

/* Everything before the first `separator` of text, and behind it; false when there is none (*head is then all of text). */
static bool split(ch_bytes text, char separator, ch_bytes *head, ch_bytes *tail) {
  const uint8_t *at = text.len > 0 ? memchr(text.data, separator, text.len) : NULL;
  *head = text;
  *tail = ch_bytes_of(NULL, 0);
  if (!at) return false;
  head->len = (size_t)(at - text.data);
  *tail = ch_bytes_of(at + 1, text.len - head->len - 1);
  return true;
}

/* --- command line --- */

static bool is_flag(const ch_options *options, ch_bytes name) {
  const ch_option *option = ch_option_find(options->table, name);
  return option && option->type == CH_OPTION_BOOL;
}

/* Takes the option at the head of args, count of them; *used is how many it took. */
static int take_option(ch_options options, int count, const char *const *args, int *used) {
  ch_bytes name, value;
  *used = 1;
  if (split(ch_bytes_text(args[0] + 2), '=', &name, &value)) return ch_options_set(options, name, value);
  if (is_flag(&options, name)) return ch_options_set(options, name, ch_bytes_text("true"));
  if (!ch_option_find(options.table, name)) return ch_options_set(options, name, value);
  if (count < 2) return ch_options_fail(options, CHAT_E_INVALID, "a value is missing behind", ch_bytes_text(args[0]));
  *used = 2;
  return ch_options_set(options, name, ch_bytes_text(args[1]));
}

int ch_options_from_args(ch_options options, int count, const char *const *args, int *used) {
  options.where = "command line";
  *used = 0;
  while (*used < count && strncmp(args[*used], "--", 2) == 0) {
    int taken = 1;
    if (args[*used][2] == '\0') {
      ++*used;
      break;
    }
    int error = take_option(options, count - *used, args + *used, &taken);
    *used += taken;
    if (error) return error;
  }
  return CHAT_OK;
}

/* --- file --- */

static bool is_blank(uint8_t byte) {
  return byte == ' ' || byte == '\t' || byte == '\r';
}

static ch_bytes trimmed(ch_bytes text) {
  while (text.len > 0 && is_blank(text.data[0]))
    text = ch_bytes_of(text.data + 1, text.len - 1);
  while (text.len > 0 && is_blank(text.data[text.len - 1]))
    text.len--;
  return text;
}

static int take_line(ch_options options, ch_bytes line) {
  ch_bytes name, value;
  line = trimmed(line);
  if (line.len == 0 || line.data[0] == '#') return CHAT_OK;
  if (!split(line, '=', &name, &value)) return ch_options_fail(options, CHAT_E_INVALID, "expected `name = value`, found", line);
  return ch_options_set(options, trimmed(name), trimmed(value));
}

int ch_options_from_file(ch_options options, ch_bytes text) {
  char where[sizeof "line 18446744073709551615"];
  int error = CHAT_OK;
  options.where = where;
  for (size_t number = 1; text.len > 0 && !error; number++) {
    ch_bytes line;
    snprintf(where, sizeof where, "line %zu", number);
    split(text, '\n', &line, &text);
    error = take_line(options, line);
  }
  return error;
}

/* --- environment --- */

int ch_options_from_environment(ch_options options, const char *prefix, const char *const *environment) {
  size_t prefix_len = strlen(prefix);
  int error = CHAT_OK;
  options.where = "environment";
  for (; *environment && !error; environment++) {
    ch_bytes name, value;
    if (strncmp(*environment, prefix, prefix_len) != 0) continue;
    if (split(ch_bytes_text(*environment + prefix_len), '=', &name, &value) && ch_option_find(options.table, name))
      error = ch_options_set(options, name, value);
  }
  return error;
}
