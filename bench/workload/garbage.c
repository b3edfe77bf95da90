/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "workload/comeback.h"
#include "workload/list.h"

typedef struct bench_garbage {
  bench_comeback comeback;
  uint32_t next; /* client, and kind of garbage */
  uint64_t sent_count, lost_count;
} bench_garbage;

/* What a frame may be wrong in: length prefix, protobuf, an opcode that nobody knows, an id of a wrong length, a frame cut off, mere noise. */
static const struct {
  const char *bytes;
  size_t len;
} kinds[] = {
    {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 11}, /* a varint too long */
    {"\x05\x08\x01\x32\xff\x7f", 6},                      /* a Send longer than its message */
    {"\x06\x08\x07\xba\x06\x01\x00", 7},                  /* opcode 103 */
    {"\x09\x08\x02\x42\x05\x0a\x03\x61\x62\x63", 10},     /* Range with an id of three bytes */
    {"\x40\x08\x02", 3},                                  /* cut off */
    {"GET / HTTP/1.1\r\n\r\n", 18},
};

static uint32_t room_size(const bench_load *load) {
  (void)load;
  return 0;
}

static bench_garbage *garbage_of(const bench_load *load) {
  return load->workload_state;
}

static void begin(bench_load *load) {
  load->workload_state = calloc(1, sizeof(bench_garbage));
  if (!load->workload_state) load_fail("no memory");
  comeback_init(&garbage_of(load)->comeback, load);
}

/* Who is connecting just now has its turn later. */
static bench_client *next_ready(bench_load *load) {
  bench_garbage *garbage = garbage_of(load);
  for (uint32_t tried = 0; tried < load->config.client_count; tried++) {
    bench_client *client = &load->clients[garbage->next++ % load->config.client_count];
    if (client->state >= CLIENT_READY) return client;
  }
  return NULL;
}

static void send_garbage(bench_load *load) {
  bench_garbage *garbage = garbage_of(load);
  bench_client *client = next_ready(load);
  if (!client) return;
  size_t kind = (size_t)garbage->sent_count++ % (sizeof kinds / sizeof *kinds);
  client_put(client, ch_bytes_of(kinds[kind].bytes, kinds[kind].len));
}

static uint64_t due(bench_load *load, uint64_t now_ns) {
  uint64_t start_ns;
  while (pace_due(&load->pace, now_ns, &start_ns))
    send_garbage(load);
  uint64_t next_ns = comeback_due(&garbage_of(load)->comeback, load);
  return next_ns < pace_next_ns(&load->pace) ? next_ns : pace_next_ns(&load->pace);
}

static void lost(bench_client *client) {
  bench_garbage *garbage = garbage_of(client->load);
  garbage->lost_count++;
  comeback_add(&garbage->comeback, client, 0);
}

static void report(const bench_load *load, FILE *out) {
  const bench_garbage *garbage = garbage_of(load);
  fprintf(out, ", \"garbage\": %llu, \"thrown_out\": %llu", (unsigned long long)garbage->sent_count,
          (unsigned long long)garbage->lost_count);
}

static void end(bench_load *load) {
  if (load->workload_state) comeback_fini(&garbage_of(load)->comeback);
}

const bench_workload workload_garbage = {
    .name = "garbage", .room_size = room_size, .begin = begin, .due = due, .lost = lost, .report = report, .end = end};
