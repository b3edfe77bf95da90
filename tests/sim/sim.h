/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim.h - the whole system in one thread from one seed: the very machines that chatd and the client run, over the in-memory backends, with a network,
 * crashes and clocks that the seed draws, and an oracle that knows what was promised (design: P1 to P12).
 *
 *   main.c      seeds, processes, what is printed
 *   rules.c     what breaks when a rule is left out
 *   run.c       one seed: plan, a time of trouble, a time of healing, the end
 *   schedule    what happens next            random     the one source of chance
 *   fleet       backends and who owns which partition
 *   process     a process of the server: one role, its ops on their way to backends and back, its death
 *   network     connections of clients to gateways, frame by frame
 *   device      a client: its brain, its database, its deaths
 *   people      what persons do
 *   trouble     what goes wrong
 *   oracle      what must hold: at each step (oracle.c), at the end (oracle_end.c)
 */
#ifndef CH_SIM_H
#define CH_SIM_H

#include <chat/backend.h>
#include <stdbool.h>
#include <stdio.h>

#include "core/hashmap.h"
#include "core/op.h"
#include "sim/random.h"
#include "sim/schedule.h"

typedef struct sim sim;
typedef struct sim_process sim_process;
typedef struct sim_device sim_device;
typedef struct sim_connection sim_connection;
typedef struct sim_oracle sim_oracle;

enum {
  SIM_GATEWAYS = 3,
  SIM_WORKERS_MAX = 3,
  SIM_USERS_MAX = 5,
  SIM_DEVICES_MAX = 8,
  SIM_PARTITIONS_MAX = 4,
  SIM_GROUPS_MAX = 8
};

/* Where an op goes. Two logs: the embedded default keeps "deliveries" in memory alone. */
typedef enum sim_place { SIM_MESSAGES, SIM_DELIVERIES, SIM_STORE, SIM_DIRECTORY, SIM_LINK, SIM_PLACE_COUNT } sim_place;

/* What the seed draws before anything happens. */
typedef struct sim_plan {
  bool embedded; /* one machine, a store that derives heads and loses what it had not synced; else a fleet, partitions and zombies */
  uint32_t users, devices, workers;
  uint32_t message_partitions, delivery_partitions;
  uint64_t trouble_ms, heal_ms; /* how long each part lasts */
  uint64_t catch_up_ms;         /* of heal_ms, until nobody lags */
  uint32_t messages;            /* that people send in the time of trouble */
  uint32_t faults;
} sim_plan;

/* Who answers for which partition. A zombie is a former owner that does not know it yet. */
typedef struct sim_owner {
  sim_process *process;
  uint64_t since_ms;
} sim_owner;

typedef struct sim_options {
  bool trace; /* print each step */
} sim_options;

struct sim {
  const sim_options *options;
  sim_plan plan;
  sim_random random;
  sim_schedule schedule;
  uint64_t now_ms;
  int64_t server_skew_ms; /* of the servers' wall clocks, which jump */
  uint64_t trace_hash, steps;
  bool healing;   /* no more trouble */
  bool is_ending; /* everything dies, nothing begins */

  chat_backend backends[SIM_PLACE_COUNT];
  void *ghosts[SIM_PLACE_COUNT]; /* ports for what a process sent and will not hear of */
  chat_backend *retired;         /* freed at the end: dead processes may still hold a port */
  size_t retired_count;
  uint32_t outage[SIM_PLACE_COUNT]; /* per mille of ops that fail now */
  bool directory_is_cut_off;        /* what it is told now will be forgotten */
  sim_process *gateways[SIM_GATEWAYS], *sequencers[SIM_WORKERS_MAX], *deliverers[SIM_WORKERS_MAX]; /* the living ones, NULL: down */
  sim_owner message_owners[SIM_PARTITIONS_MAX], delivery_owners[SIM_PARTITIONS_MAX];
  sim_process *processes; /* all that ever lived */
  uint32_t process_count;
  sim_connection *connections;
  uint64_t connection_count;
  sim_device *devices[SIM_DEVICES_MAX];
  sim_oracle *oracle;

  uint8_t groups[SIM_GROUPS_MAX][16]; /* that people made */
  uint32_t group_count;
  uint32_t sent, faults, power_cuts; /* so far */
  char failure[512];      /* what promise broke, and how; empty: none */
};

#define SIM_EPOCH_MS UINT64_C(1800000000000) /* Unix time at which every run begins */

/* Time as this run's servers see it. */
ch_now sim_server_now(const sim *s);
void sim_after(sim *s, uint64_t ms, sim_step_fn *fn, void *arg, uint64_t number);
/* Goes into the trace: the same seed gives the same trace. */
void sim_trace(sim *s, uint64_t what);
void sim_note(sim *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A promise is broken; the first one counts. */
void sim_fail(sim *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
static inline bool sim_failed(const sim *s) {
  return s->failure[0] != 0;
}

/* chat-sim-rules: leaves each rule out in turn and prints the first of up to seeds_max seeds that shows it. `only`: those whose name begins so; NULL: all. Exit status: 1 where one of the
 * eight broken designs, or a rule that is known to be shown, was not. In chat-sim, 2. */
int sim_rules_table(uint64_t seeds_max, uint64_t jobs, const char *only);

/* Runs a seed to its end. The plan is drawn from the seed. */
typedef struct sim_result {
  char failure[512];
  uint64_t trace_hash, simulated_ms, steps;
  uint32_t messages, faults, power_cuts, committed, refused;
} sim_result;
void sim_run(uint64_t seed, const sim_options *options, sim_result *result);

#endif
