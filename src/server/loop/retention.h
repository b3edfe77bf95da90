/* SPDX-License-Identifier: Apache-2.0 */
/*
 * retention.h - erases what is older than the option "retention", in slices; a role like any other, driven by role_loop.
 *
 * What is erased follows a horizon, not the clock: the horizon begins at (now - age) when a server runs for the first time, is kept in a file, and moves at most as far as
 * the server has run since. So a clock that jumps ahead erases nothing that is young, and a server that stood still erases later, not more at once.
 */
#ifndef CH_SERVER_RETENTION_H
#define CH_SERVER_RETENTION_H

#include "core/env.h"
#include "core/op.h"

typedef struct ch_retention ch_retention;

typedef struct ch_retention_config {
  const ch_allocator *alloc;
  uint64_t age_ms;     /* 0: nothing is ever erased */
  uint64_t horizon_ms; /* as kept (Unix time); 0: none is kept */
  /* The horizon moved: to be kept. On the loop's thread, about once an hour. NULL: not kept. */
  void (*moved)(void *arg, uint64_t horizon_ms);
  void *arg;
} ch_retention_config;

int ch_retention_new(const ch_retention_config *config, ch_now now, ch_retention **retention);
void ch_retention_free(ch_retention *retention);
ch_role ch_retention_role(ch_retention *retention);
uint64_t ch_retention_pruned(const ch_retention *retention); /* rows so far */

#endif
