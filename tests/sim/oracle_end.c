/* SPDX-License-Identifier: Apache-2.0 */
/* What must hold when everything has healed: nothing is lost, nobody lags. */
#include <string.h>

#include "backend/store_mem.h"
#include "sim/device.h"
#include "sim/fleet.h"
#include "sim/oracle_parts.h"

/* ------------------------------------------------------------------------------------------------ the store */

typedef struct checking {
  sim *sim;
  uint64_t rows;
} checking;

static int check_stored(void *arg, const chat_row *row) {
  checking *c = arg;
  const sim_truth *truth = sim_truth_of(c->sim, row->conversation_id);
  c->rows++;
  if (!truth || row->seq > truth->count || truth->rows[row->seq - 1].hash != sim_row_hash(row))
    sim_fail(c->sim, "P3: the store holds seq %llu with other content than was written", (unsigned long long)row->seq);
  return 0;
}

static void check_store(sim *s) {
  checking c = {s, 0};
  uint64_t written = 0;
  ch_store_mem_each_row(s->backends[SIM_STORE], check_stored, &c);
  for (ch_hashmap_entry *e = ch_hashmap_first(&s->oracle->truths); e; e = ch_hashmap_next(&s->oracle->truths, e))
    written += ((sim_truth *)e->value)->count;
  if (c.rows != written) sim_fail(s, "P1: %llu rows were written, and the store holds %llu", (unsigned long long)written, (unsigned long long)c.rows);
}

/* ------------------------------------------------------------------------------------------------ what people entered */

static void check_intent(sim *s, const sim_intent *intent, sim_result *result) {
  result->committed += intent->committed_seq > 0;
  result->refused += intent->is_refused;
  if (intent->committed_seq || intent->is_refused || intent->is_discarded || intent->is_forgotten || intent->is_draft) return;
  if (intent->is_accepted) sim_fail(s, "P1: message %u of device %u was accepted and is lost", intent->number, intent->device->index);
  if (intent->is_entered) sim_fail(s, "P1: message %u of device %u was entered and is lost", intent->number, intent->device->index);
}

/* ------------------------------------------------------------------------------------------------ devices */

typedef struct looking {
  sim_device *device;
  uint32_t conversations;
} looking;

static int count_pending(void *arg, const chat_outbox_row *row) {
  sim_device *device = arg;
  sim_intent *intent = sim_oracle_intent(device->sim, row->client_id);
  if (intent && row->state == CHAT_OUTBOX_REFUSED) intent->is_refused = true; /* also where the device died before it could show it */
  if (row->state != CHAT_OUTBOX_REFUSED) sim_fail(device->sim, "liveness: device %u still has message %u in its outbox", device->index, intent ? intent->number : 0);
  return 0;
}

static int check_conversation(void *arg, const chat_cache_conversation *conversation) {
  looking *l = arg;
  sim *s = l->device->sim;
  const sim_truth *truth = sim_truth_of(s, conversation->conversation_id);
  if (!truth) return 0; /* a direct conversation whose first message was refused or taken back */
  uint64_t last = sim_truth_last(truth, (int)l->device->user);
  if (last == 0) return 0;
  l->conversations++;
  if (conversation->cursor != last)
    sim_fail(s, "P4: device %u lags in a conversation of kind %u: its cursor is %llu, and %llu concerns it", l->device->index, conversation->kind,
             (unsigned long long)conversation->cursor, (unsigned long long)last);
  sim_oracle_cursor(l->device, truth->id, conversation->start, conversation->cursor);
  return 0;
}

static uint32_t conversations_of(sim *s, int user) {
  uint32_t count = 0;
  for (ch_hashmap_entry *e = ch_hashmap_first(&s->oracle->truths); e; e = ch_hashmap_next(&s->oracle->truths, e))
    count += sim_truth_last(e->value, user) > 0;
  return count;
}

static void check_device(sim *s, sim_device *device) {
  chat_cache *cache = device->cache.inner;
  looking found = {device, 0};
  if (!device->brain) {
    sim_fail(s, "liveness: device %u does not run", device->index);
    return;
  }
  cache->vtable->conversation_list(cache->self, check_conversation, &found);
  uint32_t expected = conversations_of(s, (int)device->user);
  if (found.conversations != expected) sim_fail(s, "P4: device %u knows %u conversations of %u", device->index, found.conversations, expected);
}

void sim_oracle_nobody_lags(sim *s) {
  for (uint32_t i = 0; i < s->plan.devices; i++)
    check_device(s, s->devices[i]);
}

void sim_oracle_end(sim *s, sim_result *result) {
  sim_fleet_check(s);
  check_store(s);
  sim_oracle_nobody_lags(s);
  for (uint32_t i = 0; i < s->plan.devices; i++)
    s->devices[i]->cache.inner->vtable->outbox_list(s->devices[i]->cache.inner->self, count_pending, s->devices[i]);
  for (ch_hashmap_entry *e = ch_hashmap_first(&s->oracle->intents); e; e = ch_hashmap_next(&s->oracle->intents, e))
    check_intent(s, e->value, result);
}
