/* SPDX-License-Identifier: Apache-2.0 */
#include "workload/comeback.h"

#include <stdlib.h>

void comeback_init(bench_comeback *comeback, const bench_load *load) {
  comeback->count = 0;
  comeback->timers = calloc(load->config.client_count, sizeof *comeback->timers);
  if (!comeback->timers) load_fail("no memory");
  ch_timer_heap_init(&comeback->heap, NULL);
}

void comeback_fini(bench_comeback *comeback) {
  ch_timer_heap_fini(&comeback->heap);
  free(comeback->timers);
}

void comeback_add(bench_comeback *comeback, const bench_client *client, uint64_t within_ms) {
  uint64_t wait_ms = within_ms ? (uint64_t)rand() % within_ms : 0;
  if (ch_timer_heap_set(&comeback->heap, &comeback->timers[client->index], load_now_ms(client->load) + wait_ms)) load_fail("no memory");
}

uint64_t comeback_due(bench_comeback *comeback, bench_load *load) {
  ch_timer *timer;
  while ((timer = ch_timer_heap_due(&comeback->heap, load_now_ms(load)))) {
    comeback->count++;
    client_connect(&load->clients[timer - comeback->timers]);
  }
  uint64_t next_ms = ch_timer_heap_next_ms(&comeback->heap);
  return next_ms == CH_NEVER_MS ? CLOCK_NEVER_NS : next_ms * 1000000;
}
