/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "workload/comeback.h"
#include "workload/list.h"

/* Each slow reader takes a few hundred bytes now and then: too little to keep up, enough to be alive. */
enum { SIP_LEN = 512, SIP_ROUND_S = 5, BACKOFF_MS = 5000 };

typedef struct bench_slow {
  bench_comeback comeback;
  uint32_t talking; /* rooms take turns */
  uint32_t sipping; /* client who reads next */
  uint64_t sip_ns;  /* when */
  uint64_t lost_count;
} bench_slow;

static uint32_t room_size(const bench_load *load) {
  return load->config.room_size;
}

static bench_slow *slow_of(const bench_load *load) {
  return load->workload_state;
}

static bool is_reader(const bench_client *client) {
  return client_member(client) > 0;
}

static void begin(bench_load *load) {
  bench_slow *slow = load->workload_state = calloc(1, sizeof *slow);
  if (!slow) load_fail("no memory");
  comeback_init(&slow->comeback, load);
  slow->sip_ns = load->now_ns;
  for (uint32_t i = 0; i < load->config.client_count; i++)
    if (is_reader(&load->clients[i])) client_turn_deaf(&load->clients[i]);
}

static void sip(bench_load *load, uint64_t now_ns) {
  bench_slow *slow = slow_of(load);
  uint64_t step_ns = SIP_ROUND_S * CLOCK_SECOND_NS / load->config.client_count;
  for (; slow->sip_ns <= now_ns; slow->sip_ns += step_ns) {
    bench_client *client = &load->clients[slow->sipping++ % load->config.client_count];
    if (client->deaf) client_sip(client, SIP_LEN);
    if (client->state == CLIENT_READY && is_reader(client)) client_turn_deaf(client); /* it came back */
  }
}

static uint64_t due(bench_load *load, uint64_t now_ns) {
  bench_slow *slow = slow_of(load);
  uint64_t start_ns;
  while (pace_due(&load->pace, now_ns, &start_ns))
    client_send(load->rooms[slow->talking++ % load->room_count].members, start_ns, 0);
  sip(load, now_ns);
  comeback_due(&slow->comeback, load);
  uint64_t next_ns = pace_next_ns(&load->pace);
  return next_ns < slow->sip_ns ? next_ns : slow->sip_ns;
}

static void lost(bench_client *client) {
  bench_slow *slow = slow_of(client->load);
  if (!is_reader(client)) load_fail("one who talks and reads was cut off");
  slow->lost_count++;
  comeback_add(&slow->comeback, client, BACKOFF_MS);
}

static void report(const bench_load *load, FILE *out) {
  fprintf(out, ", \"cut_off\": %llu", (unsigned long long)slow_of(load)->lost_count);
}

static void end(bench_load *load) {
  if (load->workload_state) comeback_fini(&slow_of(load)->comeback);
}

const bench_workload workload_slow = {
    .name = "slow", .room_size = room_size, .begin = begin, .due = due, .lost = lost, .report = report, .end = end};
