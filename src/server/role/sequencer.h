/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sequencer.h - the role that owns partitions of the topic "messages": gives seq and message_id, judges, writes. A pure machine.
 *
 * What it writes is a function of the log's prefix (P6). For a batch of records, in this order, each step acknowledged before the next:
 *   1  message rows                (one APPLY without states)
 *   2  delivery tasks              (APPENDs to "deliveries", one record for each user partition touched)
 *   3  conversation states + p     (one APPLY without rows)
 *   4  verdicts as tasks (S1), then the log is told what is consumed
 * or, where the store derives heads (V7): one APPLY with rows, states and p; then tasks and verdicts; then consumed.
 * A partition's batches follow one after another; partitions are independent of each other.
 *
 * judge.h is the heart: a fold of (state, record) → (state', verdict, row), without ops, usable alone.
 */
#ifndef CH_SERVER_SEQUENCER_H
#define CH_SERVER_SEQUENCER_H

#include "core/env.h"
#include "core/op.h"

typedef struct ch_sequencer ch_sequencer;

typedef struct ch_sequencer_config {
  uint32_t store_derives_heads;
  uint32_t delivery_partitions;
  uint32_t batch_count_max;        /* records of a batch: 256 */
  size_t batch_bytes_max;          /* 1 MiB */
  uint32_t conversations_max;      /* states kept in memory for each partition: 10,000; least recently used ones are forgotten */
  uint32_t retry_ms;               /* a step that ended AGAIN, UNKNOWN, FULL or IO is done again after this: 100, doubling to 5,000 */
} ch_sequencer_config;

int ch_sequencer_new(const ch_env *env, const ch_sequencer_config *config, ch_sequencer **sequencer);
void ch_sequencer_free(ch_sequencer *sequencer);
ch_role ch_sequencer_role(ch_sequencer *sequencer);

/* Ownership. assign: reads the stored position and goes on behind it. revoke: forgets all; ops under way come back and are dropped. */
int ch_sequencer_assign(ch_sequencer *sequencer, uint32_t partition, ch_now now);
void ch_sequencer_revoke(ch_sequencer *sequencer, uint32_t partition);
/* No batch is under way any more (for a stop: revoke nothing, stop reading first). */
void ch_sequencer_stop(ch_sequencer *sequencer);
bool ch_sequencer_idle(const ch_sequencer *sequencer);

/* 0, or why a partition stands still until an operator acts: CHAT_E_CORRUPT (a record that is none; what is before it is committed), CHAT_E_GONE (the log
 * ends before the stored position, or has another identity, and its epoch was not raised since), CHAT_E_INTERNAL. */
int ch_sequencer_fault(const ch_sequencer *sequencer, uint32_t partition);

typedef struct ch_sequencer_stats {
  uint64_t committed, refused, dup, gap, batches, retries;
  uint64_t position; /* stored, of the partition assigned last */
  uint64_t tasks_position; /* of what was last put into "deliveries", where that has one partition; the tasks of all up to `position` are there */
} ch_sequencer_stats;
const ch_sequencer_stats *ch_sequencer_get_stats(const ch_sequencer *sequencer);

#endif
