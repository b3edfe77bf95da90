/* SPDX-License-Identifier: Apache-2.0 */
/* chatlog.h - IRC logs: lines `[HH:MM] <nick> text`. Everything after "> " is the text, byte for byte. */
#ifndef REPLAY_CHATLOG_H
#define REPLAY_CHATLOG_H

#include <stdbool.h>
#include <stddef.h>

enum { NICK_MAX = 64, TEXT_MAX = 65536, LOGS_MAX = 1000 };

typedef struct text {
  const char *data; /* into the log's bytes */
  size_t len;
} text;

typedef struct line {
  int user; /* index in users */
  text said;
} line;

typedef struct chatlog {
  const char *name; /* of the file, without its folder */
  char *bytes;
  line *lines;
  int line_count;
  int *members; /* users, by first appearance */
  int member_count;
  int skipped; /* lines of another form */
  int bad;     /* lines of this form with a nick or text that cannot be sent; each was named on stderr */
} chatlog;

/* All users of all logs: the same nick in two logs is one user. */
typedef struct users {
  text *names;
  int count;
} users;

/* false: the file cannot be read, or memory is out (said on stderr). */
bool chatlog_read(chatlog *log, const char *path, users *all);

/* UTF-8 without a NUL; a nick: 1 to 64 bytes without control characters. */
bool utf8_valid(text t);
bool nick_valid(text t);

#endif
