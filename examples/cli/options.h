/* SPDX-License-Identifier: Apache-2.0 */
/* options.h - one table of all options; each command names those that it takes. Help is printed from the same table. */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Pointers are into argv or the environment; NULL and 0: not given. */
typedef struct options {
  const char *home, *profile;
  const char *token_file, *ca_file, *pin_sha256, *device_name; /* login */
  const char *wait, *id, *kind;                                /* send */
  const char *in;                                              /* search */
  const char *role;                                            /* group add */
  uint64_t timeout_s, limit, before, after, count;
  bool json, offline, all, whole, server, channel, from_start, help, version;
} options;

/* Taken by every command. */
extern const char options_of_all[];

/* Reads options out of argv, which is put in order so that the operands are the last ones; *first: the index of the first operand. `names`: what
 * is taken besides options_of_all, separated by spaces. first_only: stops at the first operand. -1: said on stderr. */
int options_read(options *o, int argc, char **argv, const char *names, bool first_only, int *first);

void options_print(FILE *file, const char *names);

#endif
