/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "workload/list.h"

typedef struct bench_feed {
  uint32_t *sent, *accepted; /* of each client */
  uint32_t done_count;       /* clients whose messages are all durable */
} bench_feed;

static uint32_t room_size(const bench_load *load) {
  (void)load;
  return 2;
}

static bench_feed *feed_of(const bench_load *load) {
  return load->workload_state;
}

static void send_next(bench_client *client) {
  uint32_t *sent = &feed_of(client->load)->sent[client->index];
  if (*sent < client->load->config.count) client_send(client, client->load->now_ns, (*sent)++);
}

static void begin(bench_load *load) {
  bench_feed *feed = load->workload_state = calloc(1, sizeof *feed);
  if (feed) feed->sent = calloc(2 * (size_t)load->config.client_count, sizeof *feed->sent);
  if (!feed || !feed->sent) load_fail("no memory");
  feed->accepted = feed->sent + load->config.client_count;
}

static void steady(bench_load *load) {
  for (uint32_t i = 0; i < load->room_count; i++)
    for (uint32_t slot = 0; slot < load->config.window; slot++)
      send_next(load->rooms[i].members);
}

static void accepted(bench_client *client) {
  bench_feed *feed = feed_of(client->load);
  if (++feed->accepted[client->index] < client->load->config.count)
    send_next(client);
  else if (++feed->done_count == client->load->room_count)
    load_finish(client->load);
}

static void end(bench_load *load) {
  if (load->workload_state) free(feed_of(load)->sent);
}

const bench_workload workload_feed = {
    .name = "feed", .room_size = room_size, .begin = begin, .steady = steady, .accepted = accepted, .end = end};
