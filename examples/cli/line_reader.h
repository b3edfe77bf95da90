/* SPDX-License-Identifier: Apache-2.0 */
/* line_reader.h - standard input, line by line or whole, read only when somebody has looked whether there is something. */
#ifndef CLI_LINE_READER_H
#define CLI_LINE_READER_H

#include <chat/chat.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LINE_MAX_LEN = CHAT_BODY_MAX };

typedef enum line_kind { LINE_NONE, LINE_HERE, LINE_TOO_LONG, LINE_END } line_kind;

typedef struct line_reader {
  char data[LINE_MAX_LEN + 1];
  size_t len, taken;   /* data[taken..len) is not given out yet */
  uint64_t number;     /* of the line given last, from 1 */
  bool whole;          /* all of it is one line */
  bool ended, skipping; /* skipping: the rest of a line that was too long */
} line_reader;

/* The next line that is here: *text lives until the next call. NONE: read more first (line_reader_fill). */
line_kind line_reader_next(line_reader *r, const char **text, size_t *len);
/* Reads once from `fd`; may wait. An error counts as the end. */
void line_reader_fill(line_reader *r, int fd);

#endif
