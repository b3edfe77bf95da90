/* SPDX-License-Identifier: Apache-2.0 */
#include "workload/list.h"

static uint32_t room_size(const bench_load *load) {
  (void)load;
  return 2;
}

static void begin(bench_load *load) {
  if (load->config.rate > 0) return;
  for (uint32_t i = 0; i < load->room_count; i++)
    for (uint32_t ball = 0; ball < load->config.window; ball++)
      client_send(load->rooms[i].members, load->now_ns, ball);
}

static void received(bench_client *client, const bench_stamp *stamp) {
  if (client->load->config.rate > 0) return;
  client_send(client, client->load->now_ns, stamp->number);
}

/* The pairs in turn, and of each pair now one and now the other. */
static uint64_t due(bench_load *load, uint64_t now_ns) {
  static uint32_t turn;
  uint64_t start_ns;
  for (; pace_due(&load->pace, now_ns, &start_ns); turn++) {
    bench_room *room = &load->rooms[turn % load->room_count];
    client_send(&room->members[turn / load->room_count % 2], start_ns, turn);
  }
  return pace_next_ns(&load->pace);
}

const bench_workload workload_pairs = {.name = "pairs", .room_size = room_size, .begin = begin, .received = received, .due = due};
