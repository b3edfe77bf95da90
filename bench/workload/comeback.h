/* SPDX-License-Identifier: Apache-2.0 */
/* comeback.h - clients that lost their connection and connect again a little later, each at its own random time, as real ones do. */
#ifndef BENCH_COMEBACK_H
#define BENCH_COMEBACK_H

#include "engine/load.h"

typedef struct bench_comeback {
  ch_timer_heap heap;
  ch_timer *timers; /* of each client */
  uint64_t count;   /* how often one came back */
} bench_comeback;

void comeback_init(bench_comeback *comeback, const bench_load *load);
void comeback_fini(bench_comeback *comeback);
/* The client connects again after a random part of within_ms. */
void comeback_add(bench_comeback *comeback, const bench_client *client, uint64_t within_ms);
/* Connects whose time has come; the time of the next one, or CLOCK_NEVER_NS. */
uint64_t comeback_due(bench_comeback *comeback, bench_load *load);

#endif
