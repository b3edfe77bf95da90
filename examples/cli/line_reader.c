/* SPDX-License-Identifier: Apache-2.0 */
#include "line_reader.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static line_kind give(line_reader *r, size_t end, size_t next, const char **text, size_t *len) {
  *text = r->data + r->taken;
  *len = end - r->taken;
  r->taken = next;
  r->number++;
  if (!r->skipping) return LINE_HERE;
  r->skipping = false;
  return LINE_TOO_LONG;
}

/* The buffer is full and holds no end of a line: what is in it is dropped, and the line with it. */
static void skip(line_reader *r) {
  r->skipping = true;
  r->taken = r->len = 0;
}

static void make_room(line_reader *r) {
  memmove(r->data, r->data + r->taken, r->len - r->taken);
  r->len -= r->taken;
  r->taken = 0;
}

line_kind line_reader_next(line_reader *r, const char **text, size_t *len) {
  char *newline = r->whole ? NULL : memchr(r->data + r->taken, '\n', r->len - r->taken);
  if (newline) return give(r, (size_t)(newline - r->data), (size_t)(newline - r->data) + 1, text, len);
  if (r->ended) return r->taken == r->len && !r->skipping ? LINE_END : give(r, r->len, r->len, text, len);
  make_room(r);
  if (r->len == sizeof r->data) skip(r);
  return LINE_NONE;
}

void line_reader_fill(line_reader *r, int fd) {
  ssize_t count = read(fd, r->data + r->len, sizeof r->data - r->len);
  if (count > 0) r->len += (size_t)count;
  else if (count == 0 || errno != EINTR) r->ended = true;
}
