/* SPDX-License-Identifier: Apache-2.0 */
/* op_figures.h - what the ops of one role say to the metrics: how many wait, how far the log is, how long appends and commits take. One thread's. */
#ifndef CH_SERVER_OP_FIGURES_H
#define CH_SERVER_OP_FIGURES_H

#include "core/op.h"
#include "server/loop/metrics.h"

enum { CH_TIMED_APPENDS_MAX = 32, CH_FIGURES_KINDS_MAX = 5 };

typedef struct ch_op_figures {
  ch_metrics *metrics;
  int64_t waiting[CH_FIGURES_KINDS_MAX], told[CH_FIGURES_KINDS_MAX]; /* ops by kind of backend, long polls aside */
  struct {
    const chat_op *op; /* NULL: free */
    uint64_t began_us;
  } appends[CH_TIMED_APPENDS_MAX]; /* to the log of messages; one that finds no place is not timed */
} ch_op_figures;

/* A position as people count: without the log's epoch. */
static inline int64_t ch_position_number(uint64_t position) {
  return (int64_t)(position & UINT64_C(0xffffffffffff));
}

/* The role has put it out; `kind` of backend, below CH_FIGURES_KINDS_MAX. */
void ch_op_figures_out(ch_op_figures *figures, uint32_t kind, const chat_op *op);
/* It is back, however it ended. */
void ch_op_figures_back(ch_op_figures *figures, uint32_t kind, const chat_op *op, uint64_t wall_ms);
/* Passes on what waits: once a turn. */
void ch_op_figures_tell(ch_op_figures *figures);

#endif
