/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load.h - a load: clients on one thread around one epoll, a protocol that they speak, a workload that says who sends when, and what was counted in its steady window.
 *
 *   CONNECT  clients connect and log in, some at a time       → JOIN when all are ready
 *   JOIN     rooms are entered                                → WARM when all are in
 *   WARM     the workload runs, nothing counts                → STEADY after config.warm_s (and, where config.hold, when it is told to go on)
 *   STEADY   what happens now is what is reported             → DONE after config.steady_s, or when the workload says so
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <stdio.h>
#include <stdnoreturn.h>

#include "engine/client.h"
#include "engine/clock.h"
#include "engine/histogram.h"
#include "engine/machine.h"
#include "engine/pace.h"
#include "engine/process.h"
#include "engine/stamp.h"

struct bench_protocol;
struct bench_workload;

typedef enum load_phase { LOAD_CONNECT, LOAD_JOIN, LOAD_WARM, LOAD_STEADY, LOAD_DONE } load_phase;

typedef struct load_config {
  const struct bench_protocol *protocol;
  const struct bench_workload *workload;
  const char *key;         /* secret or API key, where the protocol needs one; NULL: none */
  struct sockaddr_in peer;
  SSL_CTX *tls;        /* NULL: plain */
  uint32_t sources;    /* addresses 127.0.0.2 and on that clients come from in turn; 0: any */
  uint32_t first_user; /* number of the first client's user */
  char user_prefix;    /* of users' names */
  uint32_t client_count;
  uint32_t room_size;      /* members of a group */
  uint32_t members_online; /* of each room, the first ones: the others' users have no connection; 0: all */
  uint32_t talkers;        /* members of a group who send */
  uint32_t window;         /* messages in flight */
  uint32_t count;          /* messages of each client: of workloads that end by themselves */
  double rate;             /* messages a second in all, open loop; 0: closed loop */
  size_t body_len;
  double warm_s, steady_s;
  uint32_t connecting_max;        /* handshakes at a time */
  bool narrow;                    /* sockets with little room and small segments, as over a slow network */
  bool hold;                      /* at the end of WARM say "ready" and wait for a line on standard input */
  pid_t watch[PROCESS_ROOTS_MAX]; /* processes of the server */
  size_t watch_count;
} load_config;

/* Of the steady window. */
typedef struct load_figures {
  uint64_t begin_ns, end_ns;
  uint64_t sent, received; /* messages; bodies at those who did not send them */
  uint64_t fault_count;    /* client_fault, of the whole load */
  bench_histogram latency; /* from the start that was meant to each receipt */
  process_usage server_begin, server_end;
  machine_usage machine_begin, machine_end;
  uint64_t client_cpu_ns;
} load_figures;

typedef struct bench_load {
  load_config config;
  load_phase phase;
  int epoll;
  bool held; /* "ready" was said */
  uint64_t now_ns;
  bench_client *clients;
  bench_room *rooms;
  uint32_t room_count, online_count; /* online: clients that are to have a connection */
  uint32_t connect_next, connecting_count, ready_count, joined_count;
  bench_client *dirty;
  ch_timer_heap timers;
  uint64_t phase_end_ns;
  uint64_t heard_ns; /* when something last went on: a load that stands still fails */
  bench_pace pace;
  void *workload_state;
  load_figures figures;
} bench_load;

/* Runs a load to its end and prints its figures as one line of JSON. A load that cannot be run as it was meant ends the process (load_fail). */
void load_run(const load_config *config);
/* Ends the steady window: the workload has done what it was to do. */
void load_finish(bench_load *load);
/* Says why on stderr and exits with 1: a figure of a load that did not run is none. */
noreturn void load_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
uint64_t load_now_ms(const bench_load *load);

#endif
