/* SPDX-License-Identifier: Apache-2.0 */
/* workload.h - who sends when: one table for each. All calls are on the load's thread. */
#ifndef BENCH_WORKLOAD_H
#define BENCH_WORKLOAD_H

#include "engine/load.h"

typedef struct bench_workload {
  const char *name;
  /* Who shares a room: 0 nobody, 2 neighbours, else a group of so many. */
  uint32_t (*room_size)(const bench_load *load);
  /* All are in their rooms. May be NULL. */
  void (*begin)(bench_load *load);
  /* The steady window has begun. May be NULL. */
  void (*steady)(bench_load *load);
  /* A message of this client is durable (client_accepted). May be NULL. */
  void (*accepted)(bench_client *client);
  /* A page of history came (client_paged). May be NULL. */
  void (*paged)(bench_client *client, size_t count);
  /* A body came; it was counted. May be NULL. */
  void (*received)(bench_client *client, const bench_stamp *stamp);
  /* Once a turn: what is due by now; the time of the next thing, or CLOCK_NEVER_NS. May be NULL. */
  uint64_t (*due)(bench_load *load, uint64_t now_ns);
  /* The connection of a client was lost, at WARM or later; NULL: that may not happen. */
  void (*lost)(bench_client *client);
  /* Figures of its own: `, "name": value` each. May be NULL. */
  void (*report)(const bench_load *load, FILE *out);
  /* Frees what load->workload_state holds (itself is freed by the load). May be NULL. */
  void (*end)(bench_load *load);
} bench_workload;

/* By name; NULL: there is none. workload/list.c */
const bench_workload *workload_find(const char *name);

#endif
