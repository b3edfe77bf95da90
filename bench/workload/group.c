/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "workload/list.h"

/* client->workload_state of one who talks: for each message in flight, how many of the others do not have it yet. */
typedef uint32_t left_count;

static uint32_t room_size(const bench_load *load) {
  return load->config.room_size;
}

static void send_slot(bench_client *client, uint32_t slot) {
  left_count *left = client->workload_state;
  left[slot] = client->room->member_count - 1;
  client_send(client, client->load->now_ns, slot);
}

static void start_talking(bench_client *client) {
  uint32_t window = client->load->config.window;
  client->workload_state = calloc(window, sizeof(left_count));
  if (!client->workload_state) load_fail("no memory");
  for (uint32_t slot = 0; slot < window; slot++)
    send_slot(client, slot);
}

static void begin(bench_load *load) {
  for (uint32_t i = 0; i < load->room_count; i++)
    for (uint32_t member = 0; member < load->config.talkers && member < load->config.room_size; member++)
      start_talking(&load->rooms[i].members[member]);
}

static void received(bench_client *client, const bench_stamp *stamp) {
  struct bench_client *sender = &client->load->clients[stamp->sender];
  left_count *left = sender->workload_state;
  if (!left || stamp->number >= client->load->config.window) load_fail("a message came that nobody sent");
  if (--left[stamp->number] == 0) send_slot(sender, stamp->number);
}

const bench_workload workload_group = {.name = "group", .room_size = room_size, .begin = begin, .received = received};
