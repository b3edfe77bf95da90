/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/protocol.h"
#include "workload/list.h"

enum { PAGE = 50 };

static uint32_t room_size(const bench_load *load) {
  (void)load;
  return 2;
}

static uint64_t asked_ns; /* there is one question at a time */

static void ask(bench_client *client) {
  asked_ns = clock_now_ns();
  client->load->config.protocol->page(client);
}

static void begin(bench_load *load) {
  if (!load->config.protocol->page) load_fail("this protocol has no pages");
  ask(&load->clients[0]);
}

static void paged(bench_client *client, size_t count) {
  bench_load *load = client->load;
  if (count != PAGE) load_fail("a page has %zu messages", count);
  if (load->phase == LOAD_STEADY) {
    load->figures.received++;
    histogram_record(&load->figures.latency, load->now_ns - asked_ns);
  }
  ask(&load->clients[(client->index + 1) % load->config.client_count]);
}

const bench_workload workload_pages = {.name = "pages", .room_size = room_size, .begin = begin, .paged = paged};
