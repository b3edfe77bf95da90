/* SPDX-License-Identifier: Apache-2.0 */
/*
 * deliverer.h - the role that owns partitions of the topic "deliveries": heads, positions, live events (rule V1). A pure machine.
 *
 * For each record of tasks, in the order of its partition:
 *   heads written and acknowledged (stores that do not derive them) → RAISE pos:{user} of every recipient, which gives previous positions and routes →
 *   one LINK_SEND for each gateway that has a recipient's device, naming every head → consumed.
 * Volatile tasks (verdicts, receipts, typing) take ROUTES and LINK_SEND alone. A channel's event goes to the gateways with subscribers.
 * A link that is slow or gone never holds up the partition: its delivery is dropped, sync heals it (P8). Nor does the directory: while it is down heads are written,
 * live events are dropped, and the recipients (65,536 of a partition; then it does wait) are raised to the highest position, and told to sync, once it answers.
 * A new owner begins some 30 s of records before the stored position.
 */
#ifndef CH_SERVER_DELIVERER_H
#define CH_SERVER_DELIVERER_H

#include "core/env.h"
#include "core/op.h"

typedef struct ch_deliverer ch_deliverer;

typedef struct ch_deliverer_config {
  uint32_t store_derives_heads;
  uint32_t records_max;   /* records under way for each partition: 32 (raises of one user keep their order) */
  uint32_t rewind_ms;     /* 30,000: how far before the stored position a new owner begins, by append time; 0 where DELIVERIES is not durable */
  uint32_t retry_ms;
  uint32_t has_after_store; /* the embedder has the hook "after it is stored": CH_OP_AFTER_STORE for each event, before consumed */
} ch_deliverer_config;

typedef struct ch_op_after_store { /* CH_OP_AFTER_STORE: at least once, keyed by conversation and seq */
  chat_op op;
  chat_row row;
  chat_bytes *users; /* recipients of this record */
  size_t user_count;
} ch_op_after_store;

int ch_deliverer_new(const ch_env *env, const ch_deliverer_config *config, ch_deliverer **deliverer);
void ch_deliverer_free(ch_deliverer *deliverer);
ch_role ch_deliverer_role(ch_deliverer *deliverer);
int ch_deliverer_assign(ch_deliverer *deliverer, uint32_t partition, ch_now now);
void ch_deliverer_revoke(ch_deliverer *deliverer, uint32_t partition);
void ch_deliverer_stop(ch_deliverer *deliverer);
bool ch_deliverer_idle(const ch_deliverer *deliverer);

/* 0, or why a partition stands still until an operator acts: CHAT_E_GONE (the log ends before the stored position, or has another identity, and its epoch was not raised since; not where heads are
 * derived), CHAT_E_CORRUPT, CHAT_E_INTERNAL. */
int ch_deliverer_fault(const ch_deliverer *deliverer, uint32_t partition);

typedef struct ch_deliverer_stats {
  uint64_t records, deliveries, dropped, raises, position; /* deliveries: handed to a link; dropped: not handed, or not taken by it */
  uint64_t undecodable; /* records that are none; skipped: sync finds what was in them */
} ch_deliverer_stats;
const ch_deliverer_stats *ch_deliverer_get_stats(const ch_deliverer *deliverer);

#endif
