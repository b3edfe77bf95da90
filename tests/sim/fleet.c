/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/fleet.h"

#include <stdlib.h>
#include <string.h>

#include "backend/directory_mem.h"
#include "backend/link_mem.h"
#include "backend/log_mem.h"
#include "backend/store_mem.h"
#include "core/assert.h"

/* ------------------------------------------------------------------------------------------------ backends */

static uint64_t clock_elapsed(void *arg) {
  return ((sim *)arg)->now_ms;
}

static uint64_t clock_wall(void *arg) {
  return sim_server_now(arg).wall_ms;
}

static chat_clock clock_of(sim *s) {
  return (chat_clock){clock_elapsed, clock_wall, s};
}

static chat_backend new_log(sim *s) {
  chat_backend log;
  ch_log_mem_config config = {.clock = clock_of(s), .partitions = {s->plan.message_partitions, s->plan.delivery_partitions}, .epoch = 1, .bytes_max = 64 << 20};
  sim_fill(&s->random, config.identity, sizeof config.identity);
  ch_assert(ch_log_mem_new(&config, &log) == 0);
  return log;
}

static chat_backend new_store(sim *s) {
  chat_backend store;
  ch_store_mem_config config = {.derives_heads = s->plan.embedded, .delivery_partitions = s->plan.delivery_partitions, .sync_every = s->plan.embedded ? 16 : 1};
  ch_assert(ch_store_mem_new(&config, &store) == 0);
  return store;
}

static chat_backend new_directory(sim *s) {
  chat_backend directory;
  ch_directory_mem_config config = {.clock = clock_of(s), .epoch = 1 + sim_pick(&s->random, 1u << 30)};
  ch_assert(ch_directory_mem_new(&config, &directory) == 0);
  return directory;
}

static chat_backend new_link(void) {
  chat_backend link;
  ch_link_mem_config config = {.gateways_max = 256, .deliveries_max = 64};
  ch_assert(ch_link_mem_new(&config, &link) == 0);
  return link;
}

static void nobody(void *arg) {
  (void)arg;
}

static void place(sim *s, sim_place place, chat_backend backend) {
  s->backends[place] = backend;
  ch_assert(backend.vtable->port_new(backend.self, (chat_wake){nobody, s}, &s->ghosts[place]) == 0);
}

static void retire(sim *s, sim_place place) {
  chat_backend *old = &s->backends[place];
  old->vtable->port_cancel(old->self, s->ghosts[place]);
  old->vtable->port_free(old->self, s->ghosts[place]);
  s->retired = realloc(s->retired, (s->retired_count + 1) * sizeof *s->retired);
  ch_assert(s->retired);
  s->retired[s->retired_count++] = *old;
}

/* In one machine the log "deliveries" is in memory alone, so are directory and link. */
static void open_volatile(sim *s) {
  if (s->plan.embedded) place(s, SIM_DELIVERIES, new_log(s));
  place(s, SIM_DIRECTORY, new_directory(s));
  place(s, SIM_LINK, new_link());
}

static void open_backends(sim *s) {
  place(s, SIM_MESSAGES, new_log(s));
  if (!s->plan.embedded) place(s, SIM_DELIVERIES, s->backends[SIM_MESSAGES]);
  place(s, SIM_STORE, new_store(s));
  open_volatile(s);
}

bool sim_ghost_do(sim *s, sim_place place, chat_op *op) {
  const chat_backend *backend = &s->backends[place];
  if (backend->vtable->submit(backend->self, s->ghosts[place], op)) return false;
  ch_assert(backend->vtable->poll(backend->self, s->ghosts[place]) == op);
  return true;
}

uint64_t sim_synced_position(sim *s) {
  chat_store_position *op = ch_op_new(NULL, CHAT_OP_STORE_POSITION, sizeof *op);
  ch_assert(op);
  op->topic = CHAT_TOPIC_MESSAGES;
  ch_assert(sim_ghost_do(s, SIM_STORE, &op->op));
  uint64_t synced = op->synced;
  ch_op_free(&op->op);
  return synced;
}

