/* SPDX-License-Identifier: Apache-2.0 */
#include "chatlog.h"

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------------------------------------ text */

/* Length of the sequence that begins here, 0: not UTF-8 (RFC 3629, section 4). */
static size_t sequence_len(const unsigned char *s, size_t left) {
  static const struct { unsigned char lead_min, lead_max, second_min, second_max; size_t len; } forms[] = {
      {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
      {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4}};
  if (s[0] < 0x80) return 1;
  for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
    if (s[0] < forms[i].lead_min || s[0] > forms[i].lead_max) continue;
    if (left < forms[i].len || s[1] < forms[i].second_min || s[1] > forms[i].second_max) return 0;
    for (size_t j = 2; j < forms[i].len; j++)
      if ((s[j] & 0xc0) != 0x80) return 0;
    return forms[i].len;
  }
  return 0;
}

bool utf8_valid(text t) {
  for (size_t i = 0; i < t.len;) {
    size_t len = sequence_len((const unsigned char *)t.data + i, t.len - i);
    if (len == 0) return false;
    i += len;
  }
  return true;
}

bool nick_valid(text t) {
  if (t.len == 0 || t.len > NICK_MAX) return false;
  for (size_t i = 0; i < t.len; i++)
    if ((unsigned char)t.data[i] < 0x20 || t.data[i] == 0x7f) return false;
  return utf8_valid(t);
}

/* ------------------------------------------------------------------------------------------------ lines */

static bool digits(const char *s) {
  return isdigit((unsigned char)s[0]) && isdigit((unsigned char)s[1]);
}

/* `[HH:MM] <nick> text`; a nick ends at the first "> ". */
static bool split(text whole, text *nick, text *said) {
  const char *s = whole.data, *end = s + whole.len;
  if (whole.len < 10 || s[0] != '[' || !digits(s + 1) || s[3] != ':' || !digits(s + 4) || s[6] != ']' || s[7] != ' ' || s[8] != '<') return false;
  for (const char *at = s + 9; at + 1 < end; at++) {
    if (at[0] != '>' || at[1] != ' ') continue;
    *nick = (text){s + 9, (size_t)(at - s - 9)};
    *said = (text){at + 2, (size_t)(end - at - 2)};
    return true;
  }
  return false;
}

static bool same(text a, text b) {
  return a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
}

static void *grown(void *array, int count, size_t size) {
  if (count & (count - 1)) return array; /* grows at powers of two */
  return realloc(array, (size_t)(count ? count * 2 : 1) * size);
}

static int user_of(users *all, text nick) {
  for (int i = 0; i < all->count; i++)
    if (same(all->names[i], nick)) return i;
  text *names = grown(all->names, all->count, sizeof *names);
  if (!names) return -1;
  all->names = names;
  names[all->count] = nick;
  return all->count++;
}

static bool add_member(chatlog *log, int user) {
  for (int i = 0; i < log->member_count; i++)
    if (log->members[i] == user) return true;
  int *members = grown(log->members, log->member_count, sizeof *members);
  if (!members) return false;
  log->members = members;
  members[log->member_count++] = user;
  return true;
}

static bool add_line(chatlog *log, users *all, text nick, text said) {
  int user = user_of(all, nick);
  if (user < 0 || !add_member(log, user)) return false;
  line *lines = grown(log->lines, log->line_count, sizeof *lines);
  if (!lines) return false;
  log->lines = lines;
  lines[log->line_count++] = (line){user, said};
  return true;
}

static const char *problem_of(text nick, text said) {
  if (!nick_valid(nick)) return "the nick is not 1 to 64 bytes of UTF-8 without control characters";
  if (!utf8_valid(said)) return "the text is not UTF-8";
  if (said.len > TEXT_MAX) return "the text is longer than 64 KiB";
  return NULL;
}

static bool take_line(chatlog *log, users *all, text whole, int number) {
  text nick, said;
  if (!split(whole, &nick, &said)) {
    log->skipped++;
    return true;
  }
  const char *problem = problem_of(nick, said);
  if (!problem) return add_line(log, all, nick, said);
  fprintf(stderr, "%s:%d: left out: %s\n", log->name, number, problem);
  log->bad++;
  return true;
}

/* ------------------------------------------------------------------------------------------------ file */

static char *read_file(const char *path, size_t *len) {
  FILE *file = fopen(path, "rb");
  if (!file) return NULL;
  char *bytes = NULL;
  size_t size = 0, used = 0, n;
  do {
    if (used == size) {
      char *more = realloc(bytes, size = size ? size * 2 : 65536);
      if (!more) break;
      bytes = more;
    }
    n = fread(bytes + used, 1, size - used, file);
    used += n;
  } while (n > 0);
  bool good = !ferror(file) && feof(file);
  fclose(file);
  *len = used;
  if (good) return bytes;
  free(bytes);
  return NULL;
}

bool chatlog_read(chatlog *log, const char *path, users *all) {
  const char *slash = strrchr(path, '/');
  *log = (chatlog){.name = slash ? slash + 1 : path};
  size_t len;
  log->bytes = read_file(path, &len);
  if (!log->bytes) return perror(path), false;
  int number = 0;
  for (size_t at = 0; at < len;) {
    const char *newline = memchr(log->bytes + at, '\n', len - at);
    size_t end = newline ? (size_t)(newline - log->bytes) : len;
    if (end > at && !take_line(log, all, (text){log->bytes + at, end - at}, ++number)) return fprintf(stderr, "%s: out of memory\n", path), false;
    at = end + 1;
  }
  return true;
}
