/* SPDX-License-Identifier: Apache-2.0 */
/* The line is built in place; room for the longest end is kept free throughout, so that it is whole JSON whatever was added. */
#define _POSIX_C_SOURCE 200809L

#include "core/logline.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/assert.h"

static const char end_plain[] = "}", end_truncated[] = ",\"truncated\":true}";

enum { ROOM_MAX = CH_LOGLINE_MAX - (sizeof end_truncated - 1) };

enum kind { TEXT, NUMBER, BIG, HEX, ERROR };

static const struct {
  const char *name;
  enum kind kind;
} fields[CH_LOG_FIELD_COUNT] = {
#define X(id, name, kind) [CH_LOG_##id] = {name, kind},
    CH_LOG_FIELDS(X)
#undef X
};

_Static_assert(CH_LOG_FIELD_COUNT <= 32, "fields_seen has a bit for each");

/* --- bytes --- */

static void put(ch_logline *line, const char *text, size_t len) {
  if (line->overflow || len > ROOM_MAX - line->len) {
    line->overflow = true;
    return;
  }
  memcpy(line->text + line->len, text, len);
  line->len += len;
}

static void put_text(ch_logline *line, const char *text) {
  put(line, text, strlen(text));
}

/* One character of RFC 8259, section 7: quote, backslash and controls are escaped. */
static void put_character(ch_logline *line, const char *text, size_t len) {
  char escape[8];
  unsigned char c = (unsigned char)text[0];
  if (c == '"' || c == '\\') put(line, "\\", 1);
  if (c >= 0x20) {
    put(line, text, len);
    return;
  }
  snprintf(escape, sizeof escape, "\\u%04x", (unsigned)c);
  put_text(line, escape);
}

/* Bytes of the UTF-8 character that begins here; 0 where none does. */
static size_t character_len(ch_bytes text) {
  for (size_t len = 1; len <= 4 && len <= text.len; len++)
    if (ch_utf8_valid(ch_bytes_of(text.data, len))) return len;
  return 0;
}

static void put_string(ch_logline *line, ch_bytes text) {
  put(line, "\"", 1);
  while (text.len > 0 && !line->overflow) {
    size_t len = character_len(text);
    if (len)
      put_character(line, (const char *)text.data, len);
    else
      put_text(line, "\xef\xbf\xbd"); /* U+FFFD */
    text = ch_bytes_of(text.data + (len ? len : 1), text.len - (len ? len : 1));
  }
  put(line, "\"", 1);
}

/* --- fields --- */

/* False where the line is not wanted. The field's name is written; field_end takes it back if the value did not fit. */
static bool field_begin(ch_logline *line, ch_log_field field, enum kind kind, size_t *start_len) {
  ch_assert(field < CH_LOG_FIELD_COUNT && fields[field].kind == kind);
  if (!line->sink) return false;
  ch_assert(!(line->fields_seen & (UINT32_C(1) << field)));
  line->fields_seen |= UINT32_C(1) << field;
  *start_len = line->len;
  put_text(line, ",\"");
  put_text(line, fields[field].name);
  put_text(line, "\":");
  return true;
}

static void field_end(ch_logline *line, size_t start_len) {
  if (!line->overflow) return;
  line->len = start_len;
  line->overflow = false;
  line->truncated = true;
}

void ch_logline_text(ch_logline *line, ch_log_field field, ch_bytes text) {
  size_t start_len;
  if (!field_begin(line, field, TEXT, &start_len)) return;
  put_string(line, text);
  field_end(line, start_len);
}

void ch_logline_number(ch_logline *line, ch_log_field field, int64_t value) {
  size_t start_len;
  char digits[32];
  if (!field_begin(line, field, NUMBER, &start_len)) return;
  snprintf(digits, sizeof digits, "%" PRId64, value);
  put_text(line, digits);
  field_end(line, start_len);
}

void ch_logline_big(ch_logline *line, ch_log_field field, uint64_t value) {
  size_t start_len;
  char digits[32];
  if (!field_begin(line, field, BIG, &start_len)) return;
  snprintf(digits, sizeof digits, "\"%" PRIu64 "\"", value);
  put_text(line, digits);
  field_end(line, start_len);
}

void ch_logline_hex(ch_logline *line, ch_log_field field, ch_bytes id) {
  size_t start_len;
  if (!field_begin(line, field, HEX, &start_len)) return;
  put(line, "\"", 1);
  for (size_t i = 0; i < id.len && !line->overflow; i++) {
    char digits[3];
    ch_hex_encode(ch_bytes_of(id.data + i, 1), digits);
    put(line, digits, 2);
  }
  put(line, "\"", 1);
  field_end(line, start_len);
}

void ch_logline_error(ch_logline *line, ch_log_field field, int error) {
  size_t start_len;
  if (!field_begin(line, field, ERROR, &start_len)) return;
  put_string(line, ch_bytes_text(chat_error_name(error)));
  field_end(line, start_len);
}

/* --- the line --- */

static const char *level_name(int level) {
  switch (level) {
  case CHAT_LOG_ERROR: return "error";
  case CHAT_LOG_WARN: return "warn";
  case CHAT_LOG_INFO: return "info";
  default: return "debug";
  }
}

typedef struct date {
  uint64_t year;
  unsigned month, day;
} date;

/* Of the Gregorian calendar, from days since 1970-01-01. Years are counted from March, so that a leap day is the last of its year; 400 of them have 146,097 days. (gmtime_r would ask
 * the environment for a time zone, which core does not know of.) */
static date date_of(uint64_t days) {
  uint64_t day_of_era = (days + 719468) % 146097, era = (days + 719468) / 146097;
  uint64_t year = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  unsigned day = (unsigned)(day_of_era - (365 * year + year / 4 - year / 100));
  unsigned month = (5 * day + 2) / 153; /* 0: March */
  date out = {.month = month < 10 ? month + 3 : month - 9, .day = day - (153 * month + 2) / 5 + 1};
  out.year = era * 400 + year + (out.month <= 2);
  return out;
}

/* RFC 3339 in UTC, with milliseconds. */
static void put_time(ch_logline *line, uint64_t wall_ms) {
  date day = date_of(wall_ms / 86400000);
  unsigned ms = (unsigned)(wall_ms % 86400000);
  char text[64];
  snprintf(text, sizeof text, "%04" PRIu64 "-%02u-%02uT%02u:%02u:%02u.%03uZ", day.year, day.month, day.day, ms / 3600000, ms / 60000 % 60, ms / 1000 % 60,
           ms % 1000);
  put_string(line, ch_bytes_text(text));
}

void ch_logline_begin(ch_logline *line, const ch_log *log, int level, uint64_t wall_ms, const char *msg) {
  ch_assert(strlen(msg) <= CH_LOGLINE_MSG_MAX);
  line->sink = level <= log->level ? log->sink : NULL;
  if (!line->sink) return;
  line->level = level;
  line->len = 0;
  line->overflow = line->truncated = false;
  line->fields_seen = 0;
  put_text(line, "{\"ts\":");
  put_time(line, wall_ms);
  put_text(line, ",\"level\":\"");
  put_text(line, level_name(level));
  put_text(line, "\",\"msg\":");
  put_string(line, ch_bytes_text(msg));
  ch_assert(!line->overflow);
}

void ch_logline_end(ch_logline *line) {
  if (!line->sink) return;
  const char *end = line->truncated ? end_truncated : end_plain;
  size_t end_len = strlen(end);
  memcpy(line->text + line->len, end, end_len + 1);
  line->sink->write(line->sink->arg, line->level, line->text, line->len + end_len);
  line->sink = NULL;
}
