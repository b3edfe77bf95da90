/* SPDX-License-Identifier: Apache-2.0 */
/*
 * process.h - a process of the server: one role, its ops on their way to the backends and back, its death.
 *
 * An op takes its time to the backend and its answer takes its time back. On the way it may be refused, get lost, be done without an answer, or be answered as unknown and
 * done later: chat/backend.h allows each of these. Appends of a process keep their order.
 */
#ifndef CH_SIM_PROCESS_H
#define CH_SIM_PROCESS_H

#include "server/role/deliverer.h"
#include "server/role/gateway.h"
#include "server/role/sequencer.h"
#include "sim/sim.h"

typedef enum sim_kind { SIM_GATEWAY, SIM_SEQUENCER, SIM_DELIVERER } sim_kind;

struct sim_process {
  sim *sim;
  sim_process *next;
  sim_kind kind;
  uint32_t index, life;
  char name[24];
  bool is_alive;
  bool is_gone; /* dead, and every op is back */
  ch_gateway *gateway;
  ch_sequencer *sequencer;
  ch_deliverer *deliverer;
  ch_role role;
  chat_backend backends[SIM_PLACE_COUNT]; /* as they were when it began */
  void *ports[SIM_PLACE_COUNT];
  uint32_t outside;      /* ops that are not back */
  struct sim_flight *flights; /* of those, the ones that a backend has */
  uint64_t append_at_ms; /* when the last append arrives: the next one does so no earlier */
  uint64_t tick_at_ms;   /* of the step that is scheduled; CH_NEVER_MS: none */
  bool wants_poll;
};

/* Begins in `slot` of the sim's list of its kind. */
sim_process *sim_process_start(sim *s, sim_kind kind, uint32_t index);
/* kill -9. What it had sent may still arrive. */
void sim_process_kill(sim_process *process);
/* After every call into the role: its ops, its frames, its timer. */
void sim_process_run(sim_process *process);
/* At the end of the run. */
void sim_processes_free(sim *s);

#endif
