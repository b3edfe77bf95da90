/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker.h - a process that holds some users' clients, each with a database of its own, and does what the replay tells it. It may be killed at any moment:
 * a new one opens the same databases, and the replay says again what was not reported.
 */
#ifndef REPLAY_WORKER_H
#define REPLAY_WORKER_H

#include <stdint.h>
#include <sys/types.h>

#include "chatlog.h"

typedef struct world { /* the same in every process: made before the first fork */
  users all;
  chatlog logs[LOGS_MAX];
  int log_count;
  int worker_count;
  char url[128];
  char folder[3000];       /* of the client databases */
  const char *histories;   /* NULL: none are written */
} world;

enum { DO_BEGIN = 1, DO_CREATE, DO_ADD, DO_SEND, DO_ONLINE, DO_OFFLINE, DO_CATCH_UP, DO_PROVE, DO_SHOW, DO_END, DO_QUIT };

typedef struct order { /* one datagram of the socket pair */
  int what, log, user, line; /* ADD: members from `line` on; PROVE: `line` is the number of its first history */
  uint8_t conversation[16], client_id[16];
  uint64_t head;
} order;

typedef struct report {
  int what, status, user, line;
  uint64_t seq, count; /* PROVE: messages proven */
  uint8_t conversation[16];
  char text[256]; /* what was wrong */
} report;

/* The worker's life, in the forked child; does not return. */
void worker_run(const world *w, int number, int fd);

#endif
