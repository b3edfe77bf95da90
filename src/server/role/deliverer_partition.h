/* SPDX-License-Identifier: Apache-2.0 */
/*
 * deliverer_partition.h - private to deliverer*.c: one owned partition of the topic "deliveries".
 *
 * Three machines beside each other. The reader says where to begin and brings records:
 *
 *   POSITION  asks the store what is done                      → INFO
 *   INFO      asks the log what is in it, and which log it is  → SEEK, READ
 *   SEEK      steps back until rewind_ms before that position  → READ, INFO (cut meanwhile)
 *   READ      long polls                                       → INFO (cut, or failed: it may come back as another log)
 *
 * Where heads are derived it begins with INFO, at the end of the log. POSITION comes before INFO, so that what an owner before this one stores meanwhile is not behind
 * the end that the log told.
 *
 * The work takes one record after another along a table of steps. A step puts out the ops that are still missing and is run again when all of them are back, until
 * nothing is missing. What failed is simply missing still, and is put out anew after a while: everything here may be done twice. Only the directory is not waited for:
 *
 * The debt is whom the directory could not be told about. While it is down no record asks it: their live events are dropped, their heads are written all the same, and
 * their recipients are owed the highest of the positions, which is raised again and again until that is answered; then they are told to sync (V1). Where only a part of it is away, its
 * users alone are owed.
 *
 * A revoked partition does nothing more, but stays until its ops are back, because they borrow from it. Nobody waits for LINK_SEND and CONSUMED: they have no owner.
 */
#ifndef CH_SERVER_ROLE_DELIVERER_PARTITION_H
#define CH_SERVER_ROLE_DELIVERER_PARTITION_H

#include "core/list.h"
#include "server/role/deliverer.h"
#include "server/role/deliverer_record.h"
#include "server/role/retry.h"

typedef enum ch_reader_state { CH_READER_INFO = 1, CH_READER_POSITION = 2, CH_READER_SEEK = 3, CH_READER_READ = 4 } ch_reader_state;

typedef struct ch_delivery_reader {
  ch_reader_state state;
  bool is_open;       /* has been in READ */
  bool is_outside;    /* its op, one at a time */
  uint8_t identity[16]; /* of the log, when it was asked last; at first as it is stored (zeros: it is not) */
  uint64_t first;     /* as the log said */
  uint64_t stored, stored_ms; /* where the owner before was, and when that was appended */
  uint64_t seek_step; /* positions to step back next */
  uint64_t after;     /* where to read on */
  chat_log_read *next; /* records that wait for the ones before them */
  ch_retry retry;
} ch_delivery_reader;

typedef struct ch_delivery_debt {
  ch_hashmap users;   /* whose raise was not answered */
  uint64_t position;  /* the highest of theirs */
  size_t next;        /* which of them the next RAISE begins with */
  bool is_down;       /* the directory */
  bool is_outside;    /* the RAISE for them */
  ch_retry retry;
  ch_delivery_record told; /* those who are told to sync */
} ch_delivery_debt;

typedef struct ch_delivery_partition {
  ch_list node;
  ch_deliverer *deliverer;
  uint32_t number;
  bool revoked, has_ended;
  int fault;
  size_t outside_count; /* ops that borrow from here, in the queue or outside */
  size_t pending_count; /* of those, the ones that the present step waits for */

  ch_delivery_reader reader;
  ch_delivery_debt debt;

  chat_log_read *batch; /* records at work; NULL: none */
  uint8_t batch_identity[16]; /* of the log that they are of: the reader may have found another one since */
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
ch_delivery_step ch_delivery_step_at(size_t step); /* NULL behind the last */
/* An op of the present step that came back, not CANCELED. 0, or its status: the step is to be run again later; the directory's failures are none of the step. */
int ch_delivery_took(ch_delivery_partition *partition, chat_op *op, ch_now now);

/* deliverer.c, for the steps: an op of this partition, putting it out for the step to wait for, and LINK_SENDs, for which nobody waits. */
void *ch_delivery_op(ch_delivery_partition *partition, uint32_t kind, size_t len);
void ch_delivery_put(ch_delivery_partition *partition, chat_op *op);
void ch_delivery_put_links(ch_deliverer *deliverer, ch_op_queue *links);

/* deliverer_debt.c */
void ch_delivery_debt_init(ch_delivery_debt *debt, const ch_env *env, uint32_t retry_ms);
void ch_delivery_debt_fini(ch_delivery_debt *debt);
/* It did not answer: it is down until it does, or for a while where nobody is owed anything. */
void ch_delivery_directory_failed(ch_delivery_debt *debt, ch_now now);
/* The recipients of the record at work, if they were not raised. 0, CHAT_E_NOMEM, CHAT_E_FULL: later. */
int ch_delivery_owe(ch_delivery_partition *partition);
size_t ch_delivery_count_failed(const chat_directory_raise *raise); /* users whose part of the directory did not answer */
/* A record's RAISE was answered: what was there before is not known of those who were owed one, and they no longer are. */
void ch_delivery_settle(ch_delivery_debt *debt, chat_directory_raise *raise);
/* Raises what is owed as far as it is time, and finds out whether the directory is there again. */
chat_op *ch_delivery_debt_ask(ch_delivery_partition *partition, ch_now now); /* NULL: nothing to put out now */
bool ch_is_of_debt(const chat_op *op);
void ch_delivery_debt_took(ch_delivery_partition *partition, chat_directory_raise *op, ch_now now);

/* deliverer_reader.c */
chat_op *ch_delivery_reader_ask(ch_delivery_partition *partition); /* NULL: no memory */
/* Its op failed, and may go well later. */
void ch_delivery_reader_failed(ch_delivery_reader *reader);
/* Its op with status 0, or a READ with CHAT_E_GONE. 0, or why the partition stands still. Keeps a READ with records in `next` (*kept). */
int ch_delivery_reader_took(ch_delivery_partition *partition, chat_op *op, bool *kept);

#endif