/* ------------------------------------------------------------------------------------------------ owners */

static sim_owner *owner_of(sim *s, sim_kind kind, uint32_t partition) {
  return kind == SIM_SEQUENCER ? &s->message_owners[partition] : &s->delivery_owners[partition];
}

static sim_process **workers_of(sim *s, sim_kind kind) {
  return kind == SIM_SEQUENCER ? s->sequencers : s->deliverers;
}

static uint32_t partitions_of(const sim *s, sim_kind kind) {
  return kind == SIM_SEQUENCER ? s->plan.message_partitions : s->plan.delivery_partitions;
}

static void assign(sim_process *worker, uint32_t partition) {
  ch_now now = sim_server_now(worker->sim);
  sim_note(worker->sim, "process %s kind %d owns partition %u", worker->name, worker->kind, partition);
  if (worker->sequencer) ch_assert(ch_sequencer_assign(worker->sequencer, partition, now) == 0);
  if (worker->deliverer) ch_assert(ch_deliverer_assign(worker->deliverer, partition, now) == 0);
  sim_process_run(worker);
}

static void revoke(sim_process *worker, uint32_t partition) {
  sim_note(worker->sim, "process %s kind %d loses partition %u", worker->name, worker->kind, partition);
  if (worker->sequencer) ch_sequencer_revoke(worker->sequencer, partition);
  if (worker->deliverer) ch_deliverer_revoke(worker->deliverer, partition);
  sim_process_run(worker);
}

static sim_process *any_worker(sim *s, sim_kind kind, const sim_process *but) {
  uint64_t first = sim_pick(&s->random, s->plan.workers);
  for (uint32_t i = 0; i < s->plan.workers; i++) {
    sim_process *worker = workers_of(s, kind)[(first + i) % s->plan.workers];
    if (worker && worker != but) return worker;
  }
  return NULL;
}

static void take_over(sim *s, sim_kind kind, uint32_t partition) {
  sim_owner *owner = owner_of(s, kind, partition);
  if (owner->process && owner->process->is_alive) return;
  sim_process *worker = any_worker(s, kind, NULL);
  if (!worker) return;
  revoke(worker, partition); /* it may be a zombie of this partition */
  owner->process = worker;
  assign(worker, partition);
}

/* Who watches the owners looks once a second. */
static void watch(void *arg, uint64_t unused) {
  (void)unused;
  sim *s = arg;
  if (s->is_ending) return;
  static const sim_kind kinds[] = {SIM_SEQUENCER, SIM_DELIVERER};
  for (int k = 0; k < 2; k++)
    for (uint32_t partition = 0; partition < partitions_of(s, kinds[k]); partition++)
      if (s->healing || sim_chance(&s->random, 1, 3)) take_over(s, kinds[k], partition);
  sim_after(s, 1000, watch, s, 0);
}

/* The zombie is told, unless the partition has come back to it meanwhile: then it begins anew. */
static void tell_zombie(void *arg, uint64_t partition) {
  sim_process *zombie = arg;
  sim *s = zombie->sim;
  if (!zombie->is_alive) return;
  revoke(zombie, (uint32_t)partition);
  if (owner_of(s, zombie->kind, (uint32_t)partition)->process == zombie) assign(zombie, (uint32_t)partition);
}

void sim_fleet_move(sim *s, sim_kind kind, uint32_t partition, uint64_t zombie_ms) {
  sim_owner *owner = owner_of(s, kind, partition);
  sim_process *old = owner->process;
  sim_process *worker = any_worker(s, kind, old);
  if (!old || !old->is_alive || !worker || owner->since_ms > s->now_ms) return;
  *owner = (sim_owner){worker, s->now_ms + zombie_ms + 1}; /* not again before the zombie knows */
  assign(worker, partition);
  sim_after(s, zombie_ms, tell_zombie, old, partition);
}

/* ------------------------------------------------------------------------------------------------ crashes */

