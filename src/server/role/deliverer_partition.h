/* SPDX-License-Identifier: Apache-2.0 */
/*
 * deliverer_partition.h - private to deliverer*.c: one owned partition of the topic "deliveries".
 *
 * Two machines beside each other. The reader says where to begin and brings records:
 *
 *   POSITION  asks the store what is done                      → INFO (begins here, but where heads are derived)
 *   INFO      asks what is in the log                          → SEEK, READ (heads derived, or records were cut)
 *   SEEK      steps back until rewind_ms before that position  → READ, INFO (cut meanwhile)
 *   READ      long polls                                       → INFO (cut)
 *
 * The work takes one record after another along a table of steps. A step puts out the ops that are still missing and is run again when all of them are back, until
 * nothing is missing. What failed is simply missing still, and is put out anew after a while: everything here may be done twice.
 * A revoked partition does nothing more, but stays until its ops are back, because they borrow from it. Nobody waits for LINK_SEND and CONSUMED: they have no owner.
 */
#ifndef CH_SERVER_ROLE_DELIVERER_PARTITION_H
#define CH_SERVER_ROLE_DELIVERER_PARTITION_H

#include "core/list.h"
#include "server/role/deliverer.h"
#include "server/role/deliverer_record.h"

typedef enum ch_reader_state { CH_READER_INFO = 1, CH_READER_POSITION = 2, CH_READER_SEEK = 3, CH_READER_READ = 4 } ch_reader_state;

typedef struct ch_retry {
  uint64_t at_ms; /* elapsed; CH_NEVER_MS: nothing to do again */
  uint32_t backoff_ms;
} ch_retry;

typedef struct ch_delivery_reader {
  ch_reader_state state;
  bool is_open;       /* has been in READ */
  bool is_outside;    /* its op, one at a time */
  uint64_t first, end; /* as the log said */
  uint64_t stored, stored_ms; /* where the owner before was, and when that was appended */
  uint64_t seek_step; /* positions to step back next */
  uint64_t after;     /* where to read on */
  chat_log_read *next; /* records that wait for the ones before them */
  ch_retry retry;
} ch_delivery_reader;

typedef struct ch_delivery_partition {
  ch_list node;
  ch_deliverer *deliverer;
  uint32_t number;
  bool revoked, has_ended;
  int fault;
  size_t outside_count; /* ops that borrow from here, in the queue or outside */
  size_t pending_count; /* of those, the ones that the present step waits for */

  ch_delivery_reader reader;

  chat_log_read *batch; /* records at work; NULL: none */
  size_t batch_next;
  bool is_working;      /* on `record` */
  size_t step;
  ch_delivery_record record;
  ch_retry retry;       /* of the present step */

  uint64_t done, said;  /* positions: everything up to it is done; the log was told */
  size_t unsaid_count;  /* records */
  uint64_t say_at_ms;   /* elapsed */
} ch_delivery_partition;

struct ch_deliverer {
  ch_env env;
  ch_deliverer_config config;
  ch_list partitions; /* owned ones, and revoked ones whose ops are outside */
  ch_op_queue out;
  size_t links_count; /* LINK_SENDs in the queue or outside */
  bool is_stopping;
  ch_deliverer_stats stats;
};

/* deliverer_steps.c. Run again until it puts out nothing. 0, CHAT_E_NOMEM. */
typedef int (*ch_delivery_step)(ch_delivery_partition *partition);
extern const ch_delivery_step ch_delivery_steps[]; /* NULL behind the last */
/* An op of the present step that came back. 0, or its status: the step is to be run again later. */
int ch_delivery_took(ch_delivery_partition *partition, chat_op *op);

/* deliverer.c, for the steps: an op of this partition, and putting it out for the step to wait for. */
void *ch_delivery_op(ch_delivery_partition *partition, uint32_t kind, size_t len);
void ch_delivery_put(ch_delivery_partition *partition, chat_op *op);

/* deliverer_reader.c */
chat_op *ch_delivery_reader_ask(ch_delivery_partition *partition); /* NULL: no memory */
/* Its op with status 0, or a READ with CHAT_E_GONE. 0, or why the partition stands still. Keeps a READ with records in `next` (*kept). */
int ch_delivery_reader_took(ch_delivery_partition *partition, chat_op *op, bool *kept);

#endif
