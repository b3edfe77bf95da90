/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker_loop.h - one thread with the sequencer, the deliverer, retention, and the listener of metrics.
 *
 *   RUNNING   → DRAINING  drain was asked: no new records are taken, what is under way is finished
 *   DRAINING  → ENDING    end was asked
 *   RUNNING   → ENDING    end was asked
 *   ENDING                ports are canceled; waits for their ops → ENDED, the thread returns
 */
#ifndef CH_SERVER_WORKER_LOOP_H
#define CH_SERVER_WORKER_LOOP_H

#include "server/loop/metrics.h"
#include "server/loop/retention.h"
#include "server/loop/role_loop.h"
#include "server/loop/told.h"
#include "server/role/deliverer.h"
#include "server/role/sequencer.h"

typedef struct ch_worker_loop ch_worker_loop;

typedef struct ch_worker_loop_config {
  const ch_env *env;
  chat_clock clock;
  ch_metrics *metrics;
  const ch_backends *backends;
  uint32_t message_partitions, delivery_partitions;
  bool runs_sequencer, runs_deliverer;
  ch_sequencer_config sequencer;
  ch_deliverer_config deliverer;
  ch_retention_config retention;
  ch_told *told; /* NULL: not kept; borrowed, and the loop's while it lives */
  int metrics_fd; /* -1: none; taken over, also on an error */
  /* On the loop's thread. A partition stands still (chat/server.h, CHAT_SERVER_FAULT): told once for each; and a change of `drained`. */
  void (*faulted)(void *arg, const char *role, uint32_t partition, int error);
  /* On the loop's thread: a backend has no space any more, or again, after that time (space.h). */
  void (*space_changed)(void *arg, ch_backend_kind kind, bool is_full, uint64_t full_ms);
  void (*changed)(void *arg);
  void *arg;
} ch_worker_loop_config;

/* CHAT_E_NOMEM, CHAT_E_IO, errors of port_new. */
int ch_worker_loop_new(const ch_worker_loop_config *config, ch_worker_loop **loop);
int ch_worker_loop_start(ch_worker_loop *loop);
/* Any thread. From now on it says that it is not healthy, so that nobody is sent here any more; then drains. */
void ch_worker_loop_leave(ch_worker_loop *loop);
void ch_worker_loop_drain(ch_worker_loop *loop);
bool ch_worker_loop_drained(const ch_worker_loop *loop);
void ch_worker_loop_end(ch_worker_loop *loop);
/* Is the caller inside a turn of it? */
bool ch_worker_loop_is_current(const ch_worker_loop *loop);
/* Waits for the thread. NULL is a no-op; end was asked, or it never started. */
void ch_worker_loop_free(ch_worker_loop *loop);

#endif
