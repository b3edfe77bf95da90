/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/trouble.h"

#include "backend/cache_mem.h"
#include "backend/directory_mem.h"
#include "sim/device.h"
#include "sim/fleet.h"

static sim_device *any_device(sim *s) {
  return s->devices[sim_pick(&s->random, s->plan.devices)];
}

/* ------------------------------------------------------------------------------------------------ servers */

static uint64_t down_ms(sim *s) {
  return sim_chance(&s->random, 1, 5) ? sim_between(&s->random, 10000, 60000) : sim_between(&s->random, 100, 5000);
}

static void crash_gateway(sim *s) {
  sim_fleet_crash(s, SIM_GATEWAY, (uint32_t)sim_pick(&s->random, SIM_GATEWAYS), down_ms(s));
}

static void crash_sequencer(sim *s) {
  sim_fleet_crash(s, SIM_SEQUENCER, (uint32_t)sim_pick(&s->random, s->plan.workers), down_ms(s));
}

static void crash_deliverer(sim *s) {
  sim_fleet_crash(s, SIM_DELIVERER, (uint32_t)sim_pick(&s->random, s->plan.workers), down_ms(s));
}

/* Two owners of a partition, which a machine alone does not have. */
static void make_zombie(sim *s) {
  bool sequencer = sim_chance(&s->random, 2, 3);
  uint32_t count = sequencer ? s->plan.message_partitions : s->plan.delivery_partitions;
  sim_fleet_move(s, sequencer ? SIM_SEQUENCER : SIM_DELIVERER, (uint32_t)sim_pick(&s->random, count), sim_between(&s->random, 0, 30000));
}

static void kill_machine(sim *s) {
  sim_fleet_machine_dies(s, sim_chance(&s->random, 1, 2), down_ms(s));
}

static void drain_gateway(sim *s) {
  sim_process *gateway = s->gateways[sim_pick(&s->random, SIM_GATEWAYS)];
  if (!gateway) return;
  ch_gateway_drain(gateway->gateway, 2000, sim_server_now(s));
  sim_process_run(gateway);
  sim_fleet_crash(s, SIM_GATEWAY, gateway->index, down_ms(s));
}

/* ------------------------------------------------------------------------------------------------ backends */

static void end_outage(void *arg, uint64_t where) {
  ((sim *)arg)->outage[where] = 0;
}

static void begin_outage(sim *s, sim_place where) {
  static const uint32_t per_mille[] = {20, 200, 600, 1000};
  if (s->outage[where]) return;
  s->outage[where] = per_mille[sim_pick(&s->random, 4)];
  sim_after(s, sim_between(&s->random, 500, s->outage[where] == 1000 ? 8000 : 40000), end_outage, s, where);
}

static void log_outage(sim *s) {
  begin_outage(s, sim_chance(&s->random, 2, 3) ? SIM_MESSAGES : SIM_DELIVERIES);
}

static void store_outage(sim *s) {
  begin_outage(s, SIM_STORE);
}

static void directory_outage(sim *s) {
  begin_outage(s, SIM_DIRECTORY);
}

static void link_outage(sim *s) {
  begin_outage(s, SIM_LINK);
}

static void flush_directory(sim *s) {
  ch_directory_mem_flush(s->backends[SIM_DIRECTORY]);
}

static void fail_over(void *arg, uint64_t unused) {
  (void)unused;
  sim *s = arg;
  s->directory_is_cut_off = false;
  ch_directory_mem_new_epoch(s->backends[SIM_DIRECTORY]);
}

/* The master of the directory is cut off for a while, and a replica that knows nothing of that takes its place. Links suffer too. */
static void cut_off_directory(sim *s) {
  if (s->directory_is_cut_off) return;
  begin_outage(s, SIM_LINK);
  s->directory_is_cut_off = true;
  sim_after(s, sim_between(&s->random, 500, 10000), fail_over, s, 0);
}

static void jump_server_clock(sim *s) {
  s->server_skew_ms = (int64_t)sim_between(&s->random, 0, 7200000) - 3600000;
}

/* ------------------------------------------------------------------------------------------------ clients */

static void kill_device(sim *s) {
  sim_device *device = any_device(s);
  if (device->brain) sim_device_kill(device, sim_chance(&s->random, 1, 3));
}

static void kill_inside(sim *s) {
  any_device(s)->cache.dies_in = sim_between(&s->random, 1, 200);
}

static void fail_cache(sim *s) {
  static const int errors[] = {CHAT_E_FULL, CHAT_E_IO, CHAT_E_IO, CHAT_E_NOMEM};
  sim_device *device = any_device(s);
  if (device->brain && !device->is_suspended) ch_cache_mem_fail(device->cache.inner, sim_between(&s->random, 1, 100), errors[sim_pick(&s->random, 4)]);
}

