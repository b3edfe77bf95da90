/* SPDX-License-Identifier: Apache-2.0 */
#include "text.h"

#include <stdbool.h>
#include <string.h>
#include <time.h>

chat_bytes chat_bytes_of(const char *text) {
  return (chat_bytes){(const uint8_t *)text, strlen(text)};
}

/* ------------------------------------------------------------------------------------------------ characters */

static size_t length_of(uint8_t first) {
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return 2;
  if (first >= 0xe0 && first <= 0xef) return 3;
  return first >= 0xf0 && first <= 0xf4 ? 4 : 0;
}

size_t text_character(const uint8_t *data, size_t len, uint32_t *number) {
  static const uint8_t first_bits[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
  static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  size_t size = len > 0 ? length_of(data[0]) : 0;
  if (size == 0 || size > len) return 0;
  uint32_t n = data[0] & first_bits[size];
  for (size_t i = 1; i < size; i++) {
    if ((data[i] & 0xc0) != 0x80) return 0;
    n = n << 6 | (data[i] & 0x3f);
  }
  *number = n;
  return n < least[size] || n > 0x10ffff || (n >= 0xd800 && n <= 0xdfff) ? 0 : size;
}

static bool is_between(uint32_t n, uint32_t first, uint32_t last) {
  return n >= first && n <= last;
}

/* Controls, line and paragraph separators, and what overrides the direction of writing. */
static bool is_unsafe(uint32_t n) {
  return n < 0x20 || is_between(n, 0x7f, 0x9f) || is_between(n, 0x2028, 0x202e) || is_between(n, 0x2066, 0x2069);
}

static void write_escaped(FILE *file, uint32_t n) {
  if (n == '\n') fputs("\\n", file);
  else if (n == '\t') fputs("\\t", file);
  else if (n < 0x80) fprintf(file, "\\x%02x", n);
  else fprintf(file, "\\u{%x}", n);
}

void text_write(FILE *file, chat_bytes bytes) {
  for (size_t at = 0; at < bytes.len;) {
    uint32_t n;
    size_t size = text_character(bytes.data + at, bytes.len - at, &n);
    if (size == 0) fprintf(file, "\\x%02x", bytes.data[at]);
    else if (is_unsafe(n)) write_escaped(file, n);
    else fwrite(bytes.data + at, 1, size, file);
    at += size ? size : 1;
  }
}

/* ------------------------------------------------------------------------------------------------ words */

void text_time(FILE *file, uint64_t unix_ms) {
  time_t then = (time_t)(unix_ms / 1000), now = time(NULL);
  struct tm at, today;
  char text[32] = "";
  if (!localtime_r(&then, &at) || !localtime_r(&now, &today)) return;
  bool is_today = at.tm_yday == today.tm_yday && at.tm_year == today.tm_year;
  strftime(text, sizeof text, is_today ? "%H:%M:%S" : "%Y-%m-%d %H:%M:%S", &at);
  fputs(text, file);
}

static const char *word(const char *const *words, size_t count, uint32_t at) {
  return at < count ? words[at] : "?";
}

#define WORD(words, at) word(words, sizeof words / sizeof *words, at)

const char *text_tick(uint32_t tick) {
  static const char *const words[] = {"…", "✓", "✓✓", "✓✓ read", "refused"};
  return WORD(words, tick);
}

const char *text_role(uint32_t role) {
  static const char *const words[] = {"none", "member", "admin", "owner"};
  return WORD(words, role);
}

const char *text_kind(uint32_t kind) {
  static const char *const words[] = {"?", "direct", "group", "channel"};
  return WORD(words, kind);
}
