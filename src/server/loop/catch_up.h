/* SPDX-License-Identifier: Apache-2.0 */
/*
 * catch_up.h - before clients come in: the store is where the log ends.
 *
 * The embedded store writes late (docs/decisions/0008). After a kill the sequencer judges again what was only in memory, with the same outcome; nobody is to see the older state meanwhile.
 */
#ifndef CH_SERVER_CATCH_UP_H
#define CH_SERVER_CATCH_UP_H

#include "server/loop/backends.h"
#include "server/loop/metrics.h"

/* Blocks until the sequencer, whose loop runs, has stored what the log had at the call; not longer than some seconds, and not where a partition stands still. */
void ch_catch_up(const ch_allocator *alloc, const ch_backends *backends, const ch_metrics *metrics);

#endif
