/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sequencer_partition.h - private to sequencer*.c: one owned partition of the topic "messages".
 *
 * A partition walks along a table of steps. A step puts out ops; the next one begins when all of them are acknowledged.
 *
 *   WORKING   in the steps of its opening or of a batch             → WAITING (last step done), PAUSED (memory, S3), ENDED
 *   WAITING   nothing to do until a READ brings records             → WORKING (a batch; its opening again: what follows was cut), ENDED
 *   PAUSED    begins its steps anew when `retry` is due, from the store → WORKING, ENDED
 *   ENDED     final: a fault, or its port is being freed (fault 0)
 *
 * An op of a step that ends AGAIN, UNKNOWN, FULL, IO … is parked and put out again as it is when `retry` is due: all writes are idempotent. The reader, which works
 * beside the steps, asks anew.
 * A revoked partition does nothing more, but stays until its ops are back, because they borrow from it.
 */
#ifndef CH_SERVER_ROLE_SEQUENCER_PARTITION_H
#define CH_SERVER_ROLE_SEQUENCER_PARTITION_H

#include "server/role/retry.h"
#include "server/role/sequencer.h"
#include "server/role/sequencer_batch.h"

typedef enum ch_partition_state { CH_PARTITION_WORKING = 1, CH_PARTITION_WAITING = 2, CH_PARTITION_PAUSED = 3, CH_PARTITION_ENDED = 4 } ch_partition_state;

typedef struct ch_partition ch_partition;
typedef int (*ch_step)(ch_partition *partition); /* 0; CHAT_E_NOMEM, CHAT_E_AGAIN: pause and begin anew; any other: fault */

typedef struct ch_log_reader {
  bool is_outside;     /* its op, one at a time */
  bool is_sure;        /* that this is the log whose records were stored */
  uint8_t identity[16]; /* of the log, as it said last or as it is stored; zeros: not known yet */
  uint64_t after;      /* position of the last record that was read, at first of the last one that was stored */
  chat_log_read *next; /* records that wait for the batch before them */
  bool is_cut;         /* what follows is not in the log any more: another owner has stored it. Opened anew as soon as the batch is done */
  uint64_t cut_after;  /* where that was so last; UINT64_MAX: nowhere yet */
  ch_retry retry;
} ch_log_reader;

struct ch_partition {
  ch_list node;
  ch_sequencer *sequencer;
  uint32_t number;
  ch_partition_state state;
  bool revoked;
  int fault;
  const ch_step *steps; /* of the opening or of a batch, NULL behind the last */
  size_t step;          /* next to begin */
  size_t outside_count; /* ops in the queue, outside or parked */
  size_t pending_count; /* of those, the ones that the present step waits for */
  bool forget_all;      /* PAUSED: what is in memory is in pieces */
  bool is_step_left;    /* PAUSED: only the step before `step` is to be done again */

  uint64_t position; /* stored and acknowledged */
  uint8_t batch_identity[16]; /* of the log that the batch was read from: the reader may have found another one since */
  ch_log_reader reader;

  ch_op_queue parked;
  ch_retry retry; /* of the steps */

  ch_batch_config batch_config;
  ch_conversation_map map;
  ch_batch batch;
};

struct ch_sequencer {
  ch_env env;
  ch_sequencer_config config;
  ch_list partitions; /* owned ones, and revoked ones whose ops are outside */
  ch_op_queue out;
  bool is_stopping;
  ch_sequencer_stats stats;
};

/* sequencer_steps.c */
extern const ch_step ch_steps_opening[];
const ch_step *ch_steps_of_batch(bool derives_heads);
/* Without memory, that is: nothing but what it sends depends on it. */
bool ch_step_can_be_repeated(ch_step step);

/* sequencer.c, for the steps: an op of this partition, and putting it out; waited: the step waits for it. */
void *ch_partition_op(ch_partition *partition, uint32_t kind, size_t len);
void ch_partition_put(ch_partition *partition, chat_op *op, bool waited);
/* The last step of a table is done: what next? */
void ch_partition_rest(ch_partition *partition);

/* sequencer_reader.c */
chat_op *ch_reader_ask(ch_partition *partition); /* NULL: no memory */
/* Its op with status 0, which it frees or keeps in `next`. 0, or why the partition stands still. */
int ch_reader_took(ch_partition *partition, chat_op *op);

/* sequencer_steps.c, for the ops that come back with status 0. */
int ch_partition_took_state(ch_partition *partition, const chat_store_state *op);

#endif
