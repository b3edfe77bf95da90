/* SPDX-License-Identifier: Apache-2.0 */
/*
 * retry.h - private to the sequencer and the deliverer: when what failed is done again, and what a status of an op means to the owner of a partition.
 *
 * The wait doubles from one failure to the next, up to CH_RETRY_MAX_MS, and begins anew after a success.
 */
#ifndef CH_SERVER_ROLE_RETRY_H
#define CH_SERVER_ROLE_RETRY_H

#include "core/op.h"

enum { CH_RETRY_MAX_MS = 5000 };

typedef struct ch_retry {
  uint64_t at_ms; /* elapsed; CH_NEVER_MS: nothing to do again */
  uint32_t wait_ms;
} ch_retry;

ch_retry ch_retry_of(uint32_t first_wait_ms);
/* Something failed. false: it is scheduled already, by what failed before. */
bool ch_retry_schedule(ch_retry *retry, ch_now now);
/* true, once: the time has come. */
bool ch_retry_take_due(ch_retry *retry, ch_now now);
bool ch_retry_is_waiting(const ch_retry *retry);

/* Did it not happen, and may later? All writes are idempotent, so one that may have happened is done again as well. */
bool ch_status_is_passing(int status);
/* Any other: why a partition stands still. 0: it does not, the port is being freed. */
int ch_status_fault(int status);

#endif
