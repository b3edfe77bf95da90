/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fanout.h - who is told what: the delivery tasks of a batch, sorted by partition of the topic "deliveries" (docs/architecture.md, "Records").
 *
 * An event of a direct conversation or group goes to all present members, and to one that it removed; one record for each partition that the batch touches, with the
 * recipients in it and the message once. An event of a channel goes to the partition of the conversation, for the gateways with subscribers; besides, who becomes or
 * ceases to be a member of a channel, or changes role in it, is told of that event as a user. That a group becomes a channel is still fanned out to all members.
 * Where the store does not derive heads a task carries the recipients' head; recipients whose heads differ (role, first seq) are tasks of their own.
 *
 * Everything lives in the arena handed in and borrows from the batch.
 */
#ifndef CH_SERVER_ROLE_FANOUT_H
#define CH_SERVER_ROLE_FANOUT_H

#include "core/wire.h"
#include "server/role/conversation.h"
#include "server/role/judge.h"

enum { CH_LOG_RECORD_MAX = 256 * 1024 }; /* bytes; chat/backend.h, chat_log_record */

typedef struct ch_audience ch_audience; /* present members, sorted into recipients of one task */

typedef struct ch_fanout_tasks {
  ch_task *items;
  size_t count, room_count;
} ch_fanout_tasks;

typedef struct ch_fanout {
  ch_arena *arena;
  uint32_t partition_count;
  bool derives_heads;
  ch_fanout_tasks *by_partition;
} ch_fanout;

/* Each gives 0 or CHAT_E_NOMEM. */
int ch_fanout_init(ch_fanout *fanout, ch_arena *arena, uint32_t partition_count, bool derives_heads);
/* The event of a COMMITTED judgement, right after it was judged. *cache keeps the present members from one event to the next while membership stays; NULL at first. */
int ch_fanout_event(ch_fanout *fanout, const ch_conversation *conversation, const ch_judgement *judgement, const ch_audience **cache);
/* Any other verdict: to the sending device alone. */
int ch_fanout_verdict(ch_fanout *fanout, const ch_record *record, const ch_judgement *judgement);

/* The tasks of one partition as records of at most CH_LOG_RECORD_MAX bytes, in order; count 0: none. `position` goes into each (0: none).
 * CHAT_E_INTERNAL: a single task does not fit, which bounds of the protocol exclude. */
int ch_fanout_records(const ch_fanout *fanout, uint32_t partition, uint64_t position, chat_log_record **records, size_t *count);

#endif
