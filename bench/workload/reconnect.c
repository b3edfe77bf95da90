/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "workload/comeback.h"
#include "workload/list.h"

enum { BACKOFF_MS = 2000 }; /* of one who is thrown out */

typedef struct bench_reconnect {
  bench_comeback comeback;
  uint32_t *received; /* of each client */
  uint32_t done_count;
} bench_reconnect;

static uint32_t room_size(const bench_load *load) {
  (void)load;
  return 2;
}

static bench_reconnect *reconnect_of(const bench_load *load) {
  return load->workload_state;
}

/* All have been there: they have their devices, and go. */
static void begin(bench_load *load) {
  bench_reconnect *reconnect = load->workload_state = calloc(1, sizeof *reconnect);
  if (reconnect) reconnect->received = calloc(load->config.client_count, sizeof *reconnect->received);
  if (!reconnect || !reconnect->received) load_fail("no memory");
  comeback_init(&reconnect->comeback, load);
  for (uint32_t i = 0; i < load->config.client_count; i++)
    client_close(&load->clients[i]);
}

static void steady(bench_load *load) {
  for (uint32_t i = 0; i < load->config.client_count; i++)
    comeback_add(&reconnect_of(load)->comeback, &load->clients[i], 0);
}

static void received(bench_client *client, const bench_stamp *stamp) {
  (void)stamp;
  bench_load *load = client->load;
  bench_reconnect *reconnect = reconnect_of(load);
  if (++reconnect->received[client->index] != load->config.count) return;
  histogram_record(&load->figures.latency, load->now_ns - load->figures.begin_ns);
  if (++reconnect->done_count == load->config.client_count) load_finish(load);
}

static void lost(bench_client *client) {
  comeback_add(&reconnect_of(client->load)->comeback, client, BACKOFF_MS);
}

static uint64_t due(bench_load *load, uint64_t now_ns) {
  (void)now_ns;
  return comeback_due(&reconnect_of(load)->comeback, load);
}

static void report(const bench_load *load, FILE *out) {
  const bench_reconnect *reconnect = reconnect_of(load);
  fprintf(out, ", \"in_sync\": %u, \"connects\": %llu", reconnect->done_count, (unsigned long long)reconnect->comeback.count);
}

static void end(bench_load *load) {
  if (!load->workload_state) return;
  comeback_fini(&reconnect_of(load)->comeback);
  free(reconnect_of(load)->received);
}

const bench_workload workload_reconnect = {.name = "reconnect",
                                           .room_size = room_size,
                                           .begin = begin,
                                           .steady = steady,
                                           .received = received,
                                           .due = due,
                                           .lost = lost,
                                           .report = report,
                                           .end = end};