static void back_up(sim *s) {
  sim_device *device = any_device(s);
  if (device->brain) sim_device_back_up(device);
}

static void restore(sim *s) {
  sim_device_restore(any_device(s));
}

static void suspend(sim *s) {
  sim_device *device = any_device(s);
  sim_device_suspend(device, !device->is_suspended);
}

static void jump_client_clock(sim *s) {
  any_device(s)->skew_ms = (int64_t)sim_between(&s->random, 0, 172800000) - 86400000;
}

static void network_hint(sim *s) {
  sim_device *device = any_device(s);
  if (device->brain) ch_brain_network_hint(device->brain, (int)sim_pick(&s->random, 3), sim_device_now(device));
}

/* ------------------------------------------------------------------------------------------------ the network */

static sim_connection *any_connection(sim *s) {
  return any_device(s)->connection;
}

static void break_connection(sim *s) {
  sim_connection *connection = any_connection(s);
  if (connection) sim_network_break(connection);
}

static void stall_connection(sim *s) {
  sim_connection *connection = any_connection(s);
  if (connection) sim_network_stall(connection, sim_between(&s->random, 100, 20000));
}

static void break_all(sim *s) {
  for (uint32_t i = 0; i < s->plan.devices; i++)
    if (s->devices[i]->connection) sim_network_break(s->devices[i]->connection);
}

/* ------------------------------------------------------------------------------------------------ choice */

typedef struct kind_of_trouble {
  void (*make)(sim *s);
  uint32_t weight;
  int embedded; /* 1: one machine alone, 0: a fleet alone, -1: either */
} kind_of_trouble;

static const kind_of_trouble troubles[] = {
    {crash_gateway, 3, 0},     {crash_sequencer, 4, 0},   {crash_deliverer, 3, 0},   {make_zombie, 5, 0},       {kill_machine, 8, 1},
    {drain_gateway, 1, 0},    {log_outage, 5, -1},       {store_outage, 4, -1},     {directory_outage, 3, -1}, {link_outage, 3, -1},
    {flush_directory, 2, -1},  {cut_off_directory, 3, 0},  {jump_server_clock, 2, -1}, {kill_device, 3, -1},      {kill_inside, 3, -1},      {fail_cache, 2, -1},
    {back_up, 2, -1},          {restore, 2, -1},          {suspend, 2, -1},          {jump_client_clock, 1, -1}, {network_hint, 1, -1},
    {break_connection, 6, -1}, {stall_connection, 4, -1}, {break_all, 1, -1},
};
enum { TROUBLE_COUNT = sizeof troubles / sizeof *troubles };

static bool applies(const sim *s, const kind_of_trouble *kind) {
  return kind->embedded < 0 || (kind->embedded == 1) == s->plan.embedded;
}

static void make_one(sim *s) {
  uint64_t total = 0;
  for (int i = 0; i < TROUBLE_COUNT; i++)
    if (applies(s, &troubles[i])) total += troubles[i].weight;
  uint64_t at = sim_pick(&s->random, total);
  for (int i = 0; i < TROUBLE_COUNT; i++) {
    if (!applies(s, &troubles[i])) continue;
    if (at < troubles[i].weight) {
      sim_note(s, "trouble %d", i);
      troubles[i].make(s);
      return;
    }
    at -= troubles[i].weight;
  }
}

static void strike(void *arg, uint64_t unused) {
  (void)unused;
  sim *s = arg;
  if (s->healing) return;
  s->faults++;
  make_one(s);
  sim_after(s, sim_between(&s->random, 1, 2 * s->plan.trouble_ms / s->plan.faults), strike, s, 0);
}

void sim_trouble_begin(sim *s) {
  sim_after(s, sim_between(&s->random, 1000, 20000), strike, s, 0);
}

static void heal_device(sim_device *device) {
  device->cache.dies_in = 0;
  ch_cache_mem_fail(device->cache.inner, 0, 0);
  if (device->is_suspended) sim_device_suspend(device, false);
  ch_client_request online = {.kind = CH_REQ_SET_ONLINE, .tag = 1, .flag = 1};
  sim_device_request(device, &online);
}

void sim_trouble_end(sim *s) {
  s->healing = true;
  for (int place = 0; place < SIM_PLACE_COUNT; place++)
    s->outage[place] = 0;
  if (s->directory_is_cut_off) fail_over(s, 0);
  sim_fleet_heal(s);
  for (uint32_t i = 0; i < s->plan.devices; i++)
    heal_device(s->devices[i]);
}
