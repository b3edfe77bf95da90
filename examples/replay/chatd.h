/* SPDX-License-Identifier: Apache-2.0 */
/* chatd.h - a chatd of one's own, as a child process on a free port. */
#ifndef REPLAY_CHATD_H
#define REPLAY_CHATD_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

struct chatd {
  pid_t pid;
  int port;
  FILE *output; /* open as long as it runs: it may write more */
};

/* Starts `program` in development mode with its data below `folder`, and reads from its first line of output which port it got. false: said on stderr. */
bool chatd_start(struct chatd *d, const char *program, const char *folder);
/* SIGTERM, and waits. false: it did not end well. */
bool chatd_stop(struct chatd *d);
/* User and system time of the running process. */
double chatd_cpu_seconds(const struct chatd *d);

#endif
