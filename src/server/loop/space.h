/* SPDX-License-Identifier: Apache-2.0 */
/*
 * space.h - whether a backend (its disk, as a rule) has space: full from a write that failed with CHAT_E_FULL, until none has failed so for CH_SPACE_QUIET_MS.
 *
 * Writes that succeed say nothing: small ones still fit where large ones do not, and the log has room that it has taken before. Who needs space tries again at least
 * every CH_RETRY_MAX_MS; where nobody tries (all clients have gone) it must not be called full for ever, or a balancer would never send anybody who might try.
 */
#ifndef CH_SERVER_SPACE_H
#define CH_SERVER_SPACE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "server/role/retry.h"

enum { CH_SPACE_QUIET_MS = 2 * CH_RETRY_MAX_MS };

typedef struct ch_space {
  _Atomic uint64_t failed_ms; /* elapsed, of the last failure, plus 1; 0: none yet */
  uint64_t began_ms;          /* from here on one thread's: that of ch_space_check */
  bool is_full;
} ch_space; /* all zero at first */

typedef enum ch_space_change { CH_SPACE_SAME, CH_SPACE_FULL, CH_SPACE_FREE } ch_space_change;

/* A write has failed for want of space. Any thread. */
void ch_space_failed(ch_space *space, uint64_t elapsed_ms);
/* What has changed since the last call: each change is told once. */
ch_space_change ch_space_check(ch_space *space, uint64_t elapsed_ms);

#endif