static void begin_again(void *arg, uint64_t what) {
  sim *s = arg;
  sim_kind kind = (sim_kind)(what >> 8);
  uint32_t index = (uint32_t)(what & 255);
  sim_process *there = kind == SIM_GATEWAY ? s->gateways[index] : workers_of(s, kind)[index];
  if (!there && !s->is_ending) sim_process_start(s, kind, index);
}

void sim_fleet_crash(sim *s, sim_kind kind, uint32_t index, uint64_t down_ms) {
  sim_process *process = kind == SIM_GATEWAY ? s->gateways[index] : workers_of(s, kind)[index];
  if (!process) return;
  sim_process_kill(process);
  sim_after(s, down_ms, begin_again, s, (uint64_t)kind << 8 | index);
}

static void crash_all(sim *s, uint64_t down_ms) {
  for (uint32_t i = 0; i < SIM_GATEWAYS; i++)
    sim_fleet_crash(s, SIM_GATEWAY, i, down_ms);
  for (uint32_t i = 0; i < s->plan.workers; i++) {
    sim_fleet_crash(s, SIM_SEQUENCER, i, down_ms);
    sim_fleet_crash(s, SIM_DELIVERER, i, down_ms);
  }
}

void sim_fleet_machine_dies(sim *s, bool power_cut, uint64_t down_ms) {
  sim_note(s, power_cut ? "the machine loses its power" : "chatd is killed");
  crash_all(s, down_ms);
  s->power_cuts += power_cut;
  if (power_cut) ch_store_mem_power_cut(s->backends[SIM_STORE]);
  retire(s, SIM_DELIVERIES);
  retire(s, SIM_DIRECTORY);
  retire(s, SIM_LINK);
  open_volatile(s);
}

/* ------------------------------------------------------------------------------------------------ life */

static void start_all(sim *s) {
  for (uint32_t i = 0; i < SIM_GATEWAYS; i++)
    if (!s->gateways[i]) sim_process_start(s, SIM_GATEWAY, i);
  for (uint32_t i = 0; i < s->plan.workers; i++) {
    if (!s->sequencers[i]) sim_process_start(s, SIM_SEQUENCER, i);
    if (!s->deliverers[i]) sim_process_start(s, SIM_DELIVERER, i);
  }
}

void sim_fleet_start(sim *s) {
  open_backends(s);
  start_all(s);
  watch(s, 0);
}

void sim_fleet_heal(sim *s) {
  start_all(s);
}

static int fault_of(sim *s, sim_kind kind, uint32_t partition) {
  sim_process *worker = owner_of(s, kind, partition)->process;
  if (!worker || !worker->is_alive) return CHAT_E_CLOSED;
  return worker->sequencer ? ch_sequencer_fault(worker->sequencer, partition) : ch_deliverer_fault(worker->deliverer, partition);
}

void sim_fleet_check(sim *s) {
  static const sim_kind kinds[] = {SIM_SEQUENCER, SIM_DELIVERER};
  for (int k = 0; k < 2; k++)
    for (uint32_t partition = 0; partition < partitions_of(s, kinds[k]); partition++)
      if (fault_of(s, kinds[k], partition))
        sim_fail(s, "liveness: partition %u of kind %d stands still: %s", partition, kinds[k], chat_error_name(fault_of(s, kinds[k], partition)));
}

void sim_fleet_stop(sim *s) {
  crash_all(s, 0);
}

void sim_fleet_free(sim *s) {
  sim_processes_free(s);
  for (int i = 0; i < SIM_PLACE_COUNT; i++) {
    s->backends[i].vtable->port_cancel(s->backends[i].self, s->ghosts[i]);
    s->backends[i].vtable->port_free(s->backends[i].self, s->ghosts[i]);
  }
  for (int i = 0; i < SIM_PLACE_COUNT; i++)
    if (i != SIM_DELIVERIES || s->plan.embedded) s->backends[i].vtable->free(s->backends[i].self);
  for (size_t i = 0; i < s->retired_count; i++)
    s->retired[i].vtable->free(s->retired[i].self);
  free(s->retired);
}
