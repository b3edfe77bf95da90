/* SPDX-License-Identifier: Apache-2.0 */
/*
 * partition.h - one partition of "messages": journal, tail, who waits for what.
 */
#ifndef CH_LOG_FILE_PARTITION_H
#define CH_LOG_FILE_PARTITION_H

#include "backend/log_file/journal.h"
#include "backend/log_file/tail.h"
#include "backend/port_mem.h"

/* What waits for the log; in its op's memory. */
typedef struct ch_log_wait {
  struct ch_log_wait *next;
  chat_op *op;
  ch_port *port;
  uint64_t now_ms; /* appends: wall time at submit */
  size_t bytes;
  int status;
} ch_log_wait;

typedef struct ch_log_fifo {
  ch_log_wait *first, **last;
} ch_log_fifo;

void ch_log_fifo_init(ch_log_fifo *fifo);
void ch_log_fifo_push(ch_log_fifo *fifo, ch_log_wait *item);
ch_log_wait *ch_log_fifo_pop(ch_log_fifo *fifo); /* NULL: empty */

enum { CH_LOG_COMMIT_RECORDS = 1024, CH_LOG_COMMIT_BYTES = 1024 * 1024 };

/* A record of the commit that is being gathered. */
typedef struct ch_log_gathered {
  ch_log_wait *wait;
  chat_log_record *record;
  uint64_t number, time_ms;
} ch_log_gathered;

typedef struct ch_log_partition {
  ch_journal journal; /* appended to by the writing thread alone */
  ch_log_gathered gathered[CH_LOG_COMMIT_RECORDS];
  size_t gathered_count;
  bool lost; /* the disk has lost what was durable: nothing is appended any more */

  /* Under the log's lock. */
  ch_tail tail;
  ch_log_fifo readers; /* long polls that wait */
  uint64_t consumed;   /* number up to which segments may go */

  ch_journal_cursor cursor; /* the reading thread's */
} ch_log_partition;

/* Writes the appends in `batch`, setting their status, and positions of what is durable. Those that are durable enter the tail, under `lock`. */
void ch_log_partition_append(ch_log_partition *partition, ch_log_fifo *batch, pthread_mutex_t *lock);

/* Answers a read from the tail. Caller holds the log's lock. */
typedef enum ch_log_answer {
  CH_LOG_ANSWERED, /* `*status` says how */
  CH_LOG_NOTHING,  /* there is nothing yet */
  CH_LOG_IN_FILE   /* too old for the tail: ch_log_partition_read_file */
} ch_log_answer;
ch_log_answer ch_log_partition_read(ch_log_partition *partition, chat_log_read *read, int *status);
/* From the files; the reading thread, no lock held. The status. */
int ch_log_partition_read_file(ch_log_partition *partition, chat_log_read *read);

#endif
